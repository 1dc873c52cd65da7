"use strict";
// Sends what stands in the box to the service and shows the articles of its answer.
(() => {
  const at = (id) => document.getElementById(id);
  const box = at("article");
  const button = at("label");
  const spoken = () => document.documentElement.lang;
  let reason = null; // why nothing was labelled: a status of HTTP, 0 where no answer came
  let asked = false;

  function work(busy) {
    asked = busy;
    button.setAttribute("aria-disabled", String(busy));
    document.querySelectorAll(".spinner, #busy").forEach((one) => { one.hidden = !busy; });
    at("articles").setAttribute("aria-busy", String(busy));
  }

  function complain(status) {
    reason = status;
    const said = document.querySelector(`[data-refusal="${status}"]`) ?? document.querySelector("[data-refusal='500']");
    at("refused").textContent = status === null ? "" : said.dataset[spoken()];
  }

  async function ask() {
    if (asked) return;
    if (!box.value.trim()) {
      complain(422);
      box.focus();
      return;
    }
    complain(null);
    work(true);
    try {
      const answer = await fetch("label?format=html", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ text: box.value }),
      });
      if (!answer.ok) {
        complain(answer.status);
        return;
      }
      // Nodes that a parser made run no scripts, and the policy of this page lets none in.
      const found = new DOMParser().parseFromString(await answer.text(), "text/html");
      at("articles").replaceChildren(...found.body.childNodes);
      document.dispatchEvent(new Event("articles"));
    } catch {
      complain(0);
    } finally {
      work(false);
    }
  }

  button.addEventListener("click", ask);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    ask();
  });
  document.addEventListener("click", ({ target }) => {
    if (target.closest("[data-language]")) complain(reason);
  });
})();
