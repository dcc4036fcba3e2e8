// Reading aids: the prompt in one line once it has scrolled away, texts that fold, and
// wide code that can be scrolled by keyboard.

const at = (id) => document.getElementById(id);

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

export function foldable(cards) {
  const button = (card) => card.querySelector(".fold");
  const isOpen = (card) => button(card).ariaExpanded === "true";
  function fold(card, folded, how = "folded") {
    card.classList.remove("clipped", "folded");
    if (folded) card.classList.add(how);
    button(card).ariaExpanded = String(!folded);
  }
  for (const card of cards) {
    button(card).hidden = false;
    button(card).onclick = () => fold(card, isOpen(card));
    if ("long" in card.dataset) fold(card, true, "clipped");
    // Nothing that has the focus stays hidden in a folded text.
    card.querySelector(".text").addEventListener("focusin", () => fold(card, false));
  }
  return (some) => {
    const anyOpen = some.some(isOpen);
    for (const card of some) fold(card, anyOpen);
  };
}

export function reachable() {
  for (const wide of document.querySelectorAll(".text :is(pre, table, math)")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
}
