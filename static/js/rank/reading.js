// Reading: the prompt in one line once it has scrolled away, texts that open clipped and
// fold, wide code that can be scrolled by keyboard, and what was seen of it all.
import { cards, draw, measured, notes } from "./bench.js";
import { listed } from "./order.js";
import { at, words } from "./talk.js";

export const turns = () =>
  [...document.querySelectorAll("#prompt .turn")].map((turn) => turn.cloneNode(true));

export function followPrompt() {
  const [bar, again] = [at("prompt-bar"), at("prompt-again")];
  const button = bar.querySelector("button");
  const last = document.querySelector("#prompt .turn:last-child .text");
  bar.querySelector(".excerpt").textContent = last.innerText;
  again.append(...turns());
  const open = (shown) => {
    again.hidden = !shown;
    button.ariaExpanded = String(shown);
  };
  button.onclick = () => open(again.hidden);
  new IntersectionObserver(([entry]) => {
    bar.hidden = entry.isIntersecting || entry.boundingClientRect.top > 0;
    if (bar.hidden) open(false);
  }).observe(at("prompt"));
}

const folder = (card) => card.querySelector(".fold");
const isOpen = (card) => folder(card).ariaExpanded === "true";

// This response's whole text is there to be read.
export function opened(letter) {
  measured.unread = measured.unread.filter((l) => l !== letter);
  draw();
}

function setFolded(card, folded, how = "folded") {
  card.classList.remove("clipped", "folded");
  if (folded) card.classList.add(how);
  else opened(card.dataset.letter);
  folder(card).ariaExpanded = String(!folded);
}

// Folds all of these if one is open, else opens them.
export function fold(some) {
  const anyOpen = some.some(isOpen);
  for (const card of some) setFolded(card, anyOpen);
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
    const { letter } = text.dataset;
    if (seen < Math.min(height, innerHeight) / 2) continue;
    measured.visible_ms[letter] = (measured.visible_ms[letter] ?? 0) + gap;
  }
}

export function beginReading() {
  measured.unread = [];
  for (const card of cards) {
    const text = card.querySelector(".text");
    const button = folder(card);
    const more = card.querySelector(".more");
    button.onclick = () => fold([card]);
    // Nothing that has the focus stays hidden in a folded text.
    text.addEventListener("focusin", () => setFolded(card, false));
    if (!more) continue;
    more.onclick = () => {
      fold([card]);
      button.focus({ preventScroll: true });
    };
    setFolded(card, true, "clipped");
    if (text.scrollHeight > text.clientHeight) measured.unread.push(card.dataset.letter);
    else setFolded(card, false);
  }
  notes.push(() => {
    const left = measured.unread;
    return left[0] && words(left[1] ? "unread" : "unreadOne", listed(left));
  });
  // Of a text that was hidden nothing could be measured.
  at("raw-text").addEventListener("change", markWide);
  markWide();
}
