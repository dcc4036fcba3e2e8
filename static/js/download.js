// A file that was being written begins to come as soon as it is there. Its link stays.

document.addEventListener("htmx:afterSwap", () => {
  document.querySelector("a[data-ready]")?.click();
});
