// The ranking page. The selects are the form's real inputs; everything here is a quicker
// way to set them. Pages follow one another without a load: `start` begins one, and
// `leave` ends it by aborting its signal.
import { following, lookAhead, swap } from "./ahead.js";
import {
  begin, cards, draw, form, go, isFull, isRating, keys, letterOf, letters, measured, move,
  place, ranked, ratings, setRating, tiers, worked,
} from "./bench.js";
import { beginBoard } from "./board.js";
import { add, clearOldDrafts, load, me, rememberSettings, store } from "./device.js";
import { content, keepDrafts } from "./drafts.js";
import { followLine, latin, listen } from "./keys.js";
import { hold } from "./lease.js";
import { beginNotes } from "./notes.js";
import { highest, insert, missing, unranked, whereIs } from "./order.js";
import { entryOf, put, retry, send, watch } from "./outbox.js";
import { beginReading, followPrompt, markWide, opened, saw } from "./reading.js";
import { at, button, get, on, say, warn, words } from "./talk.js";

let page;
let token;
// Here only until this page's ranking has arrived: there was no next page.
let stays;
// What the page compares with, once that was asked for.
let comparing;

// How many were ranked on this device today (UTC).
const today = () => `${new Date().toISOString().slice(0, 10)} ${me()}`;
const done = () => (load("done")?.day === today() ? load("done").count : 0);
const isQueued = () => entryOf(token)?.reason === null;

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
  if (form.ariaBusy === "true") return;
  if (!isFull()) {
    warn(missing(tiers));
    return;
  }
  form.ariaBusy = true;
  say(words("submitting"));
  worked();
  form.telemetry.value = JSON.stringify(measured);
  const entry = {
    token,
    page: form.action,
    address: `${form.dataset.api}submit`,
    at: Date.now(),
    reason: null,
    body: {
      ...content(),
      telemetry: measured,
      render_mode: at("raw-text").checked ? "raw" : "rich",
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
  form.ariaBusy = false;
  if (outcome === "refused") {
    // The server's page says what to mend, and shows both of two rankings.
    put(token);
    form.onsubmit = null;
    form.requestSubmit();
  } else if (outcome === "blocked") warn(message, button(words("next"), () => openNext()));
  else if (outcome === "signedOut") retry();
  else warn(words("unkept"));
}

// What rating.js and compare.js work with.
const workbench = () => ({
  add, at, button, cards, form, get, go, highest, insert, isFull, latin, letters, markWide,
  measured, move, opened, ratings, say, setRating, unranked, warn, whereIs, words,
  isRating: () => isRating,
  order: () => tiers,
});

// `what`: pin, compare or tie. Its script comes when it is first needed.
async function compare(what, letter) {
  const script = await import(form.dataset.compare).catch(() => warn(words("offline")));
  comparing ??= script?.begin(workbench());
  comparing?.[what](letter);
}

async function start(news = "", previous = "") {
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
  rememberSettings();
  beginReading();
  comparing = null;
  beginNotes();
  followPrompt();
  draw();
  const { body, at: when } = entryOf(token) ?? {};
  const restored = keepDrafts(body && { ...body, at: when });
  keys.P = (letter) => letter && compare("pin", letter);
  keys.V = (letter) => compare("compare", letter);
  at("main").onclick = ({ target }) => {
    const button = target.closest("[data-does]");
    if (button) compare(button.dataset.does, letterOf(button));
  };
  followLine();
  listen();
  hold(() => openNext());
  lookAhead();
  form.onsubmit = submit;
  form.ariaBusy = stays;
  at("open-board").onclick = ({ target }) =>
    (target.ariaExpanded = target.ariaExpanded === "false");

  const link = at("previous");
  if (link && previous) Object.assign(link, { href: previous, hidden: false });
  const task = words("task", done() + 1);
  at("task").textContent = `${task} – `;
  const state = restored ? words("restored", restored, ranked()) : words("none", letters.length);
  say(`${news} ${task}. ${state}`.trim());
  const onA = at("start-on-a").checked && at(`t${letters[0]}`);
  (at("problem") ?? (onA || document.querySelector("h1"))).focus({ preventScroll: true });
  if (form.dataset.rating) (await import(form.dataset.rating)).begin(workbench());
}

document.documentElement.classList.add("scripted");
clearOldDrafts();
start(document.querySelector(".messages")?.innerText);
watch((sent, news) => {
  if (sent.includes(token)) openNext(news);
  else say(news);
});
// Another tab has sent it.
on("storage", () => stays && !entryOf(token) && openNext());
on("popstate", () => location.reload());
