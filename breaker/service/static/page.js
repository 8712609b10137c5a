"use strict";
// Counts down, filters while typing, and renews what the page shows when something happens.
(() => {
  const live = document.querySelector("[data-live]");
  const note = document.getElementById("live");
  const started = new WeakMap();

  function rough(seconds) {
    let left = Math.round(Math.max(0, seconds));
    const parts = [];
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
      const count = Math.floor(left / size);
      left -= count * size;
      if (count) parts.push(count + unit);
    }
    return parts.slice(0, 2).join(" ") || "0s";
  }

  function countDown() {
    for (const one of document.querySelectorAll("[data-left]")) {
      if (!started.has(one)) started.set(one, performance.now());
      one.textContent = rough(Number(one.dataset.left) - (performance.now() - started.get(one)) / 1000);
    }
  }

  function filter() {
    const wanted = document.getElementById("q").value.toLowerCase();
    const state = document.getElementById("state").value;
    for (const row of document.querySelectorAll("tr[data-name]")) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted) || (state && state !== row.dataset.state);
    }
  }

  async function page(address) {
    const answer = await fetch(address, { credentials: "same-origin" });
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  let isBusy = false;
  async function renew() {
    if (isBusy || document.hidden) return;
    isBusy = true;
    try {
      const fresh = await page(location.href);
      const focused = document.activeElement;
      const row = focused && focused.closest("tr[data-name]");
      const href = focused && focused.getAttribute("href");
      for (const part of [".banner", "h1", "[data-live]"]) {
        const now = document.querySelector("main > " + part), then = fresh.querySelector("main > " + part);
        if (now && then) now.replaceWith(then);
        else if (now && part === ".banner") now.remove();
        else if (then) document.querySelector("main").prepend(then);
      }
      document.title = fresh.title;
      if (document.getElementById("q")) filter();
      if (href && (row || !document.contains(focused))) {
        const again = document.querySelector('main [href="' + CSS.escape(href) + '"]');
        if (again) again.focus({ preventScroll: true });
      }
      countDown();
    } catch (error) {
      note.textContent = "not live: the service does not answer";
    } finally {
      isBusy = false;
    }
  }

  countDown();
  setInterval(countDown, 1000);
  if (document.getElementById("q")) {
    // The rows that the server left out for an earlier filter may be wanted now.
    const refine = () => {
      filter();
      if (location.search) { history.replaceState(null, "", "/"); renew(); }
    };
    document.getElementById("q").addEventListener("input", refine);
    document.getElementById("state").addEventListener("change", refine);
  }
  const isList = location.pathname === "/";
  if (!live && !isList) return;
  const own = live && live.dataset.name;
  const feed = new EventSource("/v1/events" + (own ? "?breaker=" + encodeURIComponent(own) : ""));
  let timer = 0;
  const soon = () => { if (!timer) timer = setTimeout(() => { timer = 0; renew(); }, 1000); };
  for (const kind of (document.body.dataset.events || "").split(" ")) feed.addEventListener(kind, soon);
  feed.onopen = () => { note.textContent = "live"; };
  feed.onerror = () => { note.textContent = "not live: connecting again"; };
  setInterval(renew, 30000);
})();
