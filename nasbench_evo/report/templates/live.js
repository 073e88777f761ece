"use strict";
// A live page asks the server that it came from how far the suite is, and loads itself again when
// there is more to show; what was chosen and where one was is kept.
(() => {
  const byId = (id) => document.getElementById(id);
  const controls = () => [...document.querySelectorAll("select, input")];
  const kept = JSON.parse(sessionStorage.getItem("live") || "null");
  if (kept) {
    for (const control of controls()) {
      const value = kept.values[control.id];
      if (value === undefined) continue;
      if (control.type === "checkbox") control.checked = value; else if (![...(control.options || [])].length || [...control.options].some((o) => o.value === value)) control.value = value;
      control.dispatchEvent(new Event(control.type === "range" ? "input" : "change"));
    }
    scrollTo(0, kept.scroll);
  }
  const keep = () => sessionStorage.setItem("live", JSON.stringify({
    scroll: scrollY,
    values: Object.fromEntries(controls().map((c) => [c.id, c.type === "checkbox" ? c.checked : c.value])),
  }));
  const shown = Number(document.body.dataset.shown); // finished runs
  const ask = async () => {
    let next = 2000;
    try {
      const state = await (await fetch("state", { cache: "no-store" })).json();
      if (byId("done")) { byId("done").max = state.total || 1; byId("done").value = state.done; }
      byId("live").textContent = state.done >= state.total && state.total
        ? `All ${state.total} runs are finished. nasbench-evo report DIR writes the whole page with its figures.`
        : `Live: ${state.done} of ${state.total || "?"} runs finished.`;
      if (state.done !== shown && !document.hidden) { keep(); location.reload(); return; }
      next = state.wait * 1000;
    } catch {
      byId("live").textContent = "The server has ended: this page shows what it saw last.";
      next = 10000;
    }
    setTimeout(ask, next);
  };
  ask();
})();
