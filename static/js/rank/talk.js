// Talks to the labeler, aloud and in print, and to the server.

const status = document.getElementById("status");
const alarm = document.getElementById("alert");
let waiting;

// 100 ms late, so that screen readers notice it; the last message wins.
export function say(message) {
  clearTimeout(waiting);
  waiting = setTimeout(() => (status.textContent = message), 100);
}

export function warn(message = "", ...more) {
  alarm.replaceChildren(message, ...more);
}

// --- To the server: what goes wrong comes back as a word, never as an exception ------

const TIMEOUT = 10_000;

// Signing in again changes the token, so it is read when it is needed.
const token = () => /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1];

export async function post(address, fields) {
  const body = new URLSearchParams(fields);
  if (token()) body.set("csrfmiddlewaretoken", token());
  const asked = { method: "POST", body, headers: { Accept: "application/json" } };
  try {
    const response = await fetch(address, { ...asked, signal: AbortSignal.timeout(TIMEOUT) });
    const { ok, status, redirected, headers } = response;
    // First, because the page to sign in at may answer in JSON too.
    if (redirected || status === 401) return { outcome: "signedOut" };
    if (headers.get("Content-Type")?.startsWith("application/json")) {
      return { ...(await response.json()), outcome: ok ? "done" : "refused" };
    }
    if (status === 403) return { outcome: "signedOut" };
    return { outcome: status < 500 && status !== 429 ? "blocked" : "unreached" };
  } catch {
    return { outcome: "unreached" };
  }
}
