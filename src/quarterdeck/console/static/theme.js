// Before anything is drawn: a page that turns dark a moment later blinds who is on night watch.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
