// Rate, then rank: a step that is left and entered again by button. Where ratings and
// order contradict each other it is asked about once, and never blocks.
import { form, go, isFull, isRating, letters, measured, ratings, setRating, tiers } from "./bench.js";
import { unranked } from "./order.js";
import { at, button, say, warn, words } from "./talk.js";

function showStep(isStep) {
  setRating(isStep);
  at("main").classList.toggle("rates", isStep);
  for (const box of form.querySelectorAll(".flags")) box.open ||= isStep;
  go(unranked(isStep ? ratings() : tiers)[0] ?? letters[0]);
  say(words(isStep ? "stepRate" : "stepRank"));
}

// The browser itself says what is not rated: every rating is required.
const toRanking = () => form.reportValidity() && showStep(false);

function contradiction() {
  const rating = ratings();
  for (const upper of letters) {
    const lower = letters.find((l) => rating[upper] > rating[l] && tiers[upper] > tiers[l]);
    if (lower) return words("contradiction", upper, lower);
  }
  return "";
}

function check(event) {
  const question = isFull() && !measured.n_asked && contradiction();
  if (!isRating && !question) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (isRating) toRanking();
  else {
    measured.n_asked = 1;
    warn(`${question} `, button(words("anyway"), () => form.requestSubmit()));
  }
}

export function beginRating() {
  if (!form.elements.rating_A) return;
  form.addEventListener("submit", check, { capture: true });
  form.addEventListener("invalid", () => isRating || showStep(true), { capture: true });
  at("to-ranking").onclick = toRanking;
  at("to-ratings").onclick = () => showStep(true);
  if (unranked(ratings()).length) showStep(true);
}
