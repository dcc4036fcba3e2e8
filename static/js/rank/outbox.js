// Submissions that have not arrived: kept on this device under their labeler's name and
// sent until the server has answered each. Sending one twice is harmless: its key tells.
import { clearDrafts, load, me, store } from "./device.js";
import { ask, at, get, on, parsed, plural, say, warn, words } from "./talk.js";

// No sending before this time: the server asked for it.
const NOT_BEFORE = "outbox-not-before";

const key = () => `outbox ${me()}`;
export const mine = () => load(key()) ?? [];
const waiting = () => mine().filter((entry) => !entry.reason);
export const entryOf = (token) => mine().find((entry) => entry.token === token);

// Puts an entry in the place of the one with its token, or takes it out.
export function put(token, entry) {
  const others = mine().filter((one) => one.token !== token);
  const kept = store(key(), entry ? [...others, entry] : others);
  showCount();
  return kept;
}

// Whether the browser is signed in as somebody else by now: in another tab.
async function isSomebodyElse() {
  const { page } = await get(document.querySelector(".brand").href);
  return parsed(page).querySelector(".who")?.textContent !== me();
}

export async function send(entry) {
  const { token, address, body } = entry;
  const answer = await ask(address, body);
  if (answer.wait) store(NOT_BEFORE, Date.now() + answer.wait * 1000);
  if (answer.outcome === "blocked" && (await isSomebodyElse())) answer.outcome = "signedOut";
  if (answer.outcome === "done") {
    clearDrafts((one, draft) => one === token && draft?.submission_uuid === body.submission_uuid);
    put(token);
  } else if (/refused|blocked/.test(answer.outcome)) {
    answer.message ??= words("blocked", answer.code);
    put(token, { ...entry, reason: answer.message });
  } else if (answer.outcome === "signedOut" && at("sign-in")) {
    warn(at("sign-in").content.cloneNode(true));
  }
  return answer;
}

// --- Sending again ----------------------------------------------------------------

let tries = 0;
let retrying;
let arrived;

export function retry() {
  clearTimeout(retrying);
  const pause = Math.min(60, 2 ** tries) * (800 + 400 * Math.random());
  tries += 1;
  retrying = setTimeout(flush, Math.max(pause, load(NOT_BEFORE) - Date.now()));
}

// Under a lock, so that of several tabs one sends; the others look again later.
async function flush() {
  const sent = [];
  await navigator.locks.request(key(), { ifAvailable: true }, async (lock) => {
    if (!lock || !navigator.onLine || load(NOT_BEFORE) > Date.now()) return;
    for (const entry of waiting()) {
      const { outcome } = await send(entry);
      if (/signedOut|unreached/.test(outcome)) return;
      if (outcome === "done") sent.push(entry.token);
      tries = 0;
    }
  });
  if (waiting().length) retry();
  if (sent.length) arrived(sent, plural("sent", sent.length));
}

function showCount() {
  const count = mine().length;
  at("outbox").hidden = !count;
  at("outbox").textContent = plural("unsent", count);
}

// Watches the connection, this tab and the way out; `onArrival` hears the tokens that
// were sent, and the news.
export function watch(onArrival) {
  arrived = onArrival;
  const wake = () => {
    tries = 0;
    if (!document.hidden && waiting().length) flush();
  };
  on("online visibilitychange", wake);
  on("offline", () => say(words("offline")));
  on("storage", showCount);
  window.onbeforeunload = (event) => {
    if (waiting().length) event.preventDefault();
  };
  document.querySelector(".sign-out").onsubmit = async (event) => {
    event.preventDefault();
    await flush();
    const unsent = waiting().length;
    if (unsent && !confirm(words("signOut", plural("unsent", unsent)))) return;
    window.onbeforeunload = null;
    // Not before: a draft that is being saved is kept here again once that is answered.
    on("pagehide", () => clearDrafts(() => true));
    event.target.submit();
  };
  showCount();
  wake();
}
