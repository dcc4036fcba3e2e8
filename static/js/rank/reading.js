// Reading aids: the prompt in one line once it has scrolled away, texts that fold, and
// wide code that can be scrolled by keyboard.
import { at } from "./talk.js";

export function followPrompt() {
  const [bar, again] = [at("prompt-bar"), at("prompt-again")];
  const button = bar.querySelector("button");
  const turns = [...document.querySelectorAll("#prompt .turn")];
  bar.querySelector(".excerpt").textContent = turns.at(-1).querySelector(".text").innerText;
  again.append(...turns.map((turn) => turn.cloneNode(true)));
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

function setFolded(card, folded, how = "folded") {
  card.classList.remove("clipped", "folded");
  if (folded) card.classList.add(how);
  folder(card).ariaExpanded = String(!folded);
}

// Folds all of these if one is open, else opens them.
export function fold(cards) {
  const anyOpen = cards.some(isOpen);
  for (const card of cards) setFolded(card, anyOpen);
}

export function beginReading(cards) {
  for (const card of cards) {
    folder(card).onclick = () => fold([card]);
    if ("long" in card.dataset) setFolded(card, true, "clipped");
    // Nothing that has the focus stays hidden in a folded text.
    card.querySelector(".text").addEventListener("focusin", () => setFolded(card, false));
  }
  for (const wide of document.querySelectorAll(".text :is(pre, table, math)")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
}
