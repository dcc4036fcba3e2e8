// The page about submissions that this device holds: waiting, or refused by the server.
import { write } from "./order.js";
import { mine, put, watch } from "./outbox.js";
import { at, on } from "./talk.js";

function rowOf(entry) {
  const { token, page, reason, body } = entry;
  const row = at("unsent-row").content.cloneNode(true);
  const part = (name) => row.querySelector(`.${name}`);
  part("when").textContent = new Date(entry.at).toLocaleString();
  part("order").textContent = write(body.ranks);
  if (reason) part("reason").textContent = reason;
  part("open").href = page;
  part("download").href = URL.createObjectURL(
    new Blob([JSON.stringify(entry, null, 2)], { type: "application/json" }),
  );
  part("download").download = `ranking-${token}.json`;
  part("remove").hidden = !reason;
  part("remove").onclick = () => {
    put(token);
    show();
  };
  return row;
}

function show() {
  const entries = mine();
  at("unsent").hidden = !entries.length;
  at("unsent-none").hidden = Boolean(entries.length);
  at("unsent").querySelector("tbody").replaceChildren(...entries.map(rowOf));
}

show();
on("storage", show);
watch(show);
