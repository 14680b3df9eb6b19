/**
 * States as bands over a time: a row for each node, to look at, to move a cursor in, and to pick a part of.
 *
 * A state has the same ground and pattern on every page, and its name where there is room; colours are all muted, as
 * none of them says that something is wrong.
 */

import { append, fill, h, mark, s } from "./dom.js";
import { date } from "./when.js";

/** @typedef {{ state: string, begin: number, end: number, count?: number }} Band state "": several, too short to be shown each. */
/** @typedef {{ node: string, bands: Band[] }} Row */
/** @typedef {{ since: number, until: number, rows: Row[] }} Shown */

const [HIGH, GAP, AXIS] = [24, 6, 18];
const GROUNDS = 6;
/** What is drawn over the ground of a state. */
const PATTERNS = ["", "M0 8L8 0", "M0 0L8 8", "M0 4H8", "M4 0V8", "M0 8L8 0M0 0L8 8", "M3 4h2"];
const CHARACTER_PX = 7.2;
/** Narrower than this a band is one with its neighbours. */
const THIN_PX = 1.5;
/** Steps of an axis, in seconds. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 604800, 1209600];

/** A number from a name, always the same. @param {string} text */
function hash(text) {
  let value = 2166136261;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 16777619) >>> 0;
  return value;
}

const defs = s("defs");
const kept = s("svg", { class: "defs", width: 0, height: 0, "aria-hidden": "true" }, defs);
/** @type {Map<string, string>} */
const made = new Map();

/** What a band of this state is filled with. @param {string} state */
export function ground(state) {
  if (!kept.isConnected) document.body.append(kept);
  const value = state ? hash(state) : 0;
  const [tint, pattern] = state ? [value % GROUNDS, Math.floor(value / GROUNDS) % PATTERNS.length] : ["many", PATTERNS.length];
  const id = `band-${tint}-${pattern}`;
  if (!made.has(id)) {
    made.set(id, id);
    append(defs, s("pattern", { id, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      s("rect", { class: `ground g${tint}`, width: 8, height: 8 }),
      s("path", { class: "over", d: PATTERNS[Number(pattern)] ?? "M2 0V8M6 0V8" })));
  }
  return `url(#${id})`;
}

/** A small piece of it, for a list. @param {string} state */
export function swatch(state) {
  return s("svg", { class: "swatch", width: 22, height: 12, "aria-hidden": "true" }, s("rect", { class: "band", x: 0.5, y: 0.5, width: 21, height: 11, fill: ground(state) }));
}

/** The bands. `pick`: a moment of a node was chosen; `zoom`: another time is to be shown. */
export class Bands {
  /**
   * @param {{ label: (node: string) => Node, pick: (node: string, stamp: number) => void, zoom: (since: number, until: number) => void,
   *   tell: (text: string) => void }} does
   */
  constructor(does) {
    this.does = does;
    /** @type {Shown} */
    this.shown = { since: 0, until: 1, rows: [] };
    this.row = 0;
    /** Of the cursor, epoch seconds; null: there is none. @type {number | null} */
    this.at = null;
    this.labels = h("div", { class: "labels" });
    this.svg = s("svg", { class: "bands", "aria-hidden": "true" });
    this.line = s("line", { class: "cursor" });
    this.brush = s("rect", { class: "brush" });
    this.field = h("div", {
      class: "field", tabindex: "0", role: "group",
      "aria-label": "Bands of states: left and right move the cursor, up and down change the node, + and - zoom, Shift with left and right goes to other times, Enter picks the moment",
    }, this.svg);
    this.element = h("div", { class: "bandchart" }, this.labels, this.field);
    /** Somebody is marking a part of it. */
    this.busy = false;
    this.width = 0;
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.field);
    this.listen();
  }

  end() {
    this.resized.disconnect();
  }

  /** @param {Shown} shown */
  show(shown) {
    this.shown = shown;
    this.row = Math.min(this.row, Math.max(shown.rows.length - 1, 0));
    if (this.at !== null && (this.at < shown.since || this.at > shown.until)) this.at = null;
    fill(this.labels, ...shown.rows.map(({ node }) => h("div", {}, this.does.label(node))));
    this.width = 0;
    this.draw();
  }

  get span() {
    return this.shown.until - this.shown.since;
  }

  /** @param {number} stamp */
  x(stamp) {
    return ((stamp - this.shown.since) / this.span) * this.width;
  }

  /** @param {number} x */
  stamp(x) {
    return this.shown.since + (Math.min(Math.max(x, 0), this.width) / Math.max(this.width, 1)) * this.span;
  }

  draw() {
    const width = Math.floor(this.field.clientWidth);
    if (!width || width === this.width) return;
    this.width = width;
    const { rows } = this.shown;
    const height = AXIS + rows.length * (HIGH + GAP);
    for (const [name, value] of [["width", width], ["height", height], ["viewBox", `0 0 ${width} ${height}`]]) mark(this.svg, String(name), String(value));
    fill(this.svg, ...this.axis(height), ...rows.flatMap((row, at) => this.bands(row, AXIS + at * (HIGH + GAP))), this.brush, this.line);
    mark(this.brush, "width", "0");
    this.point();
  }

  /** @param {number} height */
  axis(height) {
    const least = (this.span / this.width) * 90;
    const step = STEPS.find((one) => one >= least) ?? Math.ceil(least / 604800) * 604800;
    const found = [];
    for (let stamp = Math.ceil(this.shown.since / step) * step; stamp < this.shown.until; stamp += step) {
      const text = date(stamp);
      const x = this.x(stamp);
      const end = x > this.width - 40;
      found.push(s("line", { class: "tick", x1: x, x2: x, y1: AXIS - 4, y2: height }),
        s("text", { class: "time", x: end ? this.width : x, y: 11, "text-anchor": end ? "end" : x < 40 ? "start" : "middle" }, step >= 86400 || text.endsWith("00:00:00") ? text.slice(5, 10) : step < 60 ? text.slice(11) : text.slice(11, 16)));
    }
    return found;
  }

  /** @param {Row} row @param {number} y */
  bands(row, y) {
    /** @type {SVGElement[]} */
    const found = [s("rect", { class: "void", x: 0, y, width: this.width, height: HIGH })];
    for (const band of thick(row.bands, (THIN_PX * this.span) / this.width)) {
      const [x, end] = [this.x(band.begin), this.x(band.end)];
      const width = Math.max(end - x, 1);
      found.push(s("rect", { class: "band", x, y, width, height: HIGH, fill: ground(band.state) }));
      const room = Math.floor((width - 6) / CHARACTER_PX);
      const text = band.state.length <= room ? band.state : room >= 5 && band.state ? `${band.state.slice(0, room - 1)}…` : "";
      if (text) found.push(s("text", { class: "name", x: x + width / 2, y: y + HIGH / 2 + 4, "text-anchor": "middle" }, text));
    }
    return found;
  }

  /** Draw the cursor where it is, and say what is there. */
  point() {
    const row = this.shown.rows[this.row];
    this.line.toggleAttribute("hidden", this.at === null || !row);
    for (const [at, label] of [...this.labels.children].entries()) label.classList.toggle("here", this.at !== null && at === this.row);
    if (this.at === null || !row) return;
    const x = this.x(this.at);
    const y = AXIS + this.row * (HIGH + GAP);
    for (const [name, value] of [["x1", x], ["x2", x], ["y1", y - 3], ["y2", y + HIGH + 3]]) mark(this.line, String(name), String(value));
    this.does.tell(told(row, this.at));
  }

  /** Show another time. @param {number} since @param {number} until */
  go(since, until) {
    if (until - since >= 1) this.does.zoom(since, until);
  }

  /** @param {number} by more than 1: nearer */
  zoom(by) {
    const about = this.at ?? (this.shown.since + this.shown.until) / 2;
    this.go(about - (about - this.shown.since) / by, about + (this.shown.until - about) / by);
  }

  /** @param {number} part of what is shown */
  pan(part) {
    this.go(this.shown.since + part * this.span, this.shown.until + part * this.span);
  }

  /** @param {PointerEvent} event */
  spot(event) {
    const seen = this.field.getBoundingClientRect();
    const row = Math.floor((event.clientY - seen.y - AXIS + GAP / 2) / (HIGH + GAP));
    return { x: event.clientX - seen.x, row: Math.min(Math.max(row, 0), this.shown.rows.length - 1) };
  }

  listen() {
    const { field } = this;
    /** Where the button went down. @type {number | null} */
    let from = null;
    field.addEventListener("pointerdown", (event) => {
      if (event.button || !this.shown.rows.length) return;
      from = this.spot(event).x;
      this.busy = true;
      field.setPointerCapture(event.pointerId);
    });
    field.addEventListener("pointermove", (event) => {
      const { x, row } = this.spot(event);
      if (from !== null) {
        mark(this.brush, "x", String(Math.max(Math.min(from, x), 0)));
        mark(this.brush, "width", String(Math.abs(x - from)));
        mark(this.brush, "y", "0");
        mark(this.brush, "height", this.svg.getAttribute("height"));
      }
      this.row = row;
      this.at = this.stamp(x);
      this.point();
    });
    field.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const { x, row } = this.spot(event);
      const [begin, end] = [this.stamp(Math.min(from, x)), this.stamp(Math.max(from, x))];
      const moved = Math.abs(x - from) > 6;
      from = null;
      this.busy = false;
      mark(this.brush, "width", "0");
      if (moved) this.go(begin, end);
      else {
        this.row = row;
        this.at = this.stamp(x);
        this.point();
        this.does.pick(this.shown.rows[row].node, this.at);
      }
    });
    field.addEventListener("pointercancel", () => {
      from = null;
      this.busy = false;
      mark(this.brush, "width", "0");
    });
    field.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.shown.rows.length) return;
      const step = (/** @type {number} */ by) => () => {
        this.at = Math.min(Math.max((this.at ?? (this.shown.since + this.shown.until) / 2) + by * this.span, this.shown.since), this.shown.until);
        this.point();
      };
      const down = (/** @type {number} */ by) => () => {
        this.row = Math.min(Math.max(this.row + by, 0), this.shown.rows.length - 1);
        this.at ??= (this.shown.since + this.shown.until) / 2;
        this.point();
      };
      /** @type {Record<string, () => void>} */
      const does = {
        ArrowLeft: event.shiftKey ? () => this.pan(-0.5) : step(-1 / 100),
        ArrowRight: event.shiftKey ? () => this.pan(0.5) : step(1 / 100),
        ArrowUp: down(-1), ArrowDown: down(1), Home: step(-1), End: step(1),
        "+": () => this.zoom(2), "=": () => this.zoom(2), "-": () => this.zoom(0.5),
        Enter: () => this.at !== null && this.does.pick(this.shown.rows[this.row].node, this.at),
      };
      if (!(event.key in does)) return;
      event.preventDefault();
      does[event.key]();
    });
  }
}

/** Bands that are too thin to be seen become one with those beside them. @param {Band[]} bands @param {number} least_s */
function thick(bands, least_s) {
  /** @type {Band[]} */
  const found = [];
  for (const band of bands) {
    const last = found.at(-1);
    if (last && band.end - last.begin < least_s) {
      last.end = band.end;
      if (last.state !== band.state) last.state = "";
    } else found.push({ ...band });
  }
  return found;
}

/** What was there then. @param {Row} row @param {number} at */
function told(row, at) {
  const band = row.bands.find((one) => one.begin <= at && at < one.end) ?? row.bands.find((one) => one.end === at);
  const when = `${date(at)} UTC`;
  if (!band) return `${row.node} at ${when}: nothing is recorded: its host was away, or did not have it`;
  if (!band.state) return `${row.node} at ${when}: ${band.count ?? "several"} short stays from ${date(band.begin)} to ${date(band.end)}; zoom to see each`;
  return `${row.node} at ${when}: ${band.state}, from ${date(band.begin)} to ${date(band.end)}`;
}
