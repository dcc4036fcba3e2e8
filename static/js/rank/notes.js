// What a labeler says besides the order: flags, the note, a skip; and the list of keys.
import { changed, form, keys, worked } from "./bench.js";
import { at } from "./talk.js";

// Opens a box and goes into its first field; Escape goes back.
function visit(box) {
  if (!box) return;
  const from = document.activeElement;
  box.open = true;
  box.querySelector("input, textarea").focus();
  box.onkeydown = ({ key }) => {
    if (key === "Escape") from.focus();
  };
}

export function beginNotes() {
  const skip = at("skip");
  at("skip-dialog").append(skip);
  skip.onsubmit = () => (skip.elements.active_ms.value = worked());
  keys.S = () => at("skip-dialog").showModal();
  keys["?"] = () => at("keys").showModal();
  keys.M = () => visit(at("note-box"));
  keys.T = (letter) => visit(at(`r${letter}`)?.querySelector(".flags"));
  form.oninput = ({ target }) => {
    if (/^(note|rating|flag)/.test(target.name)) changed();
  };
}
