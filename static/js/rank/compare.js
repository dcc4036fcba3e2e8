// Two responses side by side: those pinned, else one and its neighbour in rank. A
// verdict moves them; the server marks the words in which they differ.
import { api, cards, keys, letters, measured, move, tiers } from "./bench.js";
import { latin } from "./keys.js";
import { highest, insert, whereIs } from "./order.js";
import { markWide, opened, turns } from "./reading.js";
import { at, say, words } from "./talk.js";

// `upper` above `lower`: in a new tier just above it, unless it is above already.
function above(upper, lower) {
  const below = (tiers[upper] || highest(tiers)) + 1;
  const order = tiers[lower] ? tiers : insert(tiers, lower, below);
  const is = order[upper] && order[upper] < order[lower];
  return is ? order : insert(order, upper, order[lower]);
}

function tied(moving, other) {
  const tier = tiers[other] || tiers[moving] || highest(tiers) + 1;
  return { ...tiers, [moving]: tier, [other]: tier };
}

function nearest(letter) {
  const apart = (l) => (tiers[l] && tiers[letter] ? Math.abs(tiers[l] - tiers[letter]) : letters.length);
  return letters.filter((l) => l !== letter).sort((l, m) => apart(l) - apart(m))[0];
}

function judge(key, letter, other) {
  const news = words(key, letter, other);
  const order = (key === "above" ? above : tied)(letter, other);
  if (order === tiers) say(news);
  else move(order, letter, "compare", () => news);
  return news;
}

export function beginComparing() {
  const dialog = at("compare");
  const panes = dialog.querySelectorAll(".pair .text");
  const marks = at("diff");
  let pins = [];
  let pair;
  let mover;
  // Letter → its text with the differences marked; undefined until the server answers.
  let marked;

  function pin(letter) {
    if (!letter) return;
    const others = pins.filter((l) => l !== letter);
    const on = others.length === pins.length;
    pins = on ? [...others, letter].slice(-2) : others;
    for (const card of cards) {
      card.querySelector(".pin").ariaPressed = String(pins.includes(card.dataset.letter));
    }
    say(words(on ? "pinned" : "unpinned", letter, pins.length));
  }

  function showPlaces() {
    pair.forEach((letter, i) => {
      at(`compare-${i}`).textContent = words("chip", letter, whereIs(tiers, letter));
      at(`better-${i}`).textContent = words("better", letter);
    });
  }

  function show() {
    marks.disabled = marked && !marked[pair[0]];
    pair.forEach((letter, i) => {
      const pane = panes[i];
      pane.dataset.letter = letter;
      if (marks.checked && marked?.[letter]) pane.innerHTML = marked[letter];
      else pane.replaceChildren(...at(`x${letter}`).cloneNode(true).children);
    });
    showPlaces();
    markWide();
  }

  async function compare(letter = letters[0]) {
    const [one, other] = (pair = pins[1] ? [...pins] : [letter, nearest(letter)]);
    mover = pair.includes(letter) ? letter : one;
    measured.n_compare = (measured.n_compare ?? 0) + 1;
    marked = undefined;
    pair.forEach(opened);
    const title = words("comparing", one, other);
    say(`${title}.`);
    at("compare-title").textContent = title;
    at("verdict").textContent = "";
    show();
    dialog.showModal();
    const { a, b } = await api(`compare?a=${one}&b=${other}`, null, { method: "GET" });
    if (pair.includes(one) && pair.includes(other)) marked = { [one]: a, [other]: b };
    show();
  }

  function decide(verdict) {
    const [one, other] = verdict === "second" ? [pair[1], pair[0]] : pair;
    const still = pair.find((l) => l !== mover);
    const news = verdict === "tie" ? judge("madeTied", mover, still) : judge("above", one, other);
    at("verdict").textContent = news;
    showPlaces();
  }

  for (const choice of dialog.querySelectorAll("[data-verdict]")) {
    choice.onclick = () => decide(choice.dataset.verdict);
  }
  marks.onchange = show;
  at("swap").onclick = () => {
    pair.reverse();
    show();
  };
  // Down scrolls a text that has the focus; left and right, one that is too wide.
  dialog.onkeydown = (event) => {
    const { key, target } = event;
    const scrolls = target.matches(key === "ArrowDown" ? "[tabindex='0']" : ".text [tabindex]");
    const means = (control) => control.ariaKeyShortcuts?.split(" ").includes(latin(event));
    const meant = !scrolls && !event.repeat && [...dialog.querySelectorAll("button, input")].find(means);
    if (!meant) return;
    event.preventDefault();
    meant.click();
  };
  dialog.querySelector(".turns").replaceChildren(...turns());
  keys.P = pin;
  keys.V = compare;
  for (const card of cards) {
    const { letter } = card.dataset;
    card.querySelector(".pin").onclick = () => pin(letter);
    card.querySelector(".versus").onclick = () => compare(letter);
    const twin = card.querySelector(".tie");
    if (twin) twin.onclick = () => judge("madeTied", letter, twin.dataset.twin);
  }
}
