/**
 * The whole graph of a node, to move about in; and the same as a list.
 */

import * as api from "../api.js";
import * as board from "../board.js";
import { fill, h, mark, paced, s } from "../dom.js";
import { graph, inOrder } from "../graph.js";
import { nodeHead } from "../nodehead.js";
import { permit } from "../order.js";
import { legend, Picture } from "../picture.js";
import { openRequest } from "../request.js";
import { remember } from "../router.js";
import { duration } from "../when.js";

/** @typedef {import("../graph.js").State} State */
/** @typedef {{ usual: number, p90: number, most: number, last: number, count: number }} Times */
/** @typedef {{ x: number, y: number, w: number, h: number }} Box */

const STEP = 1.25;
const PACE_MS = 1000;

/** @type {import("../router.js").Render} */
export function render(root, { node, query }) {
  board.show(node);
  const endHead = nodeHead(root, node, "graph");
  /** @type {State[]} */
  let states = [];
  /** @type {Record<string, Times>} */
  let times = {};
  const about = h("div", { class: "about", "aria-live": "polite" });
  const rows = h("tbody");
  const picture = new Picture(node, "whole", (state) => choose(state));
  const view = new View(picture);
  const back = h("input", { type: "checkbox" });
  back.checked = query.get("back") !== "0";
  const listed = h("details", { class: "twin" }, h("summary", {}, "The same as a list"),
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, ...["Index", "State", "", "Usually", "What it does"].map((name) => h("th", { scope: "col" }, name)))), rows));
  root.append(
    h("div", { class: "graphpage" },
      h("section", { class: "panel stage" },
        h("div", { class: "bar" }, view.buttons, h("label", { class: "check" }, back, "edges back"), legend()),
        view.element, listed),
      h("section", { class: "panel side", "aria-label": "State" }, about)));

  const choose = (/** @type {string} */ name) => {
    picture.chosen = name;
    const wanted = new URLSearchParams(query);
    if (name) wanted.set("state", name);
    else wanted.delete("state");
    remember(wanted);
    draw();
  };
  const reveal = () => {
    picture.element.classList.toggle("noback", !back.checked);
  };
  back.addEventListener("change", () => {
    if (back.checked) query.delete("back");
    else query.set("back", "0");
    remember(query);
    reveal();
  });
  let told = "";
  const draw = () => {
    const cell = board.cellOf(node);
    if (!cell) return;
    picture.show(cell);
    follow();
    const now = [cell.there, cell.state, cell.target, cell.request, cell.nominal, picture.chosen, states.length].join();
    if (now === told) return;
    told = now;
    const name = picture.chosen || cell.state;
    fill(about, ...described(node, states.find((state) => state.name === name), times[name], cell, Boolean(picture.chosen)));
    fill(rows, ...states.map((state) => h("tr", {},
      h("td", { class: "number" }, state.index),
      h("td", {}, h("button", { type: "button", class: "plain mono", data: { stop: "" }, on: { click: () => choose(state.name) } }, state.name)),
      h("td", {}, signs(state, cell).join(", ")),
      h("td", { class: "number" }, duration(times[state.name]?.usual)),
      h("td", {}, state.doc))));
  };
  const follow = paced(PACE_MS, async () => {
    const cell = board.cellOf(node);
    if (cell) {
      await picture.follow(cell);
      picture.show(board.cellOf(node) ?? cell);
    }
  });
  const load = async () => {
    const drawn = picture.load();
    try {
      const facts = await api.get(api.ofNode(node));
      states = inOrder(facts.graph?.states ?? []);
      times = facts.durations ?? {};
    } catch {
      states = graph().states;
    }
    if (!(await drawn)) listed.open = true;
    view.begin(query.get("state") || board.cells.get(node)?.state || "");
    told = "";
    draw();
  };
  picture.chosen = query.get("state") ?? "";
  reveal();
  void load();
  let known = board.cells.has(node);
  let loaded = board.row("LOAD_TIME");
  const offs = [
    endHead,
    board.on((news) => {
      if (news.all && known !== board.cells.has(node)) {
        known = !known;
        // Where it had none, there is a graph now.
        if (known && !picture.svg) void load();
      }
      if (news.all || news.nodes.has(node)) draw();
    }),
    board.onRows(() => {
      const now = board.row("LOAD_TIME");
      if (loaded && now && now !== loaded) void load();
      loaded = now || loaded;
    }),
  ];
  return () => {
    follow.stop();
    view.end();
    for (const off of offs) off();
    board.show(null);
  };
}

/** @param {State} state @param {import("../board.js").Cell} cell */
function signs(state, cell) {
  return [
    state.name === cell.state && "present", state.name === cell.target && state.name !== cell.state && "target",
    state.name === cell.request && "request", state.name === cell.nominal && "★ nominal",
    state.request ? "requestable" : "", state.goto !== null && "goto", !state.redirect && "is not left before it is done",
  ].filter((sign) => typeof sign === "string" && sign);
}

/**
 * @param {string} node
 * @param {State | undefined} state
 * @param {Times | undefined} times
 * @param {import("../board.js").Cell} cell
 * @param {boolean} chosen
 */
function described(node, state, times, cell, chosen) {
  if (!state) return [h("p", { class: "soft" }, chosen ? "It has no such state." : "Press a state to read about it.")];
  const button = h("button", { type: "button", class: "main", on: { click: () => openRequest(node, state.name) } }, "Request this…");
  permit([button], "OPERATE");
  button.disabled = false; // to look at the way takes no rights
  return [
    h("h2", { class: "mono" }, state.name),
    h("p", { class: "soft" }, [`index ${state.index}`, ...signs(state, cell)].join(", ")),
    h("p", { class: "doc" }, state.doc || "Its code does not say what it does."),
    h("dl", { class: "times" }, ...(times ? [["Usually", times.usual], ["9 of 10 within", times.p90], ["Longest lately", times.most], ["Last", times.last]]
      .flatMap(([name, value]) => [h("dt", {}, String(name)), h("dd", {}, duration(Number(value)))]) : []),
      times && h("dt", {}, "Completed"), times && h("dd", {}, times.count === 1 ? "once" : `${times.count} times`),
      !times && h("dt", {}, "Usually"), !times && h("dd", { class: "soft" }, "never timed")),
    button,
  ];
}

// -- moving about ------------------------------------------------------------------------------------------------------

/** What part of a picture is seen, and how that is changed: wheel, drag, keys, buttons, the small picture. */
class View {
  /** @param {Picture} picture */
  constructor(picture) {
    this.picture = picture;
    /** @type {Box} */
    this.all = { x: 0, y: 0, w: 1, h: 1 };
    /** @type {Box} */
    this.box = { ...this.all };
    this.small = h("div", { class: "small", "aria-hidden": "true" });
    this.frame = s("rect", { class: "seen" });
    this.element = h("div", { class: "view", tabindex: "0", role: "group", "aria-label": "Graph: arrows move it, + and - zoom, 0 shows all" }, picture.element, this.small);
    this.buttons = h("span", { class: "zoom" }, ...[["−", "Smaller", 1 / STEP], ["+", "Larger", STEP]].map(([sign, name, by]) =>
      h("button", { type: "button", "aria-label": String(name), on: { click: () => this.zoom(Number(by)) } }, String(sign))),
      h("button", { type: "button", on: { click: () => this.fit() } }, "All"), h("button", { type: "button", on: { click: () => this.read() } }, "1:1"));
    this.start = "";
    this.listen();
    this.resized = new ResizeObserver(() => this.svg && this.set(this.box));
    this.resized.observe(this.element);
  }

  get svg() {
    return this.picture.svg;
  }

  /** A picture has come. @param {string} state to look at first, where not all can be read at once */
  begin(state) {
    const { svg } = this;
    this.small.replaceChildren();
    if (!svg) return;
    const [x, y, w, height] = (svg.getAttribute("viewBox") ?? "0 0 1 1").split(/[ ,]+/).map(Number);
    this.all = { x, y, w, h: height };
    svg.removeAttribute("width");
    svg.removeAttribute("height");
    const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
    for (const one of [copy, ...copy.querySelectorAll("[id]")]) one.removeAttribute("id");
    for (const text of copy.querySelectorAll("text")) text.remove();
    copy.append(this.frame);
    this.small.append(copy);
    this.start = state;
    this.read();
  }

  /** So large that it can be read, with the present state in the middle; or all of it, if that can be read. */
  read() {
    const { width, height } = this.element.getBoundingClientRect();
    if (!this.svg || !width || !height) return;
    const scale = Math.min(width / this.all.w, height / this.all.h);
    if (scale >= 0.9) {
      this.fit(1.3);
      return;
    }
    const middle = this.centre(this.start) ?? { x: this.all.x + this.all.w / 2, y: this.all.y };
    const size = { w: width / 1.2, h: height / 1.2 };
    this.set({ x: middle.x - size.w / 2, y: middle.y - size.h / 2, ...size });
  }

  /** All of it. @param {number} [most] not larger than that */
  fit(most = 2) {
    const { width, height } = this.element.getBoundingClientRect();
    const scale = Math.min(width / this.all.w, height / this.all.h, most);
    const size = { w: width / scale, h: height / scale };
    this.set({ x: this.all.x + (this.all.w - size.w) / 2, y: this.all.y + (this.all.h - size.h) / 2, ...size });
  }

  /** Where a state is, in the picture's own measure. @param {string} state */
  centre(state) {
    const part = this.picture.part(state);
    const { svg } = this;
    const matrix = svg?.getScreenCTM();
    if (!(part instanceof SVGGraphicsElement) || !matrix) return null;
    const seen = part.getBoundingClientRect();
    return new DOMPoint(seen.x + seen.width / 2, seen.y + seen.height / 2).matrixTransform(matrix.inverse());
  }

  /** @param {number} by @param {{ x: number, y: number }} [about] a point of the picture that stays where it is */
  zoom(by, about = { x: this.box.x + this.box.w / 2, y: this.box.y + this.box.h / 2 }) {
    const w = Math.min(Math.max(this.box.w / by, 60), this.all.w * 4 + 800);
    const real = this.box.w / w;
    this.set({ x: about.x - (about.x - this.box.x) / real, y: about.y - (about.y - this.box.y) / real, w, h: this.box.h / real });
  }

  /** @param {number} x @param {number} y parts of what is seen */
  pan(x, y) {
    this.set({ ...this.box, x: this.box.x + x * this.box.w, y: this.box.y + y * this.box.h });
  }

  /** @param {Box} box */
  set(box) {
    const { width, height } = this.element.getBoundingClientRect();
    if (!this.svg || !width) return;
    const h = (box.w * height) / width;
    const y = box.y + (box.h - h) / 2;
    // The middle of what is seen is always in the picture: nobody gets lost.
    const x = Math.min(Math.max(box.x, this.all.x - box.w / 2), this.all.x + this.all.w - box.w / 2);
    this.box = { x, y: Math.min(Math.max(y, this.all.y - h / 2), this.all.y + this.all.h - h / 2), w: box.w, h };
    this.svg.setAttribute("viewBox", `${this.box.x} ${this.box.y} ${this.box.w} ${this.box.h}`);
    for (const [name, value] of [["x", this.box.x], ["y", this.box.y], ["width", this.box.w], ["height", this.box.h]]) mark(this.frame, String(name), String(value));
    const all = this.box.w >= this.all.w && this.box.h >= this.all.h;
    this.small.hidden = all;
  }

  /** @param {Element} element @param {{ clientX: number, clientY: number }} event @param {Box} box */
  point(element, event, box) {
    const seen = element.getBoundingClientRect();
    return { x: box.x + ((event.clientX - seen.x) / seen.width) * box.w, y: box.y + ((event.clientY - seen.y) / seen.height) * box.h };
  }

  listen() {
    const { element, small } = this;
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), this.point(element, event, this.box));
    }, { passive: false });
    let moved = 0;
    element.addEventListener("pointerdown", (event) => {
      if (event.button || !this.svg || (event.target instanceof Element && event.target.closest(".small"))) return;
      moved = 0;
      const move = (/** @type {PointerEvent} */ to) => {
        moved += Math.abs(to.movementX) + Math.abs(to.movementY);
        if (moved < 4) return;
        const { width, height } = element.getBoundingClientRect();
        this.pan(-to.movementX / width, -to.movementY / height);
      };
      const up = () => {
        window.removeEventListener("pointermove", move);
        window.removeEventListener("pointerup", up);
        window.removeEventListener("pointercancel", up);
      };
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", up);
      window.addEventListener("pointercancel", up);
    });
    // The end of a drag presses no state.
    element.addEventListener("click", (event) => {
      if (moved >= 4) event.stopPropagation();
    }, { capture: true });
    element.addEventListener("keydown", (event) => {
      /** @type {Record<string, () => void>} */
      const does = {
        ArrowLeft: () => this.pan(-0.1, 0), ArrowRight: () => this.pan(0.1, 0), ArrowUp: () => this.pan(0, -0.1), ArrowDown: () => this.pan(0, 0.1),
        "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP), 0: () => this.fit(),
      };
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in does)) return;
      event.preventDefault();
      does[event.key]();
    });
    small.addEventListener("pointerdown", (event) => {
      const copy = small.firstElementChild;
      if (!(copy instanceof SVGSVGElement)) return;
      const matrix = copy.getScreenCTM();
      if (!matrix) return;
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
      this.set({ ...this.box, x: at.x - this.box.w / 2, y: at.y - this.box.h / 2 });
    });
  }

  end() {
    this.resized.disconnect();
  }
}
