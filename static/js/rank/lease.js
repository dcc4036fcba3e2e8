// The lease: while somebody is at work, the prompt stays theirs, asked for three times a
// lease; who is not is told before it ends.
import { api, form, signal, worked } from "./bench.js";
import { on, plural, warn, words } from "./talk.js";

const NOTICE = 300;

// `gone` is called when a page that was fetched ahead turns out to be lost already.
export function hold(gone) {
  const lease = form.dataset.lease * 60;
  const page = signal;
  let timer;
  let warned = false;
  let before = worked();

  function warnIn(left) {
    clearTimeout(timer);
    const notice = Math.min(NOTICE, left / 3);
    timer = setTimeout(() => {
      warned = true;
      warn(plural("held", Math.ceil(notice / 60)));
    }, (left - notice) * 1000);
  }

  async function beat(lost = () => warn(words("lost"))) {
    const { held, seconds_left: left } = await api("heartbeat");
    if (page.aborted) return;
    if (held) warnIn(left);
    else if (held === false) lost();
  }

  function wake() {
    if (!warned) return;
    warned = false;
    warn();
    beat();
  }

  const ticker = setInterval(() => {
    const now = worked();
    if (now !== before) beat();
    before = now;
  }, lease * 333);
  page.addEventListener("abort", () => {
    clearInterval(ticker);
    clearTimeout(timer);
  });
  on("keydown pointerdown", wake, signal);
  if ("ahead" in form.dataset) beat(gone);
  else if (form.dataset.left > 0) warnIn(form.dataset.left);
}
