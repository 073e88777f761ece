"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const fill = (select, texts) => select.replaceChildren(...texts.map((text, i) => new Option(text, i)));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (v, digits = 4) => v === null || v === undefined ? "" : String(+(+v).toPrecision(digits));

  // ---- Tables: sort on click, keep equal rows in their order; fit columns to the width.

  for (const table of document.querySelectorAll("table")) {
    const heads = [...table.querySelectorAll("th[data-kind]")];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key;
      const compare = head.dataset.kind === "number"
        ? (a, b) => Number(key(a)) - Number(key(b))
        : (a, b) => key(a).localeCompare(key(b));
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => up ? compare(a, b) : compare(b, a));
      body.append(...rows);
    }));
  }

  const choice = byId("choice");
  const fit = () => {
    let least = 0;
    for (const sheet of document.querySelectorAll("section.sheet")) {
      sheet.hidden = Boolean(choice) && sheet.dataset.choice !== choice.value;
      if (sheet.hidden) continue;
      const table = sheet.querySelector("table"), frame = table.parentElement;
      const heads = [...table.tHead.rows[0].cells];
      const show = (column, shown) => {
        for (const row of table.rows) row.cells[column].hidden = !shown;
      };
      heads.forEach((_, column) => show(column, true));
      if (byId("columns").checked) continue;
      const order = heads.map((head, column) => [Number(head.dataset.priority), column])
        .filter(([priority]) => priority > 0).sort((a, b) => b[0] - a[0] || b[1] - a[1]);
      let out = 0;
      while (table.scrollWidth > frame.clientWidth && out < order.length) show(order[out++][1], false);
      least = Math.max(least, out);
    }
    byId("left").textContent = least ? `${least} column${least > 1 ? "s do" : " does"} not fit and ${least > 1 ? "are" : "is"} hidden.` : "";
  };
  if (choice) choice.addEventListener("change", fit);
  byId("columns").addEventListener("change", fit);
  fit();

  // ---- Packed arrays

  const unpack = (packed) => {
    const text = atob(packed.data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const steps = packed.bytes === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer);
    if (packed.step === undefined) return steps;
    return Float64Array.from(steps, (v) => v === 65535 ? NaN : packed.low + packed.step * v);
  };

  // ---- Charts: what all of them share. uPlot draws on a canvas, so colours are given in script.

  const charts = []; // functions that draw each chart anew
  const axis = (label, log) => ({
    label, stroke: css("--ink"), font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif",
    grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, labelSize: 22,
    values: (u, splits) => splits.map((v) => v === null ? "" : tick(v)),
    ...(log ? { splits: marks } : { space: 55 }),
  });
  const tick = (v) => Math.abs(v) >= 1e6 ? `${number(v / 1e6)}M` : Math.abs(v) >= 1e4 ? `${number(v / 1e3)}k` : number(v);
  const logScale = (low, high) => ({ time: false, distr: 3, range: () => [low, high] });
  // A logarithmic axis shows whole decades, or 1, 2 and 5 where it is shorter than two.
  const marks = (u, index, low, high) => {
    const found = [], few = high / low < 100;
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
      for (const m of few ? [1, 2, 5] : [1]) {
        const v = m * 10 ** e;
        if (v >= low * 0.999 && v <= high * 1.001) found.push(v);
      }
    }
    return found;
  };
  const size = (host, most) => ({ width: Math.max(240, host.clientWidth), height: Math.round(Math.max(230, Math.min(most, host.clientWidth * 0.62))) });
  const restart = (host) => { for (const old of host.querySelectorAll(".uplot, .tip")) old.remove(); };
  const tooltip = (host) => {
    const box = make("div", { class: "tip", hidden: "" });
    host.append(box);
    return {
      at: (u, left, top, ...content) => {
        box.replaceChildren(...content);
        box.hidden = false;
        const x = u.over.offsetLeft + left, right = x > host.clientWidth / 2;
        box.style.left = right ? "auto" : `${x + 14}px`;
        box.style.right = right ? `${host.clientWidth - x + 14}px` : "auto";
        box.style.top = `${Math.max(0, Math.min(top + u.over.offsetTop - 20, host.clientHeight - box.offsetHeight))}px`;
        const out = box.getBoundingClientRect(); // a narrow screen: pinned to the side that has room
        if (out.left < 0 || out.right > innerWidth) { box.style.left = "0"; box.style.right = "auto"; }
      },
      off: () => { box.hidden = true; },
    };
  };
  const colourOf = (label) => { const look = data.looks[label]; return look ? (dark.matches ? look.dark : look.light) : css("--ink"); };
  const faded = (colour, alpha) => colour + Math.round(alpha * 255).toString(16).padStart(2, "0");
  const positive = (lists) => lists.flat().filter((v) => v !== null && v > 0);

  // ---- Mean curves of all rows

  const off = new Set(); // labels of hidden rows
  let curves = null;
  const drawCurves = () => {
    const host = byId("chart"), chart = data.charts[Number(byId("chart-of").value)];
    restart(host);
    if (curves) curves.destroy();
    curves = null;
    if (!chart) return;
    const by = chart.by[Number(byId("chart-by").value)], logX = byId("log-x").checked, logY = byId("log-y").checked;
    const lists = by.lines.flatMap((line) => [line.mean, line.low || [], line.high || []]);
    const means = positive(by.lines.map((line) => line.mean));
    const floor = Math.min(...(means.length ? means : [1])) / 2;
    // What the first few evaluations cost in regret would leave no room for the rest.
    const ends = (from) => positive(by.lines.map((line) => (line.high || line.mean).slice(Math.max(0, by.points.findIndex((v) => v >= from)))));
    const last = by.points.at(-1), all = Math.max(...positive(lists), floor * 4);
    const high = chart.log ? Math.min(all, 1.5 * Math.max(...ends(last / 60), floor * 3)) : all;
    const most = Math.max(...ends(last / 25), floor * 2);
    const lift = (list) => logY ? list.map((v) => v === null ? null : Math.max(v, floor)) : list;
    const first = logX ? by.points.findIndex((v) => v > 0) : 0;
    const x = by.points.slice(first), columns = [x], series = [{}], bands = [];
    chart.rows.forEach((label, i) => {
      const line = by.lines[i], colour = colourOf(label), show = !off.has(label), look = data.looks[label];
      columns.push(lift(line.mean.slice(first)));
      series.push({ label, show, stroke: colour, width: 2, dash: look && look.dash.length ? look.dash : undefined, points: { show: false } });
      if (!line.low) return;
      columns.push(lift(line.high.slice(first)), lift(line.low.slice(first)));
      series.push({ show, width: 0, points: { show: false } }, { show, width: 0, points: { show: false } });
      bands.push({ series: [series.length - 2, series.length - 1], fill: faded(colour, 0.13) });
    });
    const tip = tooltip(host);
    const told = (u) => {
      const at = u.cursor.idx;
      if (at === null || at === undefined || u.cursor.left < 0) return tip.off();
      const rows = chart.rows.map((label, i) => [label, by.lines[i], by.lines[i].mean[first + at]])
        .filter(([label, , mean]) => !off.has(label) && mean !== null)
        .sort((a, b) => chart.log ? a[2] - b[2] : b[2] - a[2]);
      const body = make("tbody", {}, ...rows.map(([label, line, mean]) => {
        const dot = make("span", { class: "swatch" });
        dot.style.background = colourOf(label);
        const band = line.low ? ` [${number(line.low[first + at], 3)}, ${number(line.high[first + at], 3)}]` : "";
        return make("tr", {}, make("td", { class: "text" }, dot, label), make("td", {}, `${number(mean, 3)}${band}`));
      }));
      tip.at(u, u.cursor.left, u.cursor.top, make("b", {}, `${number(x[at], 6)} ${by.title}`), make("table", {}, body));
    };
    curves = new uPlot({
      ...size(host, 460), legend: { show: false }, series, bands,
      scales: {
        x: logX ? logScale(x[0], x.at(-1)) : { time: false },
        y: logY ? logScale(floor, high * 1.05) : { time: false, range: (u, a, b) => chart.log ? [0, Math.min(b, most) * 1.04 || 1] : [a - (b - a) * 0.04, b + (b - a) * 0.04 || b + 1] },
      },
      axes: [axis(by.title, logX), { ...axis(chart.axis, logY), size: 58 }],
      cursor: { drag: { x: true, y: false }, focus: { prox: -1 }, points: { size: 7 } },
      hooks: { setCursor: [told] },
    }, columns, host);
  };
  const chartKeys = (event) => {
    if (!curves) return;
    const u = curves, last = u.data[0].length - 1;
    let at = u.cursor.idx ?? -1;
    if (event.key === "ArrowRight") at = Math.min(last, at + 1);
    else if (event.key === "ArrowLeft") at = Math.max(0, at - 1);
    else if (event.key === "Home") at = 0;
    else if (event.key === "End") at = last;
    else if (event.key === "Escape") { drawCurves(); return; }
    else return;
    event.preventDefault();
    u.setCursor({ left: Math.min(u.over.clientWidth - 1, Math.max(0, u.valToPos(u.data[0][at], "x"))), top: u.over.clientHeight / 3 });
  };
  const drawLegend = () => {
    const chart = data.charts[Number(byId("chart-of").value)];
    const press = (label, alone) => {
      if (alone) for (const other of chart.rows) if (other !== label) off.add(other);
      if (alone) off.delete(label);
      else if (!off.delete(label)) off.add(label);
      mark();
      drawCurves();
    };
    const buttons = chart.rows.map((label) => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      line.setAttribute("width", 26);
      line.setAttribute("height", 10);
      line.setAttribute("aria-hidden", "true");
      const look = data.looks[label], dash = look ? look.dash.join(" ") : "";
      line.innerHTML = `<path d="M0 5H26" stroke="currentColor" stroke-width="2.4" stroke-dasharray="${dash}"/>`;
      line.style.color = colourOf(label);
      const button = make("button", { type: "button" }, line, label);
      button.addEventListener("click", (event) => press(label, event.shiftKey));
      return button;
    });
    const all = make("button", { type: "button", "aria-label": "show all rows, or none" }, "all");
    all.addEventListener("click", () => {
      const shown = chart.rows.every((label) => !off.has(label));
      for (const label of chart.rows) if (shown) off.add(label); else off.delete(label);
      mark();
      drawCurves();
    });
    const mark = () => {
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!off.has(chart.rows[i]))));
      all.setAttribute("aria-pressed", String(chart.rows.every((label) => !off.has(label))));
    };
    mark();
    byId("legend").replaceChildren(...buttons, all);
  };
  const chooseChart = () => {
    const chart = data.charts[Number(byId("chart-of").value)];
    const before = byId("chart-by").selectedOptions[0]?.text;
    fill(byId("chart-by"), chart.by.map((by) => by.title));
    byId("chart-by").value = Math.max(0, chart.by.findIndex((by) => by.title === before));
    byId("chart-by").disabled = chart.by.length < 2;
    byId("log-x").checked = byId("log-y").checked = chart.log;
    drawLegend();
    drawCurves();
  };
  const several = new Set(data.charts.map((chart) => chart.title)).size > 1;
  fill(byId("chart-of"), data.charts.map((chart) => several ? `${chart.dataset}: ${chart.title}` : chart.dataset));
  byId("chart-of").addEventListener("change", chooseChart);
  for (const id of ["chart-by", "log-x", "log-y"]) byId(id).addEventListener("change", drawCurves);
  byId("chart").addEventListener("keydown", chartKeys);
  if (data.charts.length) chooseChart();
  charts.push(() => { if (data.charts.length) { drawLegend(); drawCurves(); } });

  // ---- One run: what is chosen

  const unit = () => data.units[Number(byId("unit").value)];
  const run = () => unit().runs[Number(byId("seed").value)];

  // The curve of a run: a staircase from improvement to improvement.
  let single = null;
  const drawRun = () => {
    const host = byId("curve"), of = unit(), points = run().curve, log = byId("log-run").checked;
    restart(host);
    if (single) single.destroy();
    single = null;
    byId("curve").replaceChildren(points.length ? "" : "The truth table has none of these architectures.");
    if (!points.length) return;
    const known = positive([points.map((point) => point[1])]);
    const floor = Math.min(...(known.length ? known : [1])) / 2, high = Math.max(...(known.length ? known : [1]));
    const first = points[0][0] > 0 ? points[0][0] : of.end / 1000;
    const x = [], y = [];
    for (const [at, value] of points) { x.push(log ? Math.max(at, first) : at); y.push(log ? Math.max(value, floor) : value); }
    const end = Math.max(of.end, x.at(-1));
    x.push(end);
    y.push(y.at(-1));
    const tip = tooltip(host), colour = colourOf(of.label);
    single = new uPlot({
      ...size(host, 320), legend: { show: false },
      series: [{}, { stroke: colour, width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: true, size: 6, fill: colour, stroke: colour, filter: (u, i, show) => show ? u.data[0].slice(0, -1).map((_, k) => k) : null } }],
      scales: {
        x: log ? logScale(Math.min(first, end / 2), end) : { time: false },
        y: log ? logScale(floor, high * 1.2) : { time: false, range: (u, a, b) => [of.log ? 0 : a - (b - a) * 0.04, b + (b - a) * 0.04 || b + 1] },
      },
      axes: [axis(of.spent, log), { ...axis(of.axis, log), size: 58 }],
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      hooks: { setCursor: [(u) => {
        const at = u.cursor.idx;
        if (at === null || at === undefined || u.cursor.left < 0) return tip.off();
        const [spent, value, which] = points[Math.min(at, points.length - 1)];
        tip.at(u, u.cursor.left, u.cursor.top, make("b", {}, `${number(value)} since ${number(spent, 6)}`), data.genotypes[which].text);
      }] },
    }, [x, y], host);
  };

  // ---- The cell, drawn

  const names = ["none", "skip", "conv 1x1", "conv 3x3", "avg pool"];
  const paints = ["none", "#888888", "#56b4e9", "#2b83c6", "#d55e00"];
  const published = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
  const svg = (parent, name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const drawCell = (cell) => {
    byId("cell").replaceChildren();
    if (!cell) return;
    const drawing = svg(byId("cell"), "svg", { viewBox: "0 0 460 260", width: 460, height: 260, role: "img", "aria-label": `cell ${cell}` });
    const place = [40, 165, 290, 415], middle = 165;
    const edges = [[0, 1, 0], [0, 2, 66], [1, 2, 0], [0, 3, 138], [1, 3, -66], [2, 3, 0]];
    edges.forEach(([a, b, height], gene) => {
      const operation = Number(cell[gene]);
      if (!operation) return;
      const centre = (place[a] + place[b]) / 2;
      const start = place[a] + (height ? 12 : 17), end = place[b] - (height ? 12 : 17);
      const side = height ? Math.sign(height) * 13 : 0;
      svg(drawing, "path", { d: `M${start} ${middle - side}Q${centre} ${middle - 2 * height + side} ${end} ${middle - side}`,
        fill: "none", stroke: paints[operation], "stroke-width": 2.4, "stroke-dasharray": operation === 1 ? "6 4" : "none" });
      svg(drawing, "text", { x: centre, y: middle - height + (height < 0 ? 18 : -7), "text-anchor": "middle" }, names[operation]);
    });
    place.forEach((x, node) => {
      svg(drawing, "circle", { cx: x, cy: middle, r: 17, fill: node % 3 ? "#bbd7ea" : "#e69f00", stroke: "#444" });
      const label = svg(drawing, "text", { x, y: middle + 4, "text-anchor": "middle" }, ["in", "1", "2", "out"][node]);
      label.style.fill = "#111";
    });
  };

  // ---- The search space, and a run's course over it

  const space = data.space;
  const told = (row) => { // a genotype by its row of the table: the first gene counts most
    const genes = [];
    for (const cardinality of [...space.cardinalities].reverse()) { genes.unshift(row % cardinality); row = Math.floor(row / cardinality); }
    if (!space.cells) return `genes ${genes.join(" ")}`;
    const edges = [[0, 1], [0, 2], [1, 2], [0, 3], [1, 3], [2, 3]], nodes = { 1: "|", 2: "|", 3: "|" };
    edges.forEach(([source, target], i) => { nodes[target] += `${published[genes[i]]}~${source}|`; });
    return Object.values(nodes).join("+");
  };
  const cached = new Map();
  const values = (dataset, cost) => {
    const of = space.datasets[dataset], key = JSON.stringify([dataset, cost]);
    if (!cached.has(key)) cached.set(key, unpack(cost === null ? of.accuracy : of.costs[cost]));
    return cached.get(key);
  };
  let cloud = null, course = null, timer = 0;

  // What is played: every answer where the page has them, else the improvements.
  const readCourse = () => {
    const of = run();
    const improved = of.curve.map(([spent, value, which]) => ({ spent, value, row: data.genotypes[which].index }));
    if (of.answers) {
      const answers = Array.from(unpack(of.answers)), spent = Array.from(unpack(of.spent), (v) => v / 100);
      return { answers, spent, improved, every: true };
    }
    return { answers: improved.map((one) => one.row), spent: improved.map((one) => one.spent), improved, every: false };
  };
  const drawSpace = () => {
    if (!space) return;
    const host = byId("space"), dataset = byId("space-of").value, cost = byId("space-by").selectedOptions[0].text;
    restart(host);
    if (cloud) cloud.destroy();
    const xs = values(dataset, cost), ys = values(dataset, null);
    const order = Float64Array.from(ys).sort();
    const bottom = byId("space-top").checked ? order[Math.floor(order.length * 0.9)] : order[0];
    const top = order.at(-1), ends = [xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b))];
    const margin = (ends[1] - ends[0]) * 0.02, above = (top - bottom) * 0.05;
    const star = ys.indexOf(top), tip = tooltip(host);
    const points = (u) => {
      const { ctx } = u, ratio = devicePixelRatio, side = Math.max(1, Math.round(2 * ratio));
      ctx.save();
      ctx.beginPath();
      ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      ctx.clip();
      ctx.fillStyle = css("--cloud");
      ctx.globalAlpha = Math.max(0.16, Math.min(0.5, 6000 / xs.length));
      const { left, top: up, width, height } = u.bbox, sx = u.scales.x, sy = u.scales.y;
      for (let i = 0; i < xs.length; i++) {
        if (ys[i] < sy.min) continue;
        ctx.fillRect(left + width * (xs[i] - sx.min) / (sx.max - sx.min) - side / 2, up + height * (sy.max - ys[i]) / (sy.max - sy.min) - side / 2, side, side);
      }
      ctx.restore();
    };
    const over = make("canvas", { "aria-hidden": "true" });
    over.style.cssText = "position:absolute;inset:0;width:100%;height:100%;pointer-events:none";
    cloud = new uPlot({
      ...size(host, 520), legend: { show: false }, series: [{}, { show: true, stroke: "transparent", points: { show: false } }],
      scales: { x: { time: false, range: () => [ends[0] - margin, ends[1] + margin] }, y: { range: () => [bottom - above, top + above] } },
      axes: [axis(cost, false), { ...axis(`${space.measure} (%)`, false), size: 58 }],
      cursor: { drag: { x: false, y: false }, x: false, y: false, points: { show: false } },
      hooks: {
        drawAxes: [points],
        draw: [() => drawCourse()], // once the plot has its size
        setCursor: [(u) => {
          const { left, top: at } = u.cursor;
          if (left < 0) return tip.off();
          const x = u.posToVal(left, "x"), y = u.posToVal(at, "y");
          const wide = u.over.clientWidth / (u.scales.x.max - u.scales.x.min), tall = u.over.clientHeight / (u.scales.y.max - u.scales.y.min);
          let nearest = -1, least = 12 ** 2;
          for (let i = 0; i < xs.length; i++) {
            const d = ((xs[i] - x) * wide) ** 2 + ((ys[i] - y) * tall) ** 2;
            if (d < least) { least = d; nearest = i; }
          }
          if (nearest < 0) return tip.off();
          tip.at(u, left, at, make("b", {}, `${ys[nearest].toFixed(2)} %, ${number(xs[nearest])} ${cost}`), told(nearest));
        }],
      },
    }, [ends, [null, null]], host);
    cloud.over.append(over);
    course = { ...readCourse(), xs, ys, star, over };
    const range = byId("at");
    range.max = String(course.answers.length - 1);
    if (!timer) range.value = range.max;
  };
  const drawCourse = () => {
    if (!course || !course.answers.length) return;
    const { answers, spent, improved, xs, ys, star, over, every } = course, at = Number(byId("at").value);
    const ratio = devicePixelRatio, width = cloud.over.clientWidth, height = cloud.over.clientHeight;
    over.width = width * ratio;
    over.height = height * ratio;
    const ctx = over.getContext("2d"), colour = colourOf(unit().label);
    ctx.scale(ratio, ratio);
    const place = (row) => [cloud.valToPos(xs[row], "x"), cloud.valToPos(ys[row], "y")];
    const dot = (row, radius) => { const [x, y] = place(row); ctx.beginPath(); ctx.arc(x, y, radius, 0, 2 * Math.PI); };
    if (every) {
      ctx.fillStyle = colour;
      for (let i = 0; i <= at; i++) {
        ctx.globalAlpha = 0.3 + 0.5 * (at ? i / at : 1);
        dot(answers[i], 2.6);
        ctx.fill();
      }
      ctx.globalAlpha = 1;
    }
    const until = spent[at] + 1e-6, found = improved.filter((one) => one.spent <= until);
    ctx.strokeStyle = css("--ink");
    ctx.lineWidth = 1.4;
    ctx.beginPath();
    found.forEach((one, i) => { const [x, y] = place(one.row); if (i) ctx.lineTo(x, y); else ctx.moveTo(x, y); });
    ctx.stroke();
    for (const one of found) { dot(one.row, 3.6); ctx.fillStyle = colour; ctx.fill(); ctx.stroke(); }
    if (every) { dot(answers[at], 6); ctx.lineWidth = 2; ctx.strokeStyle = colour; ctx.stroke(); }
    const [x, y] = place(star);
    ctx.beginPath();
    for (let i = 0; i < 10; i++) {
      const radius = i % 2 ? 3.6 : 8.5, angle = Math.PI * (i / 5 - 0.5);
      ctx.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    ctx.closePath();
    ctx.fillStyle = "#f5c518";
    ctx.strokeStyle = css("--ink");
    ctx.lineWidth = 1;
    ctx.fill();
    ctx.stroke();
    const last = found.at(-1), what = every ? "answer" : "improvement";
    byId("said").textContent = `${what} ${at + 1} of ${answers.length}, after ${number(spent[at], 6)} ${unit().spent}: `
      + `${ys[answers[at]].toFixed(2)} %${last ? `; incumbent ${ys[last.row].toFixed(2)} %, ${(ys[star] - ys[last.row]).toFixed(2)} points below the best` : ""}. ${told(answers[at])}`;
  };
  const stop = () => { clearInterval(timer); timer = 0; if (space) byId("play").textContent = "Play"; };
  const play = () => {
    if (timer) return stop();
    const range = byId("at"), last = Number(range.max);
    if (Number(range.value) >= last) range.value = 0;
    byId("play").textContent = "Pause";
    byId("said").setAttribute("role", "presentation"); // not read aloud at every step
    timer = setInterval(() => {
      range.value = Number(range.value) + 1;
      drawCourse();
      if (Number(range.value) >= last) { stop(); byId("said").setAttribute("role", "status"); }
    }, Math.max(25, Math.min(700, 7000 / Math.max(1, last))));
    drawCourse();
  };
  const spaceOf = () => { // the costs that the data set has
    const before = byId("space-by").selectedOptions[0]?.text, costs = Object.keys(space.datasets[byId("space-of").value].costs);
    fill(byId("space-by"), costs);
    byId("space-by").value = Math.max(0, costs.indexOf(before));
    drawSpace();
  };
  if (space) {
    byId("play").addEventListener("click", play);
    byId("at").addEventListener("input", () => { stop(); drawCourse(); });
    byId("space-of").addEventListener("change", spaceOf);
    for (const id of ["space-by", "space-top"]) byId(id).addEventListener("change", drawSpace);
    charts.push(drawSpace);
  }

  // ---- One run: what is told of it

  const show = () => {
    const of = unit(), one = run();
    if (!one) return;
    stop();
    byId("measure").textContent = of.measure;
    drawRun();
    drawCell(data.genotypes[one.best].cell);
    byId("architecture").textContent = one.architecture;
    byId("facts").replaceChildren(...one.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    byId("again").textContent = `${of.command} --seed ${one.seed}`;
    byId("steps").tHead.rows[0].replaceChildren(...[of.spent, of.axis].map((name) => make("th", { scope: "col" }, name)), make("th", { scope: "col", class: "text" }, "architecture"));
    byId("steps").tBodies[0].replaceChildren(...one.curve.map(([spent, value, which]) =>
      make("tr", {}, make("td", {}, number(spent, 6)), make("td", {}, value.toFixed(3)), make("td", { class: "arch" }, data.genotypes[which].text))));
    if (space) drawSpace();
  };
  const choose = () => {
    const of = unit(), log = byId("log-run");
    fill(byId("seed"), of.runs.map((one) => one.seed));
    log.checked = of.log;
    if (space) {
      const wanted = [of.dataset, space.judge].find((name) => name in space.datasets) ?? Object.keys(space.datasets)[0];
      byId("space-of").value = wanted;
      spaceOf();
    }
    show();
  };
  fill(byId("unit"), data.units.map((one) => `${one.dataset}: ${one.label}`));
  byId("unit").addEventListener("change", choose);
  byId("seed").addEventListener("change", show);
  byId("log-run").addEventListener("change", drawRun);
  // First the best row of the first data set.
  const winner = document.querySelector(".points .best")?.dataset;
  const best = winner ? data.units.findIndex((one) => one.label === winner.label && [winner.dataset, data.units[0].dataset].includes(one.dataset)) : -1;
  byId("unit").value = Math.max(0, best);
  if (data.units.length) choose();
  charts.push(() => { if (data.units.length) drawRun(); });

  // ---- Another width or ground: everything is drawn anew.

  const again = () => { fit(); for (const draw of charts) draw(); };
  let wide = innerWidth, waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === wide) return; // on a phone the height changes while scrolling
    wide = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(again, 80);
  });
  dark.addEventListener("change", again);
})();
