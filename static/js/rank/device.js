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
export const isOld = (_, draft) => !(draft?.at > Date.now() - LONGEST);

// A checkbox that is on the next page as it was left here; gives its state.
export function remembered(box) {
  box.checked = load(box.id) ?? true;
  box.onchange = () => store(box.id, box.checked);
  return () => box.checked;
}

// --- Time at work: gaps of at most 30 s between signs of the labeler while the page is
// visible. Moves are counted by how they were made.

const LONGEST_GAP = 30_000;
const SIGNS = "keydown pointerdown wheel scroll visibilitychange";

export function startClock(measured, signal) {
  let last = performance.now();
  let awake = !document.hidden;
  for (const name of ["active_ms", "wall_ms", "n_moves", "n_undos"]) measured[name] ??= 0;

  function tick() {
    const gap = performance.now() - last;
    if (awake && gap <= LONGEST_GAP) measured.active_ms += gap;
    measured.wall_ms += gap;
    last += gap;
    awake = !document.hidden;
  }
  on(SIGNS, tick, signal);
  return tick;
}
