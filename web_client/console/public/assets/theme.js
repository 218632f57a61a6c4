// Runs before the first paint, so that a page whose theme was chosen never flashes in the other one.
try {
  document.documentElement.dataset.theme = localStorage.getItem("hopsack.theme") || "auto";
} catch {
  document.documentElement.dataset.theme = "auto";
}
