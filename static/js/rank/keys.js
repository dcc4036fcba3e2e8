// Which command a key means; undefined when it is none of ours.

const COMMANDS = {
  J: { do: "go", to: "next" },
  K: { do: "go", to: "previous" },
  N: { do: "go" },
  U: { do: "undo" },
  X: { do: "fold" },
  "/": { do: "line" },
  ",": { do: "shift", step: -1 },
  ".": { do: "shift", step: 1 },
  Backspace: { do: "place", tier: 0 },
};

// By place on the keyboard, so that a French row of digits works; a numeric pad
// counts only while it types digits (NumLock).
function digit(event) {
  const found = /^(Digit|Numpad)([0-9])$/.exec(event.code);
  if (!found || (found[1] === "Numpad" && !/^[0-9]$/.test(event.key))) return undefined;
  return { do: "place", tier: Number(found[2]), fresh: event.shiftKey && found[2] !== "0" };
}

// The letter typed, or on a keyboard without Latin letters the one at its place.
function latin(event) {
  if (/^[a-z]$/i.test(event.key)) return event.key.toUpperCase();
  const foreign = /^\p{L}$/u.test(event.key) && /^Key([A-Z])$/.exec(event.code);
  return foreign ? foreign[1] : event.key;
}

export function command(event, letters, singleKeys) {
  if (event.isComposing || event.altKey) return undefined;
  const key = latin(event);
  if (event.ctrlKey || event.metaKey) {
    if (key === "Enter") return { do: "submit" };
    if (key === "Z") return { do: event.shiftKey ? "redo" : "undo" };
    return key === "Y" ? { do: "redo" } : undefined;
  }
  if (!singleKeys) return undefined;
  if (letters.includes(key)) return { do: "go", to: key };
  if (key === "X" && event.shiftKey) return { do: "fold", all: true };
  return digit(event) ?? COMMANDS[key];
}
