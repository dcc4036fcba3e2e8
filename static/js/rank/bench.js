// The workbench: the order in the making, shown in the selects and on the board, and
// every way to change it. One page at a time, begun by `begin`; other modules import
// what they need and hang their own keys and notes in here.
import { drawBoard } from "./board.js";
import { NOTHING, add, startClock } from "./device.js";
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
// What keys do: {V: (letter, event) => …}, letter may be undefined; emptied for each page.
export let keys;
// Functions that give a soft note on a complete order, or nothing; emptied likewise.
export let notes;
// Called after each change that a draft should keep.
export let changed = () => {};
// Whether it is ratings that are made now, each letter's in radio buttons: from the start
// in a project that rates first, until rating.js says otherwise.
export let isRating;
export const setRating = (is) => (isRating = is);
export const onChange = (call) => (changed = call);

let past;
let future;
let tick;
// The order when the order line was entered.
let lineBefore;

const select = (letter) => at(`t${letter}`);
const radios = (letter) => form.elements[`rating_${letter}`];
// Letter → 1 … 7, 0 is unrated.
export const ratings = () =>
  Object.fromEntries(letters.map((l) => [l, Number(radios(l).value)]));
export const isFull = () => !unranked(tiers).length;
export const count = () => letters.length - unranked(tiers).length;
export const ranked = () => words("ranked", count(), letters.length);
// The letter of the response that this is in.
export const letterOf = (element) => element.closest("[data-letter]")?.dataset.letter;
// Asks /api/v1/assignments/<token>/<path>; see talk.js.
export const api = (path, body, how) => ask(form.dataset.api + path, body, how);

export function begin(page, saw) {
  form = at("ranking");
  cards = [...form.querySelectorAll("article")];
  letters = cards.map((card) => card.dataset.letter);
  tiers = Object.fromEntries(letters.map((l) => [l, Number(select(l).value)]));
  signal = page;
  isRating = "rating" in form.dataset;
  measured = { ...NOTHING, visible_ms: {}, unread: [] };
  keys = {};
  notes = [() => highest(tiers) === 1 && words("allTied")];
  past = [];
  future = [];
  tick = startClock(measured, signal, saw);
  for (const letter of letters) {
    select(letter).onchange = (event) =>
      place(letter, Number(event.target.value), { how: "select" });
  }
}

export function worked() {
  tick();
  return measured.active_ms;
}

export function draw() {
  for (const letter of letters) select(letter).value = tiers[letter] || "";
  drawBoard(tiers);
  const line = at("line");
  if (document.activeElement !== line) line.value = write(tiers);
  at("count").textContent = ranked();
  at("notes").textContent = isFull() ? notes.map((note) => note() || "").join(" ") : "";
  for (const [id, on] of [["submit", isFull()], ["undo", past.length], ["redo", future.length]]) {
    at(id).ariaDisabled = !on;
  }
}

// Another order as a whole, that cannot be undone.
export function take(order) {
  tiers = order;
  draw();
}

// Takes over an order, without empty tiers once it is complete; says if it had some.
export function settle(order) {
  const fits = unranked(order).length && highest(order) <= letters.length;
  take(fits ? order : compacted(order));
  warn();
  changed();
  return highest(order) === highest(tiers) ? "" : words("compacted", highest(tiers));
}

function remember(letter, how) {
  past.push({ order: lineBefore ?? tiers, letter });
  future = [];
  tick();
  add(measured, "n_moves");
  add(measured, `n_${how}`);
  measured.first_ms ??= measured.wall_ms;
}

// An order in one step that can be undone; `sentence` says what it means.
export function move(order, letter, how, sentence = placed) {
  remember(letter, how);
  const removed = settle(order);
  say(sentence(tiers, letter) + removed);
}

function rate(letter, score) {
  radios(letter).value = score;
  changed();
  const all = ratings();
  say(words("rated", letter, all[letter], unranked(all).length));
  return all[letter] === score;
}

// `fresh`: alone in a new tier; `how`: key, drag, tap, select or compare.
export function place(letter, tier, { fresh, how }) {
  if (isRating) return rate(letter, tier);
  if (tier > letters.length) {
    say(words("tooLow", letters.length));
    return false;
  }
  if (fresh) move(insert(tiers, letter, tier), letter, how, alone);
  else move({ ...tiers, [letter]: tier }, letter, how);
  return true;
}

export function shiftBy(letter, step) {
  if (isRating) return;
  const order = shift(tiers, letter, step);
  if (order !== tiers) move(order, letter, "key");
  else say(words(!tiers[letter] ? "isUnranked" : step < 0 ? "best" : "last", letter));
}

export function go(letter) {
  const card = at(`r${letter}`);
  const find = (what) => card.querySelector(what);
  const field = isRating ? find(".rating :checked") ?? find(".rating input") : select(letter);
  field.focus({ preventScroll: true });
  const fits = card.offsetHeight < innerHeight * 0.7;
  card.scrollIntoView({ block: fits ? "nearest" : "start" });
}

export function goOn(letter) {
  const following = next(isRating ? ratings() : tiers, letter);
  if (following) go(following);
  else at(isRating ? "to-ranking" : "submit").focus();
}

function stepBack(from, to, word) {
  const step = !isRating && from.pop();
  if (!step) return;
  const { letter, order } = step;
  to.push({ order: tiers, letter });
  add(measured, "n_undos");
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
