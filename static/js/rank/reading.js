// Reading: the prompt in one line once it has scrolled away, texts that open clipped and
// fold, wide code that can be scrolled by keyboard, and what was seen of it all.
import { cards, draw, measured, notes, signal } from "./bench.js";
import { add } from "./device.js";
import { about } from "./order.js";
import { at, on } from "./talk.js";

export function followPrompt() {
  const [prompt, bar] = [at("prompt"), at("prompt-bar")];
  for (const again of document.querySelectorAll(".turns")) {
    for (const turn of prompt.querySelectorAll(".turn")) again.append(turn.cloneNode(true));
  }
  new IntersectionObserver(([entry]) => {
    bar.hidden = entry.isIntersecting || entry.boundingClientRect.top > 0;
    bar.open &&= !bar.hidden;
  }).observe(prompt);
}

const folder = (card) => card.querySelector(".fold");
const isFolded = (card) => folder(card).ariaExpanded === "false";

// This response's whole text is there to be read.
export function opened(letter) {
  measured.unread = measured.unread.filter((l) => l !== letter);
  draw();
}

// A long text is clipped until it is opened; from then on it folds like the others.
function setFolded(card, folded) {
  card.classList.remove("clipped");
  folder(card).ariaExpanded = !folded;
  if (!folded) opened(card.dataset.letter);
}

// Folds all of these if one is open, else opens them.
export function fold(some) {
  const all = some.every(isFolded);
  for (const card of some) setFolded(card, !all);
}

export function markWide() {
  for (const wide of document.querySelectorAll(".text :is(pre, table, math)")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
}

// Counts time at work, in ms, for the texts on the screen: half of one, or half a window
// of it; while two are compared, for these.
export function saw(gap) {
  const dialog = document.querySelector("dialog[open]") ?? at("ranking");
  for (const text of dialog.querySelectorAll("article, .pair .text")) {
    const { top, bottom, height } = text.getBoundingClientRect();
    const seen = Math.min(bottom, innerHeight) - Math.max(top, 0);
    if (seen >= Math.min(height, innerHeight) / 2) add(measured.visible_ms, text.dataset.letter, gap);
  }
}

export function beginReading() {
  for (const card of cards) {
    const text = card.querySelector(".text");
    // Nothing that has the focus stays hidden in a folded text.
    text.addEventListener("focusin", () => setFolded(card, false));
    if (!isFolded(card)) continue;
    card.querySelector(".more").onclick = () => {
      fold([card]);
      folder(card).focus({ preventScroll: true });
    };
    if (text.scrollHeight > text.clientHeight) measured.unread.push(card.dataset.letter);
    else setFolded(card, false);
  }
  notes.push(() => measured.unread[0] && about("unread", measured.unread));
  // Raw texts and other columns have another width.
  on("change", markWide, signal);
  markWide();
}
