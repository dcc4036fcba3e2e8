// The ranking page. The selects are the form's real inputs; everything here is a
// quicker way to set them.
import { makeBoard } from "./board.js";
import { clearDraft, clearDrafts, loadDraft, remembered, saveDraft, startClock } from "./device.js";
import { command } from "./keys.js";
import * as order from "./order.js";
import { foldable, followPrompt, reachable } from "./reading.js";
import { post, say, warn } from "./talk.js";

const at = (id) => document.getElementById(id);
const form = at("ranking");
const line = at("line");
const submit = at("submit");
const { token, renew, lease } = form.dataset;
const cards = [...form.querySelectorAll("article")];
const letters = cards.map((card) => card.dataset.letter);
const select = (letter) => at(`t${letter}`);

const past = [];
const future = [];
let tiers = Object.fromEntries(letters.map((l) => [l, Number(select(l).value)]));
// The order when the order line was entered.
let lineBefore = null;
let busy = false;

const refused = "refused" in form.dataset;
const draft = refused ? null : loadDraft(token);
const clock = startClock(draft?.measured);
const board = makeBoard(at("board"), placeAt);
const fold = foldable(cards);
const singleKeys = remembered(at("single-keys"));
const startOnA = remembered(at("start-on-a"));

// --- Showing it -------------------------------------------------------------------

const full = () => !order.unranked(tiers).length;
const count = () => letters.length - order.unranked(tiers).length;
const ranked = () => `${count()} of ${letters.length} ranked`;
const off = (id, disabled) => (at(id).ariaDisabled = String(disabled));
const time = (when) => new Date(when).toTimeString().slice(0, 5);

function draw() {
  for (const card of cards) {
    const { letter } = card.dataset;
    select(letter).value = tiers[letter] || "";
    card.classList.toggle("placed", tiers[letter] > 0);
  }
  board.draw(tiers);
  if (document.activeElement !== line) line.value = order.write(tiers);
  at("count").textContent = ranked();
  off("submit", !full());
  off("undo", !past.length);
  off("redo", !future.length);
}

function keep() {
  const uuid = form.elements.submission_uuid.value;
  const saved = saveDraft(token, { tiers, uuid, measured: clock.measured() });
  at("saved").textContent = saved ? `Saved ${time(Date.now())}` : form.dataset.unsaved;
}

function go(letter) {
  const card = at(`r${letter}`);
  select(letter).focus({ preventScroll: true });
  const fits = card.offsetHeight < innerHeight * 0.7;
  card.scrollIntoView({ block: fits ? "nearest" : "start" });
}

function goOn(letter) {
  const following = order.next(tiers, letter);
  if (following) go(following);
  else submit.focus();
}

// --- Changing it ------------------------------------------------------------------

// Takes over an order, without empty tiers once it is complete; says if it had some.
function settle(next) {
  tiers = order.unranked(next).length ? next : order.compacted(next);
  warn();
  draw();
  keep();
  const had = order.highest(next) !== order.highest(tiers);
  return had ? ` Empty tiers removed, ${order.highest(tiers)} tiers.` : "";
}

function remember(letter, how) {
  past.push({ tiers: lineBefore ?? tiers, letter });
  future.length = 0;
  clock.moved(how);
}

function move(next, letter, how, sentence = order.placed) {
  remember(letter, how);
  const removed = settle(next);
  say(sentence(tiers, letter) + removed);
}

function placeAt(letter, tier, { fresh, how }) {
  if (tier > letters.length) say(`Tiers go from 1 to ${letters.length}.`);
  else if (fresh) move(order.insert(tiers, letter, tier), letter, how, order.alone);
  else move(order.place(tiers, letter, tier), letter, how);
  return tier <= letters.length;
}

function shift(letter, step) {
  const next = order.shift(tiers, letter, step);
  if (next !== tiers) move(next, letter, "key");
  else if (tiers[letter]) say(`Response ${letter} is already ${step < 0 ? "best" : "last"}.`);
  else say(`Response ${letter} is unranked.`);
}

function stepBack(from, to, word) {
  const step = from.pop();
  if (!step) return;
  const { letter } = step;
  to.push({ tiers, letter });
  clock.undid();
  settle(step.tiers);
  if (letter) {
    go(letter);
    say(`${word}: response ${letter} back ${tiers[letter] ? "in" : "to"} ${order.whereIs(tiers, letter)}.`);
  } else say(`${word}: the order line.`);
}
const undo = () => stepBack(past, future, "Undone");
const redo = () => stepBack(future, past, "Redone");

// --- Keys -------------------------------------------------------------------------

const COMMANDS = {
  place({ tier, fresh }, letter) {
    if (letter && placeAt(letter, tier, { fresh, how: "key" }) && tier) goOn(letter);
  },
  go({ to }, letter) {
    const step = { next: 1, previous: -1 }[to];
    if (step) go(letters.at((letters.indexOf(letter) + step) % letters.length));
    else if (to) go(to);
    else goOn(letter);
  },
  shift: ({ step }, letter) => letter && shift(letter, step),
  fold: ({ all }, letter) => fold(cards.filter((card) => all || card.dataset.letter === letter)),
  line() {
    if (!line.offsetParent) at("open-board").click();
    line.focus();
  },
  undo,
  redo,
  submit: () => form.requestSubmit(submit),
};

form.onkeydown = (event) => {
  if (event.key === "Escape" && board.putDown()) return;
  const found = command(event, letters, singleKeys());
  if (!found || (event.target === line && found.do !== "submit")) return;
  // Also for a key held down, or the select under it would take the repeats.
  event.preventDefault();
  if (event.repeat) return;
  COMMANDS[found.do](found, event.target.closest("[data-letter]")?.dataset.letter);
};

// --- The order line ---------------------------------------------------------------

line.onfocus = () => (lineBefore = tiers);
line.onblur = () => {
  if (tiers !== lineBefore) remember(null, "line");
  lineBefore = null;
  draw();
};
line.oninput = () => {
  settle(order.read(line.value, letters));
  say(full() ? "All ranked." : `${count()} of ${letters.length} in order.`);
};
line.onkeydown = (event) => {
  const leave = event.key === "Escape" || (event.key === "Enter" && !event.ctrlKey);
  if (event.isComposing || !leave) return;
  event.preventDefault();
  if (event.key === "Escape") {
    tiers = lineBefore;
    keep();
    submit.focus();
  } else if (full()) submit.focus();
};

// --- Submitting -------------------------------------------------------------------

function notStored({ outcome, message, submission_uuid: uuid, replace }) {
  if (uuid) form.elements.submission_uuid.value = uuid;
  if (replace) {
    form.elements.replace.value = "on";
    submit.textContent = form.dataset.replace;
  }
  keep();
  const signIn = outcome === "signedOut" ? at("sign-in").content.cloneNode(true) : "";
  warn(message ?? form.dataset[outcome], signIn);
}

form.onsubmit = async (event) => {
  event.preventDefault();
  if (busy) return;
  if (!full()) {
    warn(order.missing(tiers));
    return;
  }
  busy = true;
  form.ariaBusy = "true";
  say("Submitting…");
  form.elements.telemetry.value = JSON.stringify(clock.measured());
  const answer = await post(form.action, new FormData(form));
  if (answer.outcome === "done") {
    clearDraft(token);
    location.assign(answer.next);
    return;
  }
  busy = false;
  form.ariaBusy = "false";
  notStored(answer);
};

// While somebody is at work the prompt stays theirs: asked for three times a lease.
let renewedAt = 0;
setInterval(async () => {
  const worked = clock.measured().active_ms;
  if (worked === renewedAt) return;
  renewedAt = worked;
  const { held } = await post(renew, {});
  if (held === false) warn(form.dataset.lost);
}, lease * 20_000);

// --- Start ------------------------------------------------------------------------

for (const letter of letters) {
  select(letter).onchange = (event) =>
    placeAt(letter, Number(event.target.value), { how: "select" });
}
at("undo").onclick = undo;
at("redo").onclick = redo;
at("open-board").onclick = (event) =>
  (event.currentTarget.ariaExpanded = String(at("board").classList.toggle("open")));
document.querySelector(".sign-out")?.addEventListener("submit", () => clearDrafts());

for (const part of document.querySelectorAll("[data-script]")) {
  part.hidden = part.dataset.script === "without";
}
clearDrafts(true);
followPrompt();
reachable();
let news = `${letters.length} responses, ${count() || "none"} ranked.`;
if (draft && letters.every((l) => draft.tiers?.[l] >= 0 && draft.tiers[l] <= letters.length)) {
  tiers = draft.tiers;
  form.elements.submission_uuid.value = draft.uuid;
  at("saved").textContent = `Saved ${time(draft.at)}`;
  news = `Draft from ${time(draft.at)} restored, ${ranked()}.`;
}
draw();
say(`${document.querySelector(".messages")?.innerText ?? ""} ${news}`.trim());
if (refused) at("problem").focus();
else if (startOnA()) select(letters[0]).focus({ preventScroll: true });
document.documentElement.classList.add("scripted");
