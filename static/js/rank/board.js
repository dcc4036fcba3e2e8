// The small board: chips in tiers, moved by click or tap (chip, then tier) or dragged.
// It is changed in place and never redrawn, so that focus stays where it is.
import { highest, whereIs } from "./order.js";
import { at, on, say, words } from "./talk.js";

// Px before a press becomes a drag.
const THRESHOLD = 6;
const PLACES = ".gap, li[data-tier], #pool";

let rows;
let chips;
let moved;
let shown;
// The chip in hand after a click.
let picked;
// The chip under the pointer: {chip, x, y, over, dragged}.
let held;
// Whether the pointer was released after a drag; the click that follows means nothing.
let wasDrag;

export function beginBoard(onMove, signal) {
  const root = at("board");
  rows = [...root.querySelectorAll("li[data-tier]")];
  chips = [...root.querySelectorAll(".chip")];
  moved = onMove;
  picked = held = wasDrag = null;
  root.onclick = clicked;
  root.onpointerdown = ({ target, button, isPrimary, pointerId, clientX: x, clientY: y }) => {
    if (button || !isPrimary || !chips.includes(target)) return;
    target.setPointerCapture(pointerId);
    held = { chip: target, x, y };
    wasDrag = false;
  };
  root.onpointermove = (event) => held && follow(event);
  root.onpointerup = () => release(true);
  root.onpointercancel = () => release();
  on("keydown", (event) => event.key === "Escape" && release(), signal);
}

export function drawBoard(tiers) {
  shown = tiers;
  const focused = document.activeElement;
  rows.forEach((row, i) => (row.hidden = i > highest(tiers)));
  for (const chip of chips) {
    const { letter } = chip.dataset;
    const home = tiers[letter] ? rows[tiers[letter] - 1].querySelector(".chips") : at("pool");
    const after = [...home.children].find((other) => other.dataset.letter > letter);
    if (chip.parentElement !== home) home.insertBefore(chip, after ?? null);
    chip.ariaLabel = words("chip", letter, whereIs(tiers, letter));
  }
  if (chips.includes(focused)) focused.focus({ preventScroll: true });
}

function pick(chip) {
  picked = chip;
  for (const one of chips) one.ariaPressed = one === chip;
  if (chip) say(words("pickedUp", chip.dataset.letter));
}

// False if there is no chip in hand.
export function putDown() {
  const letter = picked?.dataset.letter;
  if (!letter) return false;
  pick(null);
  say(words("putDown", letter, whereIs(shown, letter)));
  return true;
}

function drop(chip, place, how) {
  pick(null);
  const tier = place.dataset.gap ?? place.dataset.tier ?? 0;
  moved(chip.dataset.letter, Number(tier), { fresh: "gap" in place.dataset, how });
}

function clicked({ target }) {
  const chip = target.closest(".chip");
  const place = target.closest(PLACES);
  if (wasDrag) wasDrag = false;
  else if (picked && picked !== chip && place && !(chip && place === at("pool"))) {
    const choice = picked;
    drop(choice, place, "tap");
    choice.focus();
  } else if (chip === picked) putDown();
  else if (chip) pick(chip);
}

// --- Dragging: dropped only when released over a place -------------------------------

function follow({ clientX, clientY }) {
  const [x, y] = [clientX - held.x, clientY - held.y];
  if (!held.dragged && Math.hypot(x, y) < THRESHOLD) return;
  held.dragged = true;
  held.chip.classList.add("dragged");
  held.chip.style.transform = `translate(${x}px, ${y}px)`;
  hover(document.elementFromPoint(clientX, clientY)?.closest(PLACES));
}

function hover(place) {
  held.over?.classList.remove("over");
  held.over = place;
  place?.classList.add("over");
}

function release(dropped) {
  if (!held) return;
  const { chip, over, dragged } = held;
  const { letter } = chip.dataset;
  hover();
  held = null;
  wasDrag = dragged;
  chip.classList.remove("dragged");
  chip.style.transform = "";
  if (!dragged) return;
  if (dropped && over) drop(chip, over, "drag");
  else say(words("cancelled", letter, whereIs(shown, letter, "inTier")));
}
