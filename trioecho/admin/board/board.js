// The live page: takes samples from /events (server-sent events) and draws them.
"use strict";

const element = (id) => document.getElementById(id);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const MOST_EVENTS = 50;
const TABLE_ROWS = 10;

let board = null; // of BOARDS
let kind = "";
let samples = [];
let most = 0;
let drains = []; // when each drain began
let plots = [];
let span = 300;
let isPaused = false;

// ---- what comes ----

const source = new EventSource("events");
source.addEventListener("hello", (event) => {
  const hello = JSON.parse(event.data);
  kind = hello.kind;
  board = BOARDS[kind];
  most = hello.most;
  samples = hello.samples;
  samples.forEach(complete);
  drains = samples.filter((sample, at) => sample.draining && !samples[at - 1]?.draining).map((sample) => sample.t);
  element("title").textContent = hello.title;
  element("about").textContent = hello.about;
  document.title = hello.title;
  element("events").replaceChildren();
  hello.events.forEach(showEvent);
  showState(hello.state);
  build();
  show();
});
source.addEventListener("sample", (event) => {
  const sample = JSON.parse(event.data);
  samples.push(sample);
  complete(sample, samples.length - 1);
  if (sample.draining && !samples.at(-2)?.draining) drains.push(sample.t);
  if (samples.length > most) samples.shift();
  if (!isPaused) show();
});
source.addEventListener("event", (event) => showEvent(JSON.parse(event.data)));
source.addEventListener("state", (event) => showState(JSON.parse(event.data)));
source.addEventListener("error", () => {
  // What has ended is no longer there to be connected to; when it is started again, there is a hello.
  if (element("state").dataset.state !== "ended") showState({ name: "lost", text: "no connection; trying again" });
});

/** Add what follows from the sample and the one before. */
function complete(sample, at) {
  const total = (of) => Object.values(of.errors).reduce((sum, number) => sum + number, 0);
  sample.error_count = total(sample);
  sample.new_errors = Math.max(0, sample.error_count - (at ? samples[at - 1].error_count : 0));
  if (sample.blocked_s != null) sample.blocked_per_s = sample.blocked_s / sample.interval_s;
}

// ---- what is shown as text ----

function showState({ name, text }) {
  element("state").dataset.state = name;
  if (element("state-text").textContent !== text) element("state-text").textContent = text; // said once
}

function showEvent({ t, text }) {
  const item = document.createElement("li");
  item.textContent = `${at(t)} ${text}`;
  element("events").prepend(item);
  while (element("events").childElementCount > MOST_EVENTS) element("events").lastElementChild.remove();
}

const onAxis = (t) => (kind === "load" ? tenth.format(t) : new Date(t * 1000).toLocaleTimeString("en-GB"));
const at = (t) => (kind === "load" ? `${onAxis(t)} s` : onAxis(t));

function showNumbers(sample) {
  const entries = board.numbers.map(([name, key, format]) => {
    const entry = document.createElement("div");
    entry.append(made("dt", name), made("dd", format(sample?.[key])));
    return entry;
  });
  element("numbers").replaceChildren(...entries);
}

function showErrors(sample) {
  const found = Object.entries(sample?.errors ?? {}).sort();
  element("no-errors").hidden = found.length > 0;
  element("errors").hidden = !found.length;
  const rows = found.map(([name, number]) => {
    const row = made("tr");
    const head = made("th", name);
    head.scope = "row";
    row.append(head, made("td", whole(number)));
    return row;
  });
  element("errors").tBodies[0].replaceChildren(...rows);
}

function showTable() {
  if (!document.querySelector("details").open) return;
  const head = made("tr");
  for (const name of ["time", ...board.numbers.map(([name]) => name)]) {
    const cell = made("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  const rows = samples.slice(-TABLE_ROWS).reverse().map((sample) => {
    const row = made("tr");
    const time = made("th", at(sample.t));
    time.scope = "row";
    row.append(time, ...board.numbers.map(([, key, format]) => made("td", format(sample[key]))));
    return row;
  });
  element("reports").tHead.replaceChildren(head);
  element("reports").tBodies[0].replaceChildren(...rows);
}

function made(name, text = "") {
  const node = document.createElement(name);
  node.textContent = text;
  return node;
}

// ---- what is drawn ----

/** Make all plots anew; their colours are those of the page. */
function build() {
  for (const { plot, section } of plots) {
    plot.destroy();
    section.remove();
  }
  plots = board.panels.map(buildPanel);
}

function buildPanel(panel, number) {
  const section = made("section");
  const heading = made("h2", panel.title);
  heading.id = `panel-${number}`;
  const place = made("div");
  place.className = "plot";
  place.tabIndex = 0;
  place.setAttribute("role", "img");
  section.setAttribute("aria-labelledby", heading.id);
  section.append(heading, place);
  element("panels").append(section);
  const columnsOf = () => shown().map((sample) => ({ begin: sample.t - sample.interval_s, end: sample.t, heat: sample.heat }));
  const lines = linesOf(panel);
  const plot = new uPlot(
    {
      ...sizeOf(place),
      cursor: { sync: panel.isCurve ? undefined : { key: "time" }, y: false, drag: { x: false, y: false } },
      scales: {
        x: { time: kind === "service" && !panel.isCurve, range: panel.isCurve ? undefined : () => rangeOfTime() },
        y: panel.isLog
          ? { distr: 3, range: (_, low, high) => logRange(...(panel.hasHeat ? heatRange(columnsOf()) : [low, high])) }
          : { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
      },
      axes: [
        axis({ values: (_, ticks) => ticks.map(panel.isCurve ? ofNines : onAxis), space: 64 }),
        axis({ size: 60, values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : short(tick))) }),
      ],
      series: [
        { label: panel.isCurve ? "percentile" : "time", value: (_, x) => (x == null ? "-" : panel.isCurve ? ofNines(x) : at(x)) },
        ...lines.map(({ label, colour, dash }) => ({
          label, stroke: style(colour), dash, width: 1.5, points: { show: false }, value: (_, y) => panel.format(y),
        })),
      ],
      plugins: [drainMark(panel), ...(panel.hasHeat ? [heatMap(columnsOf, () => style("--line-1"))] : [])],
    },
    dataOf(panel),
    place,
  );
  place.addEventListener("keydown", (event) => moveCursor(event, plot));
  return { panel, plot, place, section };
}

const axis = (more) => ({
  stroke: style("--muted"), font: "12px system-ui", grid: { stroke: style("--rule"), width: 1 }, ticks: { show: false }, ...more,
});
const sizeOf = (place) => ({ width: place.clientWidth, height: place.clientHeight - 28 });
const short = (value) => (value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k` : `${Number(value.toPrecision(2))}`);
const ofNines = (x) => (x == null ? "" : `p${Number((100 * (1 - 10 ** -x)).toFixed(Math.max(0, Math.ceil(x) - 1)))}`);
const linesOf = (panel) =>
  panel.isCurve ? [line("from due", "due", 1), line("from send", "send", 2, [6, 3])] : panel.lines;

/** Whole decades: within one, uPlot 1.6.32 may look for ticks without end. */
function logRange(low, high) {
  if (!(low > 0 && high > 0)) return [0.01, 1];
  const begin = Math.floor(Math.log10(low));
  return [10 ** begin, 10 ** Math.max(begin + 1, Math.ceil(Math.log10(high)))];
}

/** The samples that are shown: those of the last seconds, or all. */
function shown() {
  if (!span || !samples.length) return samples;
  const begin = samples.at(-1).t - span;
  return samples.filter((sample) => sample.t >= begin);
}

function rangeOfTime() {
  const now = shown();
  if (!now.length) return [0, 1];
  const begin = now[0].t - now[0].interval_s;
  return [begin, Math.max(now.at(-1).t, begin + 1)];
}

function dataOf(panel) {
  if (panel.isCurve) {
    const curve = samples.findLast((sample) => sample.curve)?.curve ?? [];
    return [0, 1, 2].map((column) => curve.map((point) => point[column]));
  }
  const now = shown();
  const positive = (value) => (panel.isLog && !(value > 0) ? null : value ?? null);
  return [now.map((sample) => sample.t), ...panel.lines.map(({ key }) => now.map((sample) => positive(sample[key])))];
}

/** Shades the time of a drain. */
function drainMark(panel) {
  return {
    hooks: {
      drawClear: (plot) => {
        if (panel.isCurve) return;
        const { left, top, width, height } = plot.bbox;
        plot.ctx.save();
        plot.ctx.beginPath();
        plot.ctx.rect(left, top, width, height);
        plot.ctx.clip();
        plot.ctx.fillStyle = style("--drain");
        for (const begin of drains) {
          const from = plot.valToPos(begin, "x", true);
          plot.ctx.fillRect(from, top, left + width - from, height);
        }
        plot.ctx.restore();
      },
    },
  };
}

function show() {
  const now = samples.at(-1);
  showNumbers(now);
  showErrors(now);
  showTable();
  if (now?.progress != null) {
    element("progress").hidden = false;
    element("progress").value = now.progress;
  }
  for (const { panel, plot, place, section } of plots) {
    section.hidden = panel.needs != null && !samples.some((sample) => sample[panel.needs] != null);
    if (section.hidden) continue;
    if (plot.width !== place.clientWidth) plot.setSize(sizeOf(place));
    plot.setData(dataOf(panel));
    place.setAttribute("aria-label", inWords(panel));
  }
}

/** What a plot shows, for those who do not see it. */
function inWords(panel) {
  if (panel.isCurve) {
    const curve = samples.findLast((sample) => sample.curve)?.curve ?? [];
    const points = curve.filter(([x]) => Number.isInteger(x)).map(([x, due]) => `${ofNines(x)} ${panel.format(due)}`);
    return `${panel.title}: ${points.join(", ")}`;
  }
  const now = shown();
  const parts = panel.lines.map(({ label, key }) => {
    const values = now.map((sample) => sample[key]).filter((value) => value != null);
    if (!values.length) return `${label}: nothing yet`;
    const [low, high] = [Math.min(...values), Math.max(...values)].map(panel.format);
    return `${label}: now ${panel.format(now.at(-1)[key])}, from ${low} to ${high}`;
  });
  return `${panel.title}. ${parts.join(". ")}`;
}

// ---- what a person does ----

function moveCursor(event, plot) {
  const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  const xs = plot.data[0];
  if (step == null || !xs.length) return;
  event.preventDefault();
  const from = plot.cursor.idx ?? xs.length - 1;
  const to = Math.min(xs.length - 1, Math.max(0, from + step));
  plot.setCursor({ left: plot.valToPos(xs[to], "x"), top: 0 });
}

element("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  element("pause").setAttribute("aria-pressed", `${isPaused}`);
  if (!isPaused && board) show();
});
for (const button of document.querySelectorAll(".span")) {
  button.addEventListener("click", () => {
    span = Number(button.dataset.seconds);
    for (const other of document.querySelectorAll(".span")) other.setAttribute("aria-pressed", `${other === button}`);
    if (board) show();
  });
}
document.querySelector("details").addEventListener("toggle", () => board && showTable());
addEventListener("resize", () => board && show());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (!board) return;
  build();
  show();
});
