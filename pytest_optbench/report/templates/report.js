// Sorts and filters the overview, and shows one decision at a time. Everything here is also readable without it.
(() => {
  "use strict";
  document.documentElement.classList.add("js");
  const byId = (name) => document.getElementById("page:" + name);

  // What the overview is sorted by: label, value of a decision, whether the largest comes first.
  const ORDERS = {
    given: ["Group and rank", (_doc, index) => index, false],
    verdict: ["Verdict", (doc) => ["ACCEPT", "REJECT", "INCONCLUSIVE"].indexOf(doc.verdict), false],
    title: ["Title", (doc) => doc.title, false],
    group: ["Group", (doc) => doc.group, false],
    saved: ["Time saved", (doc) => (doc.ratio || {}).estimate, true],
    pairs: ["Pairs", (doc) => doc.pairs.index.length, true],
    noise: ["Noise floor", (doc) => (doc.control || {}).noise_floor, false],
    adjusted: ["Adjusted p", (doc) => doc.p_adjusted, false],
  };

  function compare(a, b) {
    const unknown = (value) => value === null || value === undefined || value === "";
    if (unknown(a) || unknown(b)) return unknown(a) - unknown(b); // unknown values last, whichever way
    return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  }

  function overview(docs, groups) {
    const body = byId("rows");
    const rows = [...body.rows];
    const headers = [...document.querySelectorAll("th[data-sort]")];
    const text = byId("text");
    const group = byId("group");
    const order = byId("order");
    const chips = [...document.querySelectorAll(".chip")];
    const words = docs.map((doc) =>
      [doc.title, doc.group, doc.id, doc.verdict, ...doc.reasons, doc.baseline.name, doc.optimized.name]
        .join("\n").toLowerCase());
    let sorted = { by: "given", descending: false };

    function sort(by, descending) {
      sorted = { by, descending };
      const value = ORDERS[by][1];
      const keys = docs.map(value);
      const known = (i) => !(keys[i] === null || keys[i] === undefined || keys[i] === "");
      const places = docs.map((_doc, i) => i).sort((i, j) => {
        const way = compare(keys[i], keys[j]);
        return (descending && known(i) && known(j) ? -way : way) || i - j;
      });
      body.append(...places.map((i) => rows[i]));
      for (const header of headers) {
        const ours = header.dataset.sort === by;
        header.setAttribute("aria-sort", ours ? (descending ? "descending" : "ascending") : "none");
      }
      order.value = by;
    }

    function filter() {
      const wanted = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true")
        .map((chip) => chip.dataset.verdict);
      const parts = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      docs.forEach((doc, i) => {
        const fits = (!wanted.length || wanted.includes(doc.verdict))
          && (!group || !group.value || doc.group === groups[group.value])
          && parts.every((part) => words[i].includes(part));
        rows[i].hidden = !fits;
        shown += fits;
      });
      byId("shown").textContent = shown === docs.length ? `${shown} shown` : `${shown} of ${docs.length} shown`;
      byId("none").hidden = shown > 0;
    }

    for (const header of headers) {
      const by = header.dataset.sort;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () =>
        sort(by, sorted.by === by ? !sorted.descending : ORDERS[by][2]));
      header.append(button);
    }
    const offered = ["given", ...headers.map((header) => header.dataset.sort)];
    order.append(...offered.map((by) => new Option(ORDERS[by][0], by)));
    order.addEventListener("change", () => sort(order.value, ORDERS[order.value][2]));
    chips.forEach((chip) => chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter();
    }));
    text.addEventListener("input", filter);
    if (group) group.addEventListener("change", filter);
    byId("clear").addEventListener("click", () => {
      text.value = "";
      if (group) group.selectedIndex = 0;
      chips.forEach((chip) => chip.setAttribute("aria-pressed", "false"));
      filter();
      text.focus();
    });
    document.querySelector(".tools").hidden = false;
    sort("given", false);
    filter();
  }

  // "#slug" opens a decision, "#slug:part" one of its sections, anything else the overview.
  function pages() {
    const title = document.title;
    let open = null;
    let left = 0;

    function show(moved) {
      let name = "";
      try { name = decodeURIComponent(location.hash.slice(1)); } catch { /* not one of our links */ }
      const target = document.getElementById(name);
      const page = target && target.closest(".decision");
      if (page !== open) {
        if (!open) left = scrollY;
        if (open) open.classList.remove("open");
        open = page;
        document.documentElement.classList.toggle("detail", Boolean(page));
        if (page) page.classList.add("open");
        document.title = page ? `${page.querySelector("h2").textContent} - ${title}` : title;
        if (page) contents(page);
        if (page) reachable(page);
      }
      if (!page) {
        if (moved) scrollTo(0, left);
      } else if (target === page) {
        scrollTo(0, 0);
        if (moved) page.querySelector("h2").focus({ preventScroll: true });
      } else {
        target.scrollIntoView();
      }
    }

    addEventListener("hashchange", () => show(true));
    addEventListener("resize", () => open && reachable(open));
    document.addEventListener("toggle", () => open && reachable(open), true);
    history.scrollRestoration = "manual";
    show(false);
  }

  // Links to the sections of a decision, once it is shown.
  function contents(page) {
    const nav = page.querySelector(".contents");
    if (!nav || nav.firstChild) return;
    const list = document.createElement("ul");
    for (const section of page.querySelectorAll("section[id]")) {
      const link = document.createElement("a");
      link.href = "#" + section.id;
      link.textContent = section.querySelector("h3").textContent;
      const item = document.createElement("li");
      item.append(link);
      list.append(item);
    }
    nav.append(list);
  }

  // A table wider than the page can be scrolled from the keyboard, also once it is unfolded or the window shrinks.
  function reachable(page) {
    for (const region of page.querySelectorAll(".scroll")) {
      if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
      else region.removeAttribute("tabindex");
    }
  }

  // The tips of marks, at once and by touch as well; without this the browser shows them after a while.
  function tips() {
    const tip = byId("tip");
    function hint(event) {
      const mark = event.target.closest ? event.target.closest(".plot circle, .plot path, .plot use") : null;
      const title = mark && mark.querySelector("title");
      tip.hidden = !title;
      if (!title) return;
      tip.textContent = title.textContent;
      const place = mark.getBoundingClientRect();
      const half = tip.offsetWidth / 2 + 8;
      const middle = Math.min(Math.max(place.left + place.width / 2, half), innerWidth - half);
      tip.style.left = `${middle + scrollX}px`;
      tip.style.top = `${place.top + scrollY - 8}px`;
    }
    addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
    addEventListener("pointerover", hint);
    addEventListener("pointerdown", hint);
  }

  function printing() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details:not([open])")];
      closed.forEach((each) => { each.open = true; });
    });
    addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
  }

  document.addEventListener("DOMContentLoaded", () => {
    const { decisions, groups } = JSON.parse(byId("data").textContent);
    if (decisions.length) overview(decisions, groups);
    tips();
    printing();
    pages();
  });
})();
