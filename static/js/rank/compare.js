// Two responses side by side: those pinned, else one and its neighbour in rank. A
// verdict moves them; the server marks the words in which they differ. A script of its
// own, that comes when it is first asked for; main.js says what it works with.
export function begin({
  add, at, cards, form, get, highest, insert, latin, letters, markWide, measured, move,
  opened, order, say, whereIs, words,
}) {
  // `upper` above `lower`: in a new tier just above it, unless it is above already.
  function above(upper, lower) {
    const below = (order()[upper] || highest(order())) + 1;
    const both = order()[lower] ? order() : insert(order(), lower, below);
    const is = both[upper] && both[upper] < both[lower];
    return is ? both : insert(both, upper, both[lower]);
  }

  function tied(moving, other) {
    const tier = order()[other] || order()[moving] || highest(order()) + 1;
    return { ...order(), [moving]: tier, [other]: tier };
  }

  // The nearest in rank; for one that is unranked the best.
  function neighbour(letter) {
    const apart = (l) => Math.abs((order()[l] || Infinity) - order()[letter]);
    const others = letters.filter((l) => l !== letter);
    return others.sort((l, m) => apart(l) - apart(m))[0];
  }

  function judge(key, letter, other) {
    const news = words(key, letter, other);
    const judged = (key === "above" ? above : tied)(letter, other);
    if (judged === order()) say(news);
    else move(judged, letter, "compare", () => news);
    return news;
  }

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
      card.querySelector(".pin").ariaPressed = pins.includes(card.dataset.letter);
    }
    say(words(on ? "pinned" : "unpinned", letter, pins.length));
  }

  function showPlaces() {
    pair.forEach((letter, i) => {
      at(`compare-${i}`).textContent = words("chip", letter, whereIs(order(), letter));
      at(`better-${i}`).textContent = letter;
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
    const [one, other] = (pair = pins[1] ? [...pins] : [letter, neighbour(letter)]);
    mover = pair.includes(letter) ? letter : one;
    add(measured, "n_compare");
    marked = undefined;
    pair.forEach(opened);
    const title = words("comparing", one, other);
    say(`${title}.`);
    at("compare-title").textContent = title;
    at("verdict").textContent = "";
    show();
    dialog.showModal();
    const { a, b } = await get(`${form.dataset.api}compare?a=${one}&b=${other}`);
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
  function tie(letter) {
    const { twin } = at(`r${letter}`)?.querySelector("[data-twin]")?.dataset ?? {};
    if (twin) judge("madeTied", letter, twin);
  }
  return { pin, compare, tie };
}
