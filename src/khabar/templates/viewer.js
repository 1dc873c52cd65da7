"use strict";
// Events are selected, articles are searched, the language is changed. Without this script all is there to be read.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const at = (id) => document.getElementById(id);
  const say = (element) => element.dataset[root.lang];
  let address = new URLSearchParams(location.hash.slice(1));

  function remember(name, value) {
    if (value) address.set(name, value);
    else address.delete(name);
    try {
      history.replaceState(null, "", `#${address}`);
    } catch {
      // A frame without an address of its own has nothing to remember.
    }
  }

  function speak(language) {
    root.lang = language;
    root.dir = language === "ar" ? "rtl" : "ltr";
    const key = language === "ar" ? "Ar" : "En";
    all("[data-aria-ar]").forEach((one) => {
      one.setAttribute("aria-label", one.dataset[`aria${key}`]);
      if (one.matches("button")) one.title = one.dataset[`aria${key}`];
    });
    all("[data-hint-ar]").forEach((one) => { one.placeholder = one.dataset[`hint${key}`]; });
    all("[data-language]").forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.language === language)));
    all("a[href]").forEach((link) => {
      const [page, hash = ""] = link.getAttribute("href").split("#");
      if (!page) return;
      const parts = new URLSearchParams(hash);
      if (language === "ar") parts.delete("lang");
      else parts.set("lang", language);
      link.href = parts.size ? `${page}#${parts}` : page;
    });
    if (selected) {
      draw();
      announce();
    }
  }

  // Events in text order: the pieces of the trigger, the pieces of each argument, the card.
  let articles, events, keys;
  let stops; // the first piece of a trigger -> its events
  const texts = new Map();

  function gather() {
    articles = all(".article");
    texts.clear();
    events = new Map(all(".event").map((card) => [card.dataset.event, { card, trigger: [], parts: new Map() }]));
    all("[data-t], [data-a]").forEach((piece) => {
      for (const key of (piece.dataset.t ?? "").split(" ").filter(Boolean)) events.get(key).trigger.push(piece);
      for (const name of (piece.dataset.a ?? "").split(" ").filter(Boolean)) {
        const [key, number] = name.split(":");
        const { parts } = events.get(key);
        parts.set(number, [...(parts.get(number) ?? []), piece]);
      }
    });
    keys = [...events.keys()];
    stops = new Map();
    for (const [key, { trigger: [first] }] of events) stops.set(first, [...(stops.get(first) ?? []), key]);
    for (const stop of stops.keys()) {
      stop.setAttribute("role", "button");
      stop.setAttribute("aria-pressed", "false");
      stop.tabIndex = -1;
    }
    if (keys.length) events.get(keys[0]).trigger[0].tabIndex = 0;
    all(".steps, #articles > .hint").forEach((one) => { one.hidden = !keys.length; });
    at("place")?.replaceChildren(keys.length ? String(keys.length) : "");
  }

  let selected = null;
  const changed = []; // what undoes the marks of the selected event

  function mark(element, ...names) {
    element.classList.add(...names);
    changed.push(() => element.classList.remove(...names));
  }

  function clear() {
    changed.splice(0).forEach((undo) => undo());
    selected = null;
  }

  function pick(key, { scroll = true, focus = true } = {}) {
    clear();
    const { card, trigger, parts } = events.get(key);
    selected = key;
    mark(card, "on");
    trigger.forEach((piece) => mark(piece, "on"));
    const stop = trigger[0];
    stop.setAttribute("aria-pressed", "true");
    changed.push(() => stop.setAttribute("aria-pressed", "false"));
    all(".argument", card).forEach((row) => {
      const pieces = parts.get(row.dataset.argument);
      const question = row.classList[1];
      pieces.forEach((piece) => mark(piece, "of", question));
    });
    for (const other of stops.keys()) if (other.tabIndex === 0 && other !== stop) other.tabIndex = -1;
    stop.tabIndex = 0;
    if (focus) stop.focus({ preventScroll: true });
    if (scroll) show(stop);
    const panel = card.closest(".events");
    if (getComputedStyle(panel).overflowY === "auto") panel.scrollTop = card.offsetTop - panel.clientHeight / 4;
    draw();
    announce();
    remember("event", key);
  }

  // Brings a trigger into view unless it stands well within it; twice, for paragraphs find their height when shown.
  function show(stop) {
    for (let times = 0; times < 2; times += 1) {
      const { top, bottom } = stop.getBoundingClientRect();
      const low = innerHeight * (matchMedia("(max-width: 60rem)").matches ? 0.5 : 0.85);
      if (top < 110 || bottom > low) scrollBy({ top: top - Math.min(innerHeight * 0.35, low - 60), behavior: "instant" });
    }
  }

  function announce() {
    const { card } = events.get(selected);
    const rows = all(".argument", card).map((row) => `${say(row)}: ${row.querySelector("dd bdi").textContent}`);
    const visible = open();
    const place = `${visible.indexOf(selected) + 1} / ${visible.length}`;
    at("place").textContent = place;
    const head = `${say(card.querySelector(".name"))}: ${card.querySelector(".trigger").textContent}`;
    at("status").textContent = [`${head} (${place})`, ...rows].join(root.lang === "ar" ? "؛ " : "; ");
  }

  const open = () => keys.filter((key) => !events.get(key).card.closest(".article").hidden);

  function rest() {
    if (selected) clear();
    at("status").textContent = "";
    at("place").textContent = String(open().length);
    remember("event", null);
  }

  function step(way) {
    const visible = open();
    if (!visible.length) return;
    const held = selected ?? stops.get(document.activeElement)?.[0];
    let next = visible.indexOf(held) + way;
    if (!visible.includes(held)) {
      // From where the reader is.
      next = visible.findIndex((key) => events.get(key).trigger[0].getBoundingClientRect().top > 60);
      if (next < 0) next = visible.length - 1;
    }
    pick(visible.at(next % visible.length));
  }

  // Over the text, where it costs no new layout of it: the role of each argument, and a line from the trigger to it. All
  // places are asked for before anything is drawn.
  function draw() {
    const { card, trigger, parts } = events.get(selected);
    const sheet = card.closest(".article").querySelector(".sheet");
    const links = sheet.querySelector(".links");
    links.replaceChildren();
    const paper = sheet.getBoundingClientRect();
    const from = trigger[0].getClientRects()[0];
    if (!from) return;
    const rows = all(".argument", card).map((row) => [row, parts.get(row.dataset.argument)[0].getClientRects()[0]]);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const chips = new Map();
    links.append(svg);
    const x = (from.left + from.right) / 2 - paper.left;
    rows.forEach(([row, to]) => {
      if (!to) return;
      const end = to.right - paper.left - 14;
      const same = Math.abs(to.top - from.top) < from.height;
      const below = to.top > from.top;
      const y = (below && !same ? from.bottom : from.top) - paper.top;
      const last = (below || same ? to.top : to.bottom) - paper.top + (below || same ? -10 : 2);
      const bend = same ? -Math.min(30, 12 + Math.abs(end - x) / 14) : (last - y) * 0.55;
      const path = document.createElementNS(svg.namespaceURI, "path");
      path.setAttribute("d", `M${x} ${y} C${x} ${y + bend} ${end} ${same ? last + bend + 8 : last - bend} ${end} ${last}`);
      path.setAttribute("class", row.classList[1]);
      svg.append(path);
      const spot = `${to.right} ${to.top}`;
      const chip = chips.get(spot) ?? document.createElement("span");
      chip.textContent += chips.has(spot) ? ` · ${say(row)}` : say(row);
      if (chips.has(spot)) return;
      chips.set(spot, chip);
      chip.className = `chip ${row.classList[1]}`;
      chip.style.right = `${paper.right - to.right - 3}px`;
      chip.style.top = `${to.top - paper.top}px`;
      links.append(chip);
    });
    changed.push(() => links.replaceChildren());
  }

  document.addEventListener("click", ({ target }) => {
    const language = target.closest("[data-language]");
    if (language) {
      speak(language.dataset.language);
      remember("lang", root.lang === "ar" ? null : root.lang);
    }
    const kind = target.closest(".kind");
    if (kind) {
      const shown = kind.getAttribute("aria-pressed") !== "true";
      kind.setAttribute("aria-pressed", String(shown));
      all("mark").filter((one) => one.dataset.en === kind.dataset.type).forEach((one) => one.classList.toggle("off", !shown));
    }
    if (target.closest("#next")) step(1);
    if (target.closest("#previous")) step(-1);
    const piece = target.closest("[data-t]");
    if (piece) {
      const here = piece.dataset.t.split(" ");
      pick(here[(here.indexOf(selected) + 1) % here.length], { scroll: false });
    }
    const card = target.closest(".event");
    if (card && !getSelection().toString()) pick(card.dataset.event);
  });

  const forward = new Set(["j", "ArrowLeft", "ArrowDown"]); // the text runs to the left
  const backward = new Set(["k", "ArrowRight", "ArrowUp"]);
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (target.matches("textarea")) return;
    if (target.matches("input")) {
      if (key !== "Escape") return;
      target.value = "";
      filter();
    }
    const here = stops.get(target);
    if (key === "Escape") rest();
    else if (!keys.length || (!here && key !== "j" && key !== "k")) return;
    else if (forward.has(key)) step(1);
    else if (backward.has(key)) step(-1);
    else if (key === "Home" || key === "End") pick(open().at(key === "Home" ? 0 : -1));
    else if (key === "Enter" || key === " ") pick(here[(here.indexOf(selected) + 1) % here.length]);
    else return;
    event.preventDefault();
  });

  // As people write: without vowel signs, with one alef, one ya, one ha.
  const folded = (text) =>
    text.toLowerCase().replace(/[\u064b-\u0652\u0640]/g, "").replace(/[أإآ]/g, "ا").replace(/ى/g, "ي").replace(/ة/g, "ه");

  function filter() {
    const wanted = folded(at("search").value.trim());
    let shown = 0;
    for (const one of articles) {
      if (!texts.has(one)) {
        const labels = all("[data-en]", one).map((labelled) => `${labelled.dataset.ar} ${labelled.dataset.en}`);
        texts.set(one, folded([one.textContent, ...new Set(labels)].join(" ")));
      }
      one.hidden = !texts.get(one).includes(wanted);
      shown += !one.hidden;
    }
    at("nothing").hidden = shown > 0 || !articles.length;
    at("shown").textContent = wanted ? `${shown} / ${articles.length}` : "";
    if (selected && !open().includes(selected)) rest();
    else if (selected) announce();
    else if (keys.length) at("place").textContent = String(open().length);
  }
  at("search")?.addEventListener("input", filter);

  let width = innerWidth;
  addEventListener("resize", () => {
    if (!selected || width === innerWidth) return;
    width = innerWidth;
    all(".links").forEach((links) => links.replaceChildren());
    draw();
  });

  function arrive() {
    address = new URLSearchParams(location.hash.slice(1));
    speak(address.get("lang") === "en" ? "en" : "ar");
    const article = at(`article=${address.get("article")}`);
    if (events.has(address.get("event"))) pick(address.get("event"));
    else if (article) article.scrollIntoView();
  }
  // A page that asks a service is given other articles.
  document.addEventListener("articles", () => {
    clear();
    remember("event", null);
    gather();
    speak(root.lang);
    at("status").textContent = "";
  });
  addEventListener("hashchange", arrive);
  gather();
  arrive();
})();
