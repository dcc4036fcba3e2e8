// The workbench: the order in the making, shown in the selects and on the board, and
// every way to change it. One page at a time, begun by `begin`; other modules import
// what they need and hang their own keys and notes in here.
import { drawBoard } from "./board.js";
import { startClock } from "./device.js";
import {
  alone, compacted, highest, insert, next, placed, shift, unranked, write,
} from "./order.js";
import { ask, at, say, warn, words } from "./talk.js";

// The page's form, its responses' elements and letters, and letter → tier (0: unranked).
export let form;
export let cards;
export let letters;
export let tiers;
// Aborted when the page goes: for listeners outside of <main>, for timers.
export let signal;
// Telemetry: add to a count freely, it goes with the submission.
export let measured;
// What keys do, beside those of keys.js: {V: (letter, event) => …}, letter may be
// undefined; emptied for each page.
export let keys;
// Functions that give a soft note on a complete order, or nothing; emptied likewise.
export let notes;
// Called after each change that a draft should keep.
export let changed = () => {};
export const onChange = (call) => (changed = call);

let past;
let future;
let tick;
// The order when the order line was entered.
let lineBefore;

const select = (letter) => at(`t${letter}`);
export const isFull = () => !unranked(tiers).length;
export const count = () => letters.length - unranked(tiers).length;
export const ranked = () => words("ranked", count(), letters.length);
// The response that the focus is in.
export const focused = () => document.activeElement.closest("[data-letter]")?.dataset.letter;
// Asks /api/v1/assignments/<token>/<path>; see talk.js.
export const api = (path, body, how) => ask(form.dataset.api + path, body, how);

export function begin(page) {
  form = at("ranking");
  cards = [...form.querySelectorAll("article")];
  letters = cards.map((card) => card.dataset.letter);
  tiers = Object.fromEntries(letters.map((l) => [l, Number(select(l).value)]));
  signal = page;
  measured = {};
  keys = {};
  notes = [() => highest(tiers) === 1 && words("allTied")];
  past = [];
  future = [];
  tick = startClock(measured, signal);
  for (const letter of letters) {
    select(letter).onchange = (event) =>
      place(letter, Number(event.target.value), { how: "select" });
  }
  at("undo").onclick = undo;
  at("redo").onclick = redo;
}

export function worked() {
  tick();
  return measured.active_ms;
}

export function draw() {
  for (const card of cards) {
    const { letter } = card.dataset;
    select(letter).value = tiers[letter] || "";
    card.classList.toggle("placed", tiers[letter] > 0);
  }
  drawBoard(tiers);
  const line = at("line");
  if (document.activeElement !== line) line.value = write(tiers);
  at("count").textContent = ranked();
  at("notes").textContent = isFull() ? notes.map((note) => note() || "").join(" ") : "";
  for (const [id, on] of [["submit", isFull()], ["undo", past.length], ["redo", future.length]]) {
    at(id).ariaDisabled = String(!on);
  }
}

// Another order as a whole, that cannot be undone.
export function take(order) {
  tiers = order;
  draw();
}

// Takes over an order, without empty tiers once it is complete; says if it had some.
export function settle(order) {
  take(unranked(order).length ? order : compacted(order));
  warn();
  changed();
  return highest(order) === highest(tiers) ? "" : words("compacted", highest(tiers));
}

function remember(letter, how) {
  past.push({ order: lineBefore ?? tiers, letter });
  future = [];
  tick();
  measured.n_moves += 1;
  measured[`n_${how}`] = (measured[`n_${how}`] ?? 0) + 1;
  measured.first_ms ??= measured.wall_ms;
}

function move(order, letter, how, sentence = placed) {
  remember(letter, how);
  const removed = settle(order);
  say(sentence(tiers, letter) + removed);
}

// `fresh`: alone in a new tier; `how`: key, drag, tap, select or compare.
export function place(letter, tier, { fresh, how }) {
  if (tier > letters.length) {
    say(words("tooLow", letters.length));
    return false;
  }
  if (fresh) move(insert(tiers, letter, tier), letter, how, alone);
  else move({ ...tiers, [letter]: tier }, letter, how);
  return true;
}

export function shiftBy(letter, step) {
  const order = shift(tiers, letter, step);
  if (order !== tiers) move(order, letter, "key");
  else say(words(!tiers[letter] ? "isUnranked" : step < 0 ? "best" : "last", letter));
}

export function go(letter) {
  const card = at(`r${letter}`);
  select(letter).focus({ preventScroll: true });
  const fits = card.offsetHeight < innerHeight * 0.7;
  card.scrollIntoView({ block: fits ? "nearest" : "start" });
}

export function goOn(letter) {
  const following = next(tiers, letter);
  if (following) go(following);
  else at("submit").focus();
}

function stepBack(from, to, word) {
  const step = from.pop();
  if (!step) return;
  const { letter, order } = step;
  to.push({ order: tiers, letter });
  measured.n_undos += 1;
  settle(order);
  if (letter) go(letter);
  const key = letter ? (tiers[letter] ? "backIn" : "backTo") : "line";
  say(words(word) + words(key, letter, tiers[letter]));
}
export const undo = () => stepBack(past, future, "undone");
export const redo = () => stepBack(future, past, "redone");

export const enterLine = () => (lineBefore = tiers);
export function leaveLine(restore) {
  if (restore) settle(lineBefore);
  else if (lineBefore && tiers !== lineBefore) remember(null, "line");
  lineBefore = null;
  draw();
}
