// The ranking page. The selects are the form's real inputs; everything here is a quicker
// way to set them. Pages follow one another without a load: `start` begins one, and
// `leave` ends it by aborting its signal.
import { following, lookAhead, swap } from "./ahead.js";
import {
  begin, draw, form, isFull, letters, measured, place, ranked, tiers, worked,
} from "./bench.js";
import { beginBoard } from "./board.js";
import { beginComparing } from "./compare.js";
import { clearDrafts, isOld, load, me, remembered, store } from "./device.js";
import { content, keepDrafts } from "./drafts.js";
import { followLine, listen } from "./keys.js";
import { hold } from "./lease.js";
import { beginNotes } from "./notes.js";
import { missing } from "./order.js";
import { entryOf, put, retry, send, watch } from "./outbox.js";
import { beginRating } from "./rating.js";
import { beginReading, followPrompt, saw } from "./reading.js";
import { at, button, on, say, warn, words } from "./talk.js";

let page;
let token;
// Here only until this page's ranking has arrived: there was no next page.
let stays;

// How many were ranked on this device today (UTC).
const today = () => `${new Date().toISOString().slice(0, 10)} ${me()}`;
const done = () => (load("done")?.day === today() ? load("done").count : 0);
const isQueued = () => entryOf(token) && !entryOf(token).reason;
const isBusy = () => form.ariaBusy === "true";

// To the next page. Where there is none this one stays, until its ranking has arrived.
async function openNext(news = "") {
  const next = await following();
  const previous = form.action;
  const comesBack = isQueued() && next.url?.includes(token);
  if (next.outcome !== "done" || comesBack) {
    stays = true;
    say(news);
    warn(`${news} ${words("noNext")} `, button(words("next"), () => openNext()));
    return;
  }
  page.abort();
  if (!swap(next)) location.assign(next.url);
  else start(news, previous);
}

async function submit(event) {
  event.preventDefault();
  if (isBusy()) return;
  if (!isFull()) {
    warn(missing(tiers));
    return;
  }
  form.ariaBusy = "true";
  say(words("submitting"));
  worked();
  const { submission_uuid: uuid, telemetry, replace } = form.elements;
  telemetry.value = JSON.stringify(measured);
  const entry = {
    token,
    user: me(),
    page: form.action,
    address: `${form.dataset.api}submit`,
    at: Date.now(),
    body: {
      ...content(),
      submission_uuid: uuid.value,
      telemetry: measured,
      render_mode: at("raw-text").checked ? "raw" : "rich",
      replace: Boolean(replace.value),
    },
  };
  const kept = put(token, entry);
  after(await send(entry), kept);
}

function after({ outcome, status, message, feedback }, kept) {
  if (outcome === "done") {
    store("done", { day: today(), count: done() + 1 });
    if (feedback) location.assign(`${form.action}feedback/`);
    else openNext(words(status));
    return;
  }
  if (outcome === "unreached" && kept) {
    retry();
    openNext(words("queued"));
    return;
  }
  form.ariaBusy = "false";
  if (outcome === "refused") {
    // The server's page says what to mend, and shows both of two rankings.
    put(token);
    form.onsubmit = null;
    form.requestSubmit();
  } else if (outcome === "blocked") warn(message, button(words("next"), () => openNext()));
  else if (outcome === "signedOut") retry();
  else warn(words("unkept"));
}

function start(news = "", previous = "") {
  token = at("ranking")?.dataset.token;
  if (!token) {
    say(news);
    at("main").focus();
    return;
  }
  page = new AbortController();
  stays = isQueued();
  begin(page.signal, saw);
  beginBoard(place, page.signal);
  beginReading();
  beginComparing();
  beginNotes();
  followPrompt();
  draw();
  const queued = entryOf(token);
  const { body, at: when } = queued ?? {};
  const restored = keepDrafts(body && { ...body, uuid: body.submission_uuid, at: when });
  followLine();
  listen(remembered(at("single-keys")));
  hold(() => openNext());
  lookAhead();
  form.onsubmit = submit;
  form.ariaBusy = String(Boolean(isQueued()));
  at("open-board").onclick = ({ target }) =>
    (target.ariaExpanded = String(at("board").classList.toggle("open")));

  const link = at("previous");
  if (link) link.href = previous;
  if (link) link.hidden = !previous;
  const task = words("task", done() + 1);
  at("task").textContent = `${task} – `;
  const state = restored ? words("restored", restored, ranked()) : words("none", letters.length);
  say(`${news} ${task}. ${state}`.trim());
  const onA = remembered(at("start-on-a"))() && at(`t${letters[0]}`);
  (at("problem") ?? (onA || document.querySelector("h1"))).focus({ preventScroll: true });
  beginRating();
}

document.documentElement.classList.add("scripted");
clearDrafts(isOld);
start(document.querySelector(".messages")?.innerText);
watch((sent, news) => {
  if (sent.includes(token)) openNext(news);
  else say(news);
});
// Another tab has sent it.
on("storage", () => stays && !entryOf(token) && openNext());
on("popstate", () => location.reload());
