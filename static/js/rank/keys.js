// Keys: what each one does, and the order line, where keys mean letters.
import { putDown } from "./board.js";
import {
  cards, count, enterLine, form, go, goOn, isFull, keys, leaveLine, letterOf, letters, place,
  redo, settle, shiftBy, undo,
} from "./bench.js";
import { read } from "./order.js";
import { fold } from "./reading.js";
import { at, say, words } from "./talk.js";

const step = (letter, by) => go(letters.at((letters.indexOf(letter) + by) % letters.length));
const requestSubmit = () => form.requestSubmit();

function set(letter, tier, fresh) {
  if (letter && place(letter, tier, { fresh, how: "key" }) && tier) goOn(letter);
}

function openLine() {
  if (!at("line").offsetParent) at("open-board").click();
  at("line").focus();
}

const KEYS = {
  J: (letter) => step(letter, 1),
  K: (letter) => step(letter, -1),
  N: goOn,
  U: undo,
  Y: redo,
  X: (letter, event) =>
    fold(cards.filter((card) => event.shiftKey || card.dataset.letter === letter)),
  "/": openLine,
  ",": (letter) => letter && shiftBy(letter, -1),
  ".": (letter) => letter && shiftBy(letter, 1),
  Backspace: (letter) => set(letter, 0),
};

// By place on the keyboard, so that a French row of digits works; a numeric pad
// counts only while it types digits (NumLock).
function digit({ code, key, shiftKey }) {
  const tier = /^Digit(\d)/.exec(code)?.[1] ?? /^\d$/.exec(key)?.[0];
  return tier && ((letter) => set(letter, Number(tier), shiftKey && tier > 0));
}

// The letter typed, or on a keyboard without Latin letters the one at its place.
export function latin({ key, code }) {
  if (/^[a-z]$/i.test(key)) return key.toUpperCase();
  return (/^\p{L}$/u.test(key) && /^Key([A-Z])$/.exec(code)?.[1]) || key;
}

function meaning(event) {
  const key = latin(event);
  if (event.ctrlKey || event.metaKey) {
    return { Enter: requestSubmit, Y: redo, Z: event.shiftKey ? redo : undo }[key];
  }
  if (!at("single-keys").checked) return undefined;
  if (letters.includes(key)) return () => go(key);
  return digit(event) ?? keys[key];
}

const TEXT = "textarea, input:not([type=checkbox], [type=radio])";

// Keys are ours while the focus is in the form; in a text field only Ctrl+Enter is. Some
// buttons do what a key does.
export function listen() {
  Object.assign(keys, KEYS);
  at("main").onclick = (event) => {
    const button = event.target.closest("[data-key]");
    if (button) keys[button.dataset.key](letterOf(button), event);
  };
  form.onkeydown = (event) => {
    if (event.isComposing || event.altKey || (event.key === "Escape" && putDown())) return;
    const act = meaning(event);
    if (!act || (event.target.matches(TEXT) && act !== requestSubmit)) return;
    // Also for a key held down, or the select under it would take the repeats.
    event.preventDefault();
    if (!event.repeat) act(letterOf(event.target), event);
  };
}

export function followLine() {
  const line = at("line");
  line.onfocus = enterLine;
  line.onblur = () => leaveLine();
  line.oninput = () => {
    settle(read(line.value, letters));
    say(words(isFull() ? "allRanked" : "inOrder", count(), letters.length));
  };
  line.onkeydown = (event) => {
    const escape = event.key === "Escape";
    if (event.isComposing || !(escape || (event.key === "Enter" && !event.ctrlKey))) return;
    event.preventDefault();
    if (escape) leaveLine("restore");
    if (escape || isFull()) at("submit").focus();
  };
}
