// The draft of a ranking: on this device at every change, on the server within two
// seconds, until the ranking is stored.
import {
  api, form, letters, measured, onChange, ranked, signal, take, tiers,
} from "./bench.js";
import { loadDraft, saveDraft } from "./device.js";
import { write } from "./order.js";
import { at, button, on, say, time, warn, words } from "./talk.js";

const PAUSE = 1500;
const AFTER_A_FAILURE = 10_000;

// The revision that the work here is based on, and whether there is more to save.
let rev;
let unsaved;
let failed;
let asking;
// The order that was sent last without an answer.
let sent;
let saving;

// What the form says, as the server's addresses take it.
export function content() {
  const said = { ranks: {}, ratings: {}, flags: {}, note: "" };
  for (const [name, value] of new FormData(form)) {
    const [field, letter] = name.split("_");
    const scores = { tier: said.ranks, rating: said.ratings }[field];
    if (scores && value) scores[letter] = Number(value);
    if (field === "flag") (said.flags[letter] ??= []).push(value);
    if (/note|replace|submission/.test(name) && value) said[name] = value;
  }
  return said;
}

function fill({ ranks, ratings, flags, note }) {
  for (const field of form.elements) {
    const [kind, letter] = field.name.split("_");
    if (kind === "rating") field.checked = field.value === String(ratings?.[letter]);
    if (kind === "flag") field.checked = flags?.[letter]?.includes(field.value);
    if (kind === "note") field.value = note ?? "";
  }
  take(Object.fromEntries(letters.map((l) => [l, ranks[l] ?? 0])));
}

function keepHere() {
  return saveDraft(form.dataset.token, { ...content(), measured, rev, unsaved });
}

function later(pause) {
  clearTimeout(saving);
  saving = setTimeout(save, pause);
}

function showSaved(key, when) {
  at("saved").textContent = words(key, ranked(), time(when));
}

async function save(how) {
  const page = signal;
  // Two at once would have the same revision, and the second would be a conflict; and
  // so would one that finds the ranking stored which is under way.
  if (asking || form.ariaBusy === "true") {
    later(PAUSE);
    return;
  }
  unsaved = false;
  asking = true;
  const body = content();
  const answer = await api("draft", { rev, ...body }, { method: "PUT", ...how });
  if (page.aborted) return;
  asking = false;
  if (answer.outcome === "done") {
    ({ rev } = answer);
    if (failed) say(words("savedAgain"));
    failed = false;
    showSaved("saved", Date.now());
  } else {
    unsaved = true;
    if (answer.outcome === "unreached") {
      failed = true;
      sent = body.ranks;
      later(AFTER_A_FAILURE);
    } else if (answer.draft) choose(answer);
  }
  keepHere();
}

// The next save follows this revision; without one a stored ranking, which it corrects.
function adopt(newest) {
  rev = newest;
  if (!rev) form.replace.value = "on";
}

// Two rankings of one prompt: both are shown, and the labeler chooses. Where the other
// is our own, whose answer was lost, or the same work, there is nothing to choose.
function choose({ rev: newest, draft }) {
  if ([sent, tiers].map(write).includes(write(draft.ranks))) {
    adopt(newest);
    later(0);
    return;
  }
  const both = [draft.ranks, tiers].map((order) => write(order) || words("nothing"));
  const offer = (label, use) =>
    button(words(label), () => {
      adopt(newest);
      use();
      warn();
      save();
    });
  const keep = offer("keep", () => {});
  warn(words("changed", ...both), keep, " ", offer("take", () => fill(draft)));
}

const leave = () => unsaved && save({ keepalive: true });

// Restores the newest draft, here or on the server, and gives the time it is from.
export function keepDrafts(queued) {
  const server = JSON.parse(form.dataset.draft);
  const isRefused = "refused" in form.dataset;
  const here = isRefused ? null : queued ?? loadDraft(form.dataset.token);
  const isBehind = !isRefused && server?.rev > (here?.rev ?? 0);
  unsaved = Boolean(here?.unsaved);
  failed = asking = false;
  sent = {};
  rev = (isBehind && unsaved ? here : server ?? here)?.rev ?? 0;
  if (here) form.submission_uuid.value = here.submission_uuid;
  // A page that was refused brings back what it measured.
  Object.assign(measured, here?.measured ?? JSON.parse(form.telemetry.value));
  onChange(() => {
    unsaved = true;
    if (keepHere()) showSaved("savedHere", Date.now());
    else at("saved").textContent = words("unsaved");
    later(PAUSE);
  });
  on("pagehide online", leave, signal);
  signal.addEventListener("abort", () => clearTimeout(saving));

  const restored = isBehind && !unsaved ? server : here;
  if (!restored) return "";
  fill(restored);
  if (isBehind && unsaved) choose({ rev: server.rev, draft: server });
  else leave();
  showSaved("saved", restored.at ?? restored.saved_at);
  return time(restored.at ?? restored.saved_at);
}
