// Submissions that have not arrived: kept on this device under their labeler's name and
// sent until the server has answered each. Sending one twice is harmless: its key tells.
import { clearDrafts, load, store } from "./device.js";
import { ask, at, on, plural, say, warn, words } from "./talk.js";

const KEY = "outbox";
// No sending before this time: the server asked for it.
const NOT_BEFORE = "outbox-not-before";

export const me = () => document.querySelector(".who")?.textContent;
const all = () => load(KEY) ?? [];
export const mine = () => all().filter((entry) => entry.user === me());
const waiting = () => mine().filter((entry) => !entry.reason);
export const entryOf = (token) => mine().find((entry) => entry.token === token);

// Puts an entry in the place of the one with its token, or takes it out.
export function put(token, entry) {
  const others = all().filter((one) => one.token !== token || one.user !== me());
  const kept = store(KEY, entry ? [...others, entry] : others);
  showCount();
  return kept;
}

// Whether the browser is signed in as somebody else by now: in another tab.
async function isSomebodyElse(user) {
  const { page } = await ask(document.querySelector(".brand").href, null, { method: "GET" });
  const there = new DOMParser().parseFromString(page ?? "", "text/html");
  return there.querySelector(".who")?.textContent !== user;
}

export async function send(entry) {
  const { token, user, address, body } = entry;
  const answer = await ask(address, body);
  if (answer.wait) store(NOT_BEFORE, Date.now() + answer.wait * 1000);
  if (answer.outcome === "blocked" && (await isSomebodyElse(user))) answer.outcome = "signedOut";
  if (answer.outcome === "done") {
    clearDrafts((one, draft) => one === token && draft?.uuid === body.submission_uuid);
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
  await navigator.locks.request(KEY, { ifAvailable: true }, async (lock) => {
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
  const staying = new AbortController();
  on("beforeunload", (event) => waiting().length && event.preventDefault(), staying.signal);
  document.querySelector(".sign-out").onsubmit = async (event) => {
    event.preventDefault();
    await flush();
    const unsent = waiting().length;
    if (unsent && !confirm(words("signOut", plural("unsent", unsent)))) return;
    staying.abort();
    clearDrafts(() => true);
    event.target.submit();
  };
  showCount();
  wake();
}
