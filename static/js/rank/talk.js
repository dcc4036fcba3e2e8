// Talks to the labeler, aloud and in print, and to the server.

export const at = (id) => document.getElementById(id);

// Hears these events wherever they happen, until `signal` is aborted.
export function on(signs, call, signal) {
  for (const sign of signs.split(" ")) addEventListener(sign, call, { capture: true, signal });
}

// A sentence of the page's, with values in the place of each "%".
export const words = (key, ...values) =>
  at("words").dataset[key].replace(/%/g, () => values.shift());
// The sentence for one thing, or for several.
export const plural = (key, count, said = count) =>
  words(count === 1 ? `${key}One` : key, said);

export const time = (when) => new Date(when).toTimeString().slice(0, 5);

// 100 ms late, so that screen readers notice it; the last message wins.
let announcement;
export function say(message) {
  clearTimeout(announcement);
  announcement = setTimeout(() => (at("status").textContent = message), 100);
}

// In print at once and aloud at once: what is wrong, and buttons or links to mend it.
export const warn = (...parts) => at("alert").replaceChildren(...parts);

export function button(label, onclick) {
  const made = Object.assign(document.createElement("button"), { type: "button", onclick });
  made.className = "quiet";
  made.textContent = label;
  return made;
}

// --- To the server: what goes wrong comes back as a word, never as an exception ------

const TIMEOUT = 10_000;

// Signing in again changes the token, so it is read when it is sent.
const csrf = () => /csrftoken=(\w+)/.exec(document.cookie)?.[1];

const OUTCOMES = {
  401: "signedOut", 403: "signedOut", 409: "refused", 422: "refused", 429: "unreached",
};
const outcomeOf = ({ ok, status }) =>
  ok ? "done" : OUTCOMES[status] ?? (status < 500 ? "blocked" : "unreached");

// The server's answer to `body`, with `outcome`: done, signedOut, refused (it says what
// to mend), unreached (try again, after `wait` seconds if it says so), or blocked; `code`
// is its status. A page comes as `page`, from `url`.
export async function ask(address, body, how) {
  const json = "application/json";
  const headers = { Accept: json, "Content-Type": json, "X-CSRFToken": csrf() };
  const signal = AbortSignal.timeout(TIMEOUT);
  try {
    const response = await fetch(address, {
      method: "POST", signal, headers, body: body && JSON.stringify(body), ...how,
    });
    const { status: code, url, headers: said } = response;
    const isJson = said.get("Content-Type")?.includes("json");
    const answer = isJson ? await response.json() : { page: await response.text() };
    const wait = Number(said.get("Retry-After"));
    return { url, ...answer, code, wait, outcome: outcomeOf(response) };
  } catch {
    return { outcome: "unreached" };
  }
}

export const get = (address) => ask(address, null, { method: "GET" });

// A page as a document of its own.
export const parsed = (page = "") => new DOMParser().parseFromString(page, "text/html");
