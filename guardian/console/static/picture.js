/**
 * The state graph of a node, drawn by the console once; what moves in it are classes on its states and edges.
 */

import * as api from "./api.js";
import { fill, h, mark } from "./dom.js";
import { read } from "./svg.js";

/** @typedef {import("./board.js").Cell} Cell */

const STATE = "s-";
const MARGIN = 6;

export class Picture {
  /** @param {string} node @param {"whole" | "focus"} view @param {(state: string) => void} pick called with a state that was pressed */
  constructor(node, view, pick) {
    this.node = node;
    this.view = view;
    this.element = h("div", { class: "picture" });
    /** @type {SVGSVGElement | null} */
    this.svg = null;
    /** @type {Map<string, SVGElement>} by id */
    this.parts = new Map();
    /** @type {string[]} */
    this.way = [];
    /** @type {string} for which the way was asked */
    this.asked = "";
    /** @type {Map<SVGElement, string>} */
    this.marked = new Map();
    this.chosen = "";
    this.element.addEventListener("click", (event) => {
      const part = event.target instanceof Element ? event.target.closest("g.node") : null;
      if (part?.id.startsWith(STATE)) pick(part.id.slice(STATE.length));
    });
  }

  /** Fetch it anew. Where there is none, the console's sentence stands in its place. @returns {Promise<boolean>} */
  async load() {
    let svg = null;
    let why = "It cannot be read: the console gave no drawing.";
    try {
      svg = read(await api.text(api.ofNode(this.node, "graph.svg"), { view: this.view }));
    } catch (error) {
      why = api.told(error);
    }
    this.svg = svg;
    this.parts.clear();
    this.marked.clear();
    if (!svg) {
      fill(this.element, h("p", { class: "nothing" }, why));
      return false;
    }
    mark(svg, "role", "img");
    mark(svg, "aria-label", `State graph of ${this.node}; the same as a list stands beside it`);
    for (const part of svg.querySelectorAll("g[id]")) this.parts.set(part.id, /** @type {SVGElement} */ (part));
    // The sheet, and its title: the page has one.
    for (const part of svg.querySelectorAll("polygon, text")) if (!part.closest(".node, .edge")) part.remove();
    for (const part of svg.querySelectorAll(".node")) outline(part);
    fill(this.element, svg);
    trim(svg);
    return true;
  }

  /** Whether a state is in it. @param {string} state */
  has(state) {
    return this.parts.has(STATE + state);
  }

  /** @param {string} state @returns {SVGElement | undefined} */
  part(state) {
    return this.parts.get(STATE + state);
  }

  /** Ask for the way that the node is on. @param {Cell} cell */
  async follow(cell) {
    const wanted = `${cell.state} ${cell.target} ${cell.request}`;
    if (wanted === this.asked) return;
    this.asked = wanted;
    if (!cell.there || cell.state === cell.request || cell.request === "NONE") {
      this.way = [];
      return;
    }
    try {
      const told = await api.get(api.ofNode(this.node, "way"), { state: cell.request });
      if (this.asked === wanted) this.way = told.states ?? [];
    } catch {
      if (this.asked === wanted) this.way = [];
    }
  }

  /** Mark what the node does. @param {Cell} cell */
  show(cell) {
    /** @type {Map<SVGElement, string>} */
    const wanted = new Map();
    const put = (/** @type {string} */ id, /** @type {string} */ name) => {
      const part = this.parts.get(id);
      if (part) wanted.set(part, `${wanted.get(part) ?? ""} ${name}`.trim());
    };
    // What was passed meanwhile is no longer of the way.
    const from = this.way.indexOf(cell.state);
    const way = from < 0 ? [cell.state, cell.target] : this.way.slice(from);
    for (const [at, state] of way.entries()) {
      put(STATE + state, "is-path");
      if (at) put(`e-${way[at - 1]}--${state}`, "is-path");
    }
    put(STATE + cell.request, "is-request");
    if (cell.target !== cell.state) put(STATE + cell.target, "is-target");
    put(STATE + cell.state, "is-current");
    if (cell.error === "ERROR" || cell.worker === "DEAD") put(STATE + cell.state, "is-error");
    if (this.chosen) put(STATE + this.chosen, "is-chosen");
    for (const [part, name] of this.marked) if (!wanted.has(part)) part.classList.remove(...name.split(" "));
    for (const [part, name] of wanted) {
      const before = this.marked.get(part);
      if (before === name) continue;
      if (before) part.classList.remove(...before.split(" "));
      part.classList.add(...name.split(" "));
    }
    this.marked = wanted;
  }
}

/** Two more outlines of a state, one in the other: seen where it is requested. @param {Element} part */
function outline(part) {
  const shape = part.querySelector("path, polygon, ellipse");
  for (const name of ["outer", "gap"]) {
    const copy = /** @type {Element | undefined} */ (shape?.cloneNode());
    copy?.setAttribute("class", `ring ${name}`);
    if (copy) shape?.before(copy);
  }
}

/** Leave no room for what was taken away. @param {SVGSVGElement} svg */
function trim(svg) {
  const { x, y, width, height } = svg.getBBox();
  if (!width || !height) return; // it is not seen
  const box = { x: x - MARGIN, y: y - MARGIN, w: width + 2 * MARGIN, h: height + 2 * MARGIN };
  svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.w} ${box.h}`);
  svg.setAttribute("width", `${box.w}pt`);
  svg.setAttribute("height", `${box.h}pt`);
}

/** What the marks in it mean. */
export function legend() {
  /** @type {[string, string][]} */
  const marks = [["current", "present state"], ["target", "target"], ["path", "way to the request"], ["request", "request"],
    ["requestable", "can be requested"], ["goto", "goto: reached from everywhere"], ["nominal", "★ nominal"]];
  return h("ul", { class: "legend", "aria-label": "Legend" }, ...marks.map(([name, text]) =>
    h("li", {}, name !== "nominal" && h("span", { class: `key ${name}` }), text)));
}
