// What this device remembers and measures. Storage may be full or forbidden; everything works
// without it, and `saveDraft` says so.

const DRAFT = "draft:";
const LONGEST = 30 * 24 * 3600 * 1000;

const tried = (action) => {
  try {
    return action();
  } catch {
    return null;
  }
};

// The work on a prompt from the first move until it is stored: letters and tiers, no
// text.
export const loadDraft = (token) => tried(() => JSON.parse(localStorage[DRAFT + token]));
export const clearDraft = (token) => tried(() => localStorage.removeItem(DRAFT + token));
export const saveDraft = (token, draft) =>
  tried(() => {
    localStorage[DRAFT + token] = JSON.stringify({ ...draft, at: Date.now() });
    return true;
  });

// Signing out clears all drafts; a page that opens clears those older than a month.
export function clearDrafts(unless = 0) {
  for (const key of tried(() => Object.keys(localStorage)) ?? []) {
    const token = key.startsWith(DRAFT) && key.slice(DRAFT.length);
    if (token && !(unless && loadDraft(token)?.at > Date.now() - LONGEST)) clearDraft(token);
  }
}

// A checkbox that is on the next page as it was left here; gives its state.
export function remembered(box) {
  box.checked = tried(() => localStorage[box.id]) !== "off";
  box.onchange = () => tried(() => (localStorage[box.id] = box.checked ? "on" : "off"));
  return () => box.checked;
}

// --- Time at work: gaps of at most 30 s between signs of the labeler while the page is
// visible. Moves are counted by how they were made.

const LONGEST_GAP = 30_000;
const SIGNS = ["keydown", "pointerdown", "wheel", "scroll"];

export function startClock(before) {
  const measured = { active_ms: 0, wall_ms: 0, n_moves: 0, n_undos: 0, ...before };
  let last = performance.now();
  let awake = !document.hidden;

  function tick() {
    const gap = performance.now() - last;
    if (awake && gap <= LONGEST_GAP) measured.active_ms += gap;
    measured.wall_ms += gap;
    last += gap;
    awake = !document.hidden;
  }
  for (const sign of SIGNS) {
    document.addEventListener(sign, tick, { passive: true, capture: true });
  }
  document.addEventListener("visibilitychange", tick);

  return {
    measured() {
      tick();
      return measured;
    },
    moved(how) {
      tick();
      measured.n_moves += 1;
      measured[`n_${how}`] = (measured[`n_${how}`] ?? 0) + 1;
      measured.first_ms ??= measured.wall_ms;
    },
    undid: () => (measured.n_undos += 1),
  };
}
