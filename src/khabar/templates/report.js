"use strict";
// Filters, steps from mistake to mistake, and a mention's counterpart. Without this script everything is shown.
(() => {
  const form = document.getElementById("filters");
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  if (!form) return;
  const articles = [...document.querySelectorAll("article.example")];
  const status = document.getElementById("status");
  const chosen = (name) => [...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value);
  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

  function filter() {
    const layers = new Set(chosen("layer"));
    const kinds = new Set(chosen("kind"));
    const label = form.elements.label.value;
    const open = [...form.querySelectorAll("input")].every((box) => box.checked) && !label;
    const fits = ({ dataset: mark }) =>
      layers.has(mark.layer) && kinds.has(mark.kind) && (!label || label === `${mark.layer}/${mark.label}`);
    let shown = 0;
    const mistakes = new Set();
    articles.forEach((article, number) => {
      let any = open;
      article.querySelectorAll("[data-layer]").forEach((mark) => {
        const fit = fits(mark);
        mark.classList.toggle("off", !fit);
        any ||= fit;
        if (fit && mark.dataset.kind !== "correct" && mark.dataset.pair) mistakes.add(`${number} ${mark.dataset.pair}`);
      });
      article.querySelectorAll(".events").forEach((pair) => {
        pair.hidden = !open && !pair.querySelector(".mark:not(.off)");
      });
      article.hidden = !any;
      shown += any;
    });
    document.getElementById("nothing").hidden = shown > 0;
    status.textContent = `${shown} of ${plural(articles.length, "article")}, ${plural(mistakes.size, "mistake")}`;
  }

  // A mistake is visited once: in gold where gold has it, else in the prediction.
  function stops() {
    const seen = new Set();
    return [...document.querySelectorAll("article.example:not([hidden]) .mark:not(.off):not(.correct)")].filter((mark) => {
      if (!mark.offsetParent) return false;
      const key = `${articles.indexOf(mark.closest("article"))} ${mark.dataset.pair}`;
      return !seen.has(key) && seen.add(key);
    });
  }

  let last = null;
  function step(way) {
    const all = stops();
    if (!all.length) return;
    const at = all.indexOf(last);
    last = at < 0 ? all.at(way > 0 ? 0 : -1) : all.at((at + way) % all.length);
    last.focus({ preventScroll: true });
    last.scrollIntoView({ block: "center" });
  }

  function light(event) {
    const mark = event.target.closest?.(".mark");
    document.querySelectorAll(".paired").forEach((one) => one.classList.remove("paired"));
    if (!mark) return;
    mark.closest("article").querySelectorAll(`[data-pair="${mark.dataset.pair}"]`).forEach((one) => one.classList.add("paired"));
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  document.getElementById("next").addEventListener("click", () => step(1));
  document.getElementById("previous").addEventListener("click", () => step(-1));
  const section = document.getElementById("examples");
  section.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("select")) return;
    if (event.key === "n" || event.key === "p") step(event.key === "n" ? 1 : -1);
  });
  section.addEventListener("mouseover", light);
  section.addEventListener("focusin", light);
  filter();
})();
