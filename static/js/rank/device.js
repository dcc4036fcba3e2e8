// What this device remembers and measures. Storage may be full or forbidden; everything
// works without it, and `store` says so.
import { on } from "./talk.js";

const DRAFT = "draft:";
const LONGEST = 30 * 24 * 3600 * 1000;

export function load(key) {
  try {
    return JSON.parse(localStorage[key]);
  } catch {
    return null;
  }
}

export function store(key, value) {
  try {
    localStorage[key] = JSON.stringify(value);
    return true;
  } catch {
    return false;
  }
}

// The work on a prompt from the first move until it is stored: letters and tiers, no
// text.
export const loadDraft = (token) => load(DRAFT + token);
export const saveDraft = (token, draft) => store(DRAFT + token, { ...draft, at: Date.now() });

// Signing out clears all drafts; a page that opens clears those older than a month.
export function clearDrafts(isOver) {
  for (const key of Object.keys(localStorage)) {
    const token = key.startsWith(DRAFT) && key.slice(DRAFT.length);
    if (token && isOver(token, loadDraft(token))) localStorage.removeItem(key);
  }
}
export const clearOldDrafts = () =>
  clearDrafts((_, draft) => !(draft?.at > Date.now() - LONGEST));

// Whose page it is; without a name on pages for people who are signed out.
export const me = () => document.querySelector(".who")?.textContent;

// The settings are on this labeler's next page as they were left here.
export function rememberSettings() {
  for (const field of document.querySelectorAll("[data-remembered]")) {
    const key = `${field.id} ${me()}`;
    const state = field.type === "checkbox" ? "checked" : "value";
    field[state] = load(key) ?? field[state];
    field.onchange = () => store(key, field[state]);
  }
}

// --- Time at work: gaps of at most 30 s between signs of the labeler while the page is
// visible; `saw` is told of each gap. Moves are counted by how they were made.

const LONGEST_GAP = 30_000;
const SIGNS = "keydown pointerdown wheel scroll visibilitychange";

export const NOTHING = { active_ms: 0, wall_ms: 0, n_moves: 0, n_undos: 0 };

export function add(counts, name, more = 1) {
  counts[name] = (counts[name] ?? 0) + more;
}

export function startClock(measured, signal, saw) {
  let last = performance.now();
  let awake = !document.hidden;

  function tick() {
    const gap = performance.now() - last;
    if (awake && gap <= LONGEST_GAP) {
      measured.active_ms += gap;
      saw(gap);
    }
    measured.wall_ms += gap;
    last += gap;
    awake = !document.hidden;
  }
  on(SIGNS, tick, signal);
  return tick;
}
