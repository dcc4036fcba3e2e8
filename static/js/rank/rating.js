// Rate, then rank: a step that is left and entered again by button. Where ratings and
// order contradict each other it is asked about once, and never blocks. A script of its
// own, for the projects that rate first; main.js says what it works with.
export function begin({
  at, button, form, go, isFull, isRating, letters, measured, order, ratings, say,
  setRating, unranked, warn, words,
}) {
  function showStep(isStep) {
    setRating(isStep);
    at("main").classList.toggle("rates", isStep);
    for (const box of form.querySelectorAll(".flags")) box.open ||= isStep;
    go(unranked(isStep ? ratings() : order())[0] ?? letters[0]);
    say(words(isStep ? "stepRate" : "stepRank"));
  }

  // The browser itself says what is not rated: every rating is required.
  const toRanking = () => form.reportValidity() && showStep(false);

  function contradiction() {
    const rating = ratings();
    for (const upper of letters) {
      const lower = letters.find((l) => rating[upper] > rating[l] && order()[upper] > order()[l]);
      if (lower) return words("contradiction", upper, lower);
    }
    return "";
  }

  function check(event) {
    const question = isFull() && !measured.n_asked && contradiction();
    if (!isRating() && !question) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (isRating()) toRanking();
    else {
      measured.n_asked = 1;
      warn(`${question} `, button(words("anyway"), () => form.requestSubmit()));
    }
  }

  form.addEventListener("submit", check, { capture: true });
  form.addEventListener("invalid", () => isRating() || showStep(true), { capture: true });
  at("to-ranking").onclick = toRanking;
  at("to-ratings").onclick = () => showStep(true);
  if (unranked(ratings()).length) showStep(true);
  else setRating(false);
}
