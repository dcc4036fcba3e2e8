// The figure of a run comes anew with every step. The old one stays until the new one
// is loaded, so that nothing flickers.

let shown = null;

document.addEventListener("htmx:beforeSwap", () => {
  shown = document.querySelector(".curves picture");
});

document.addEventListener("htmx:afterSwap", () => {
  const old = shown;
  const fresh = document.querySelector(".curves picture");
  const image = fresh?.querySelector("img");
  if (!old || !image || image.complete) return;
  fresh.replaceWith(old);
  image.addEventListener("load", () => old.replaceWith(fresh), { once: true });
});
