// The next page, fetched while this one is worked on, and the way to it.
import { form, signal } from "./bench.js";
import { ask, at, get, parsed } from "./talk.js";

// The page as `ask` gave it.
let ahead;

export async function lookAhead() {
  const page = signal;
  const { outcome, url } = await ask(form.dataset.prefetch);
  // This very page comes again as long as its first heartbeat is under way.
  if (page.aborted || outcome !== "done" || !url || form.action.endsWith(url)) return;
  const answer = await get(url);
  if (!page.aborted && answer.outcome === "done") ahead = answer;
}

// The page that was fetched ahead, else a newly claimed one.
export async function following() {
  const next = ahead ?? (await ask(form.dataset.claim));
  ahead = null;
  return next;
}

// Puts another page in the place of this one; false if it is no page of ours.
export function swap({ url, page }) {
  const shown = parsed(page);
  const main = shown.querySelector("main:has(#ranking, .start)");
  if (!main) return false;
  document.title = shown.title;
  at("main").replaceWith(main);
  history.pushState(null, "", url);
  scrollTo(0, 0);
  return true;
}
