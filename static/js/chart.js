// Draws a panel's own table with uPlot: its cells carry the figures (data-v) and the words, its row heads the links.

// Not imported from ui.js, which would load it a second time, by its name without a hash.
const say = (text) => { document.getElementById("live").textContent = text; };
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Probe elements resolve light-dark(), all together: each look makes the browser work out the styles.
const NAMES = ["--faint", "--line", "--surface", ...Array.from({ length: 8 }, (_, index) => `--c${index + 1}`)];
let palette = null;
function colour(name) {
  if (!palette) {
    const probes = make("i");
    probes.hidden = true;
    probes.append(...NAMES.map((one) => {
      const probe = make("i");
      probe.style.color = `var(${one})`;
      return probe;
    }));
    document.body.append(probes);
    palette = Object.fromEntries(NAMES.map((one, index) => [one, getComputedStyle(probes.children[index]).color]));
    probes.remove();
  }
  return palette[name];
}
const fill = ({ slot }) => colour(`--c${slot}`);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

// The table: first column = bucket, columns with data-series = stack parts (bottom first) or, with
// data-line (area, solid, dashed or limit), lines; column with data-total = the sum as the server
// says it. A cell without data-v has no figure.
function read(table) {
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows];
  const scale = Number(table.dataset.scale ?? 1);
  const total = heads.findIndex((head) => head.hasAttribute("data-total"));
  const parts = heads.flatMap((head, column) => head.hasAttribute("data-series")
    ? [{ column, name: head.textContent.trim(), slot: head.dataset.series || "8", line: head.dataset.line ?? "", shown: true }] : []);
  return {
    parts,
    whole: [...table.tBodies[0].querySelectorAll("[data-v]")].every(({ dataset }) => Number.isInteger(dataset.v / scale)),
    prefix: table.dataset.prefix ?? "",
    unit: table.dataset.unit ?? "",
    rows: rows.map((row) => ({
      name: row.cells[0].textContent.trim(),
      short: row.cells[0].dataset.short ?? row.cells[0].textContent.trim(),
      at: Date.parse(row.cells[0].dataset.at),
      link: row.querySelector("th a, td a"),
      unfinished: row.hasAttribute("data-unfinished"),
      total: total < 0 ? "" : row.cells[total].textContent.trim(),
      texts: parts.map((part) => row.cells[part.column].textContent.trim()),
      values: parts.map(({ column }) => {
        const value = row.cells[column].dataset.v;
        return value === undefined ? null : Number(value) / scale;
      }),
    })),
  };
}

// As lib/numbers/formatting.py shortens numbers: from which size on, by what, and the word for it.
const SHORT = document.documentElement.lang.startsWith("zh")
  ? [[1e12, 1e12, " 万亿"], [1e8, 1e8, " 亿"], [1e4, 1e4, " 万"]]
  : [[1e9, 1e9, " B"], [1e6, 1e6, " M"], [1e4, 1e3, " K"]];

// All of an axis have the same decimals; money has none or two at least.
function axisTexts(at, { prefix, unit }) {
  const needed = (at.length > 1 ? at[1] - at[0] : 0).toFixed(9).replace(/\.?0+$/, "").split(".")[1]?.length ?? 0;
  const places = needed && prefix ? Math.max(2, needed) : needed;
  return at.map((value) => {
    const [, by, letter] = SHORT.find(([from]) => Math.abs(value) >= from) ?? [0, 1, ""];
    const digits = by > 1 ? { maximumSignificantDigits: 4 } : { minimumFractionDigits: places, maximumFractionDigits: places };
    return `${prefix}${(value / by).toLocaleString("en", digits)}${letter}${unit ? ` ${unit}` : ""}`;
  });
}

// Of counts: there is no half of a request.
const WHOLE_STEPS = [...Array(12).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));

const swatch = ({ slot, line }) => {
  const mark = make("span", `swatch c${slot}`);
  if (line) mark.dataset.line = line;
  return mark;
};

// What happened, as a list of the page tells it: each mark belongs to the row in whose time it lies.
const marks = () => [...document.querySelectorAll("[data-mark]")].map((item) => ({
  at: Date.parse(item.dataset.mark), text: item.querySelector("[data-mark-text]").textContent.trim(),
}));
const marksOf = (rows) => rows.map((row, index) => marks().filter(
  ({ at }) => at >= row.at && !(at >= rows[index + 1]?.at)).map(({ text }) => text));

class Panel {
  constructor(table) {
    this.table = table;
    this.panel = table.closest(".panel");
    this.region = table.closest(".chart-table");
    this.data = read(table);
    this.at = null;
    this.box = make("div", "chart");
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "group");
    this.box.setAttribute("aria-label", table.getAttribute("aria-label") ?? table.caption?.textContent ?? "");
    this.legend = make("ul", "legend");
    for (const part of this.data.parts) {
      const item = make("li");
      const button = make("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(swatch(part), make("span", "", part.name));
      button.addEventListener("click", () => this.toggle(part, button));
      item.append(button);
      this.legend.append(item);
    }
    this.tip = make("div", "chart-tip");
    this.tip.hidden = true;
    this.region.before(this.box, this.legend);
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("blur", () => this.point(null));
    this.box.addEventListener("click", () => this.go());
    for (const button of this.panel.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.show(button.dataset.view));
    }
    this.draw();
    this.show("chart");
    this.watch = new ResizeObserver(() => {
      const width = this.box.clientWidth;
      if (width && width !== this.plot.width) this.plot.setSize({ width, height: this.box.clientHeight });
    });
    this.watch.observe(this.box);
  }

  show(view) {
    this.region.hidden = view !== "table";
    this.box.hidden = this.legend.hidden = view === "table";
    for (const button of this.panel.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", button.dataset.view === view);
    }
  }

  // One series more or less; the last one stays.
  toggle(part, button) {
    if (part.shown && this.data.parts.filter((one) => one.shown).length === 1) return;
    part.shown = !part.shown;
    button.setAttribute("aria-pressed", part.shown);
    this.at = null;
    this.tip.hidden = true;
    this.draw();
  }

  // How high and how low the picture goes in a row: its stack, and each of its lines.
  reach(row) {
    const shown = row.values.map((value, part) => (this.data.parts[part].shown ? value ?? 0 : 0));
    const stack = shown.reduce((sum, value, part) => (this.data.parts[part].line ? sum : sum + Math.max(0, value)), 0);
    return [Math.min(0, ...shown), Math.max(stack, ...shown)];
  }

  draw() {
    this.plot?.destroy();
    const { rows } = this.data;
    this.marks = marksOf(rows);
    const reaches = rows.map((row) => this.reach(row));
    const bottom = Math.min(0, ...reaches.map(([low]) => low));
    const sums = reaches.map(([, high]) => high);
    const faint = () => colour("--faint");
    const font = `500 12px ${css("--font")}`;
    this.plot = new window.uPlot({
      width: this.box.clientWidth || 600,
      height: this.box.clientHeight || 256,
      padding: [12, 4, 0, 0],
      legend: { show: false },
      cursor: { x: false, y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: () => [-0.5, rows.length - 0.5] },
        y: { range: (_, low, high) => [bottom * 1.06, high > 0 ? high * 1.06 : 1] },
      },
      axes: [
        { stroke: faint, font, size: 28, gap: 6, grid: { show: false }, ticks: { show: false },
          splits: (plot) => {
            const step = Math.max(1, Math.ceil(rows.length / Math.max(2, Math.floor(plot.width / 84))));
            return rows.map((_, index) => index).filter((index) => index % step === 0);
          },
          values: (_, at) => at.map((index) => rows[index]?.short ?? "") },
        { stroke: faint, font, gap: 8, ticks: { show: false }, space: 44,
          size: (plot, values) => {
            if (!values) return 48;
            plot.ctx.font = font; // uPlot scales the font by the pixel ratio only while it draws
            return Math.ceil(Math.max(...values.map((value) => plot.ctx.measureText(value).width))) + 14;
          },
          grid: { stroke: () => colour("--line"), width: 1 },
          ...(this.data.whole && { incrs: WHOLE_STEPS }),
          values: (_, at) => axisTexts(at, this.data) },
      ],
      series: [{}, { points: { show: false }, paths: () => null }],
      hooks: {
        draw: [(plot) => { this.bars(plot); this.lines(plot); this.flags(plot); }],
        setCursor: [(plot) => this.point(plot.cursor.left >= 0 ? Math.round(plot.posToVal(plot.cursor.left, "x")) : null, false)],
      },
    }, [rows.map((_, index) => index), sums], this.box);
    this.box.append(this.tip);
  }

  bars(plot) {
    const { ctx, bbox } = plot;
    const { rows, parts } = this.data;
    const ratio = devicePixelRatio || 1;
    const slot = bbox.width / rows.length;
    const width = Math.max(1, Math.min(slot * 0.68, 44 * ratio));
    ctx.save();
    rows.forEach((row, index) => {
      const left = Math.round(plot.valToPos(index, "x", true) - width / 2);
      const stacked = (value, part) => value > 0 && parts[part].shown && !parts[part].line;
      const top = row.values.findLastIndex(stacked);
      let base = 0;
      ctx.globalAlpha = this.at === null || this.at === index ? 1 : 0.45;
      row.values.forEach((value, part) => {
        if (!stacked(value, part)) return;
        const y0 = plot.valToPos(base, "y", true);
        const y1 = plot.valToPos(base + value, "y", true);
        // A gap of the surface between neighbours: colour is never the only border.
        const gap = base > 0 && y0 - y1 > 3 * ratio ? ratio : 0;
        base += value;
        ctx.beginPath();
        const radius = part === top ? Math.min(3 * ratio, width / 4, y0 - y1) : 0;
        ctx.roundRect(left, y1, Math.round(width), Math.max(ratio, y0 - y1 - gap), [radius, radius, 0, 0]);
        ctx.fillStyle = fill(parts[part]);
        ctx.fill();
        if (row.unfinished) this.hatch(ctx, left, y1, width, y0 - y1 - gap, ratio);
      });
    });
    ctx.restore();
  }

  lines(plot) {
    const { ctx } = plot;
    const { rows, parts } = this.data;
    const ratio = devicePixelRatio || 1;
    const y0 = plot.valToPos(0, "y", true);
    parts.forEach((part, number) => {
      if (!part.line || !part.shown) return;
      const points = rows.flatMap((row, index) => row.values[number] === null ? [] : [{
        x: plot.valToPos(index, "x", true), y: plot.valToPos(row.values[number], "y", true), index, unfinished: row.unfinished,
      }]);
      if (!points.length) return;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = fill(part);
      ctx.lineWidth = (part.line === "limit" ? 1.5 : 2) * ratio;
      ctx.lineJoin = "round";
      const dash = { dashed: [5, 4], limit: [2, 3] }[part.line]?.map((length) => length * ratio) ?? [];
      if (part.line === "area") {
        const area = new Path2D();
        area.moveTo(points[0].x, y0);
        for (const { x, y } of points) area.lineTo(x, y);
        area.lineTo(points.at(-1).x, y0);
        ctx.globalAlpha = 0.12;
        ctx.fill(area);
        ctx.globalAlpha = 1;
      }
      points.forEach((to, place) => {
        const from = points[place - 1];
        if (!from) return;
        // What leads to a day that still runs may yet move.
        ctx.setLineDash(to.unfinished && !dash.length ? [4 * ratio, 3 * ratio] : dash);
        ctx.beginPath();
        ctx.moveTo(from.x, from.y);
        ctx.lineTo(to.x, to.y);
        ctx.stroke();
      });
      ctx.setLineDash([]);
      for (const { x, y, index, unfinished } of points) {
        if (index !== this.at && !(unfinished && part.line === "area") && points.length > 1) continue;
        ctx.beginPath();
        ctx.arc(x, y, 3.5 * ratio, 0, 2 * Math.PI);
        ctx.fillStyle = unfinished ? colour("--surface") : fill(part);
        ctx.fill();
        ctx.stroke();
      }
      ctx.restore();
    });
  }

  flags(plot) {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--faint");
    ctx.lineWidth = ratio;
    this.marks.forEach((texts, index) => {
      if (!texts.length) return;
      const x = plot.valToPos(index, "x", true);
      ctx.setLineDash([2 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(x, bbox.top, 4 * ratio, 0, 2 * Math.PI);
      ctx.fill();
    });
    ctx.restore();
  }

  hatch(ctx, left, top, width, height, ratio) {
    ctx.save();
    ctx.clip();
    ctx.beginPath();
    for (let x = left - height; x < left + width; x += 6 * ratio) {
      ctx.moveTo(x, top + height);
      ctx.lineTo(x + height, top);
    }
    ctx.strokeStyle = colour("--surface");
    ctx.lineWidth = 2 * ratio;
    ctx.stroke();
    ctx.restore();
  }

  point(index, spoken = true) {
    const row = index === null ? undefined : this.data.rows[index];
    const at = row ? index : null;
    if (at === this.at) return;
    this.at = at;
    this.plot.redraw(false, false);
    this.tip.hidden = !row;
    this.box.style.cursor = row?.link ? "pointer" : "";
    if (!row) return;
    const head = make("p");
    head.append(make("span", "", row.name), make("span", "", row.total));
    this.tip.replaceChildren(head);
    for (const text of this.marks[index]) this.tip.append(make("div", "chart-mark", text));
    for (let part = this.data.parts.length - 1; part >= 0; part -= 1) {
      if (!row.values[part] || !this.data.parts[part].shown) continue;
      const line = make("div");
      line.append(swatch(this.data.parts[part]), make("span", "", this.data.parts[part].name), make("span", "", row.texts[part]));
      this.tip.append(line);
    }
    const x = this.plot.valToPos(index, "x") + this.plot.bbox.left / (devicePixelRatio || 1);
    const room = this.box.clientWidth;
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, x + 20 + wide > room ? x - wide - 20 : x + 20)}px`;
    this.tip.style.top = "8px";
    if (spoken) {
      const list = this.data.parts.map((part, number) => row.values[number] && part.shown ? `${part.name} ${row.texts[number]}` : "").filter(Boolean);
      say(`${[row.name, row.total].filter(Boolean).join(", ")}: ${[...list, ...this.marks[index]].join(", ")}`);
    }
  }

  key(event) {
    const last = this.data.rows.length - 1;
    const from = this.at ?? (event.key === "ArrowLeft" ? last + 1 : -1);
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.point(Math.max(0, Math.min(last, to)));
    } else if (event.key === "Enter") this.go();
    else if (event.key === "Escape") this.point(null);
  }

  go() {
    if (this.at !== null) this.data.rows[this.at].link?.click();
  }

  end() {
    this.watch.disconnect();
    this.plot.destroy();
  }
}

const panels = new Map();
let marked = "";
function find() {
  for (const [table, panel] of panels) {
    if (!table.isConnected) { panel.end(); panels.delete(table); }
  }
  for (const table of document.querySelectorAll("table[data-chart]")) {
    if (!panels.has(table) && table.tBodies[0]?.rows.length) panels.set(table, new Panel(table));
  }
  const told = JSON.stringify(marks());
  if (told !== marked) redraw();
  marked = told;
}
const redraw = () => { for (const panel of panels.values()) { panel.at = null; panel.tip.hidden = true; panel.draw(); } };
// Another theme is other colours on the same plots.
const recolour = () => {
  palette = null;
  for (const { plot } of panels.values()) plot.redraw(false, false);
};
document.addEventListener("themechange", () => requestAnimationFrame(recolour));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
document.addEventListener("htmx:after:process", find);
document.fonts.ready.then(find);
