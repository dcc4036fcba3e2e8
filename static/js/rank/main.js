// The ranking page. The selects are the form's real inputs; everything here is a quicker
// way to set them. Pages follow one another without a load: `start` begins one, and
// `leave` ends it by aborting its signal.
import { following, lookAhead, swap } from "./ahead.js";
import {
  begin, cards, draw, form, go, isFull, isRating, keys, letters, measured, move, place, ranked,
  ratings, setRating, tiers, worked,
} from "./bench.js";
import { beginBoard } from "./board.js";
import { add, clearOldDrafts, load, me, rememberSettings, store } from "./device.js";
import { content, keepDrafts } from "./drafts.js";
import { followLine, latin, listen } from "./keys.js";
import { hold } from "./lease.js";
import { beginNotes } from "./notes.js";
import { about, highest, insert, unranked, whereIs } from "./order.js";
import { entryOf, put, retry, send, watch } from "./outbox.js";
import { beginReading, followPrompt, markWide, opened, saw } from "./reading.js";
import { at, button, get, on, say, warn, words } from "./talk.js";

let page;
let token;
// Here only until this page's ranking has arrived: there was no next page.
let stays;
// The script for comparing, once it was asked for, and what it made of this page.
let script;
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
    warn(about("missing", unranked(tiers)));
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

// What compare.js and rating.js work with.
const workbench = () => ({
  add, at, button, cards, form, get, go, highest, insert, isFull, latin, letters, markWide,
  measured, move, opened, ratings, say, setRating, unranked, warn, whereIs, words,
  isRating: () => isRating,
  order: () => tiers,
});

const rateFirst = async () => (await import(form.dataset.rating)).begin(workbench());

// `what`: pin, compare or tie. All of it waits for one promise, so that what was asked
// first happens first; and the dialog opens at once, so that the keys that follow are not
// taken for the page's. A script that did not come is asked for again the next time.
async function compare(what, letter) {
  const { signal } = page;
  if (what === "compare") at("compare").showModal();
  script ??= import(form.dataset.compare).catch(() => (script = null));
  const arrived = await script;
  if (signal.aborted) return;
  comparing ??= arrived?.begin(workbench());
  if (arrived) comparing[what](letter);
  else {
    at("compare").close();
    warn(words("offline"));
  }
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
  keys.P = (letter) => compare("pin", letter);
  keys.V = (letter) => compare("compare", letter);
  keys["="] = (letter) => compare("tie", letter);
  beginNotes();
  followPrompt();
  draw();
  const { body, at: when } = entryOf(token) ?? {};
  const restored = keepDrafts(body && { ...body, at: when });
  followLine();
  hold(() => openNext());
  lookAhead();
  form.onsubmit = submit;
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
  // Before any key is heard: Enter leaves the ratings, digits mean another thing then.
  if (form.dataset.rating) await rateFirst();
  listen();
  form.ariaBusy = stays;
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
// Back to the page before; a link within this one says it too.
on("popstate", () => location.pathname.includes(token) || location.reload());
