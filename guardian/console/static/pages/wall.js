/**
 * All nodes: a section for each manager, the worst first.
 *
 * A change touches the cell it is about and nothing else. The order follows at most once a second, and not while
 * somebody is about to press what would move.
 */

import * as board from "../board.js";
import { append, arrange, h, mark, say } from "../dom.js";
import { badge, judge, rank, shape, worst } from "../judge.js";
import * as link from "../link.js";
import { nodePath, remember } from "../router.js";
import { span } from "../when.js";

/** @typedef {import("../board.js").Cell} Cell */
/** @typedef {import("../judge.js").Level} Level */
/** @typedef {{ text: string, mode: string, notok: boolean, sort: string, kiosk: boolean }} Wish */

const ORDER_MS = 1000;
/** After the pointer or a key was last used on the wall, nothing moves for so long. */
const STILL_MS = 4000;
const MODES = ["", "AUTO", "MANAGED", "MANUAL"];
/** @type {[string, string][]} */
const SORTS = [["severity", "worst first"], ["time", "latest first"], ["name", "by name"]];
/** The section of nodes that nobody manages and that manage none. */
const ALONE = "";

/** The element of a node. */
class CellView {
  /** @param {Cell} cell */
  constructor(cell) {
    this.cell = cell;
    /** @type {Level} */
    this.level = "ok";
    this.sign = h("span", { class: "sign" });
    this.name = h("span", { class: "name" }, cell.node);
    this.time = h("span", { class: "time" });
    this.state = h("span", { class: "state" });
    this.word = h("span", { class: "word" });
    this.why = h("span", { class: "why" });
    this.element = h("a", { class: "cell", href: nodePath(cell.node), data: { node: cell.node, stop: "" } },
      this.sign, this.name, this.time, this.state, this.word, this.why);
    this.drawn = "";
    this.update(cell);
  }

  /** @param {Cell} cell */
  update(cell) {
    this.cell = cell;
    const { level, word } = judge(cell);
    if (this.drawn !== level) {
      this.level = level;
      this.drawn = level;
      this.element.className = `cell ${level}`;
      this.sign.replaceChildren(shape(level));
    }
    say(this.state, cell.there ? (cell.state === cell.request || cell.request === "NONE" ? cell.state : `${cell.state} → ${cell.request}`) : "?");
    say(this.word, level === "ok" ? "" : word);
    const why = level === "ok" ? "" : cell.ok && cell.there ? cell.says : cell.why;
    say(this.why, why);
    mark(this.element, "title", why ? `${cell.node}: ${why}` : null);
    this.tick();
  }

  tick() {
    say(this.time, this.cell.there && this.cell.since > 0 ? span(link.now() - this.cell.since) : "");
  }
}

/** A manager and what is under it. */
class Section {
  /** @param {string} manager @param {boolean} open */
  constructor(manager, open) {
    this.manager = manager;
    this.path = h("span", { class: "path" });
    this.note = h("span", { class: "soft count" });
    this.badge = h("span", { class: "worst" });
    this.told = "";
    this.cells = h("div", { class: "cells" });
    this.element = h("details", { class: "section" }, h("summary", { data: { stop: "" } }, this.path, this.badge, this.note), this.cells);
    this.element.open = open;
    /** @type {string[]} */
    this.nodes = [];
  }

  /** @param {string[]} path @param {CellView[]} views all that it has, shown or not */
  head(path, views) {
    const level = worst(views.map((view) => view.level));
    const bad = views.filter((view) => !view.cell.ok).length;
    const told = `${path.join("/")} ${level} ${bad} ${views.length}`;
    if (told === this.told) return;
    this.told = told;
    this.path.replaceChildren();
    if (!path.length) append(this.path, "No manager");
    for (const [at, node] of path.entries()) append(this.path, at > 0 && h("span", { class: "soft" }, " › "), node);
    this.badge.replaceChildren(badge(level));
    say(this.note, bad ? `${bad} of ${views.length} not OK` : `${views.length}`);
  }
}

/** @type {import("../router.js").Render} */
export function render(root, place) {
  const wish = read(place.query);
  document.documentElement.classList.toggle("kiosk", wish.kiosk);
  /** @type {Map<string, CellView>} */
  const views = new Map();
  /** @type {Map<string, Section>} */
  const sections = new Map();
  const closed = folded();
  const wall = h("div", { class: "wall" });
  const nothing = h("p", { class: "nothing" });
  let dirty = false;
  let used = -Infinity;

  const layout = (still = false) => {
    dirty = still; // it is brought up later
    wall.classList.toggle("notok", wish.notok);
    const parents = new Set();
    for (const { cell } of views.values()) if (cell.under) parents.add(cell.under);
    /** @type {Map<string, CellView[]>} */
    const members = new Map();
    for (const view of views.values()) {
      const manager = view.cell.under || (parents.has(view.cell.node) ? view.cell.node : ALONE);
      const list = members.get(manager);
      if (list) list.push(view);
      else members.set(manager, [view]);
    }
    /** @type {{ section: Section, level: number, path: string }[]} */
    const shown = [];
    for (const [manager, all] of members) {
      let section = sections.get(manager);
      if (!section) {
        section = new Section(manager, !closed.has(manager));
        section.element.addEventListener("toggle", () => fold(closed, manager, section?.element.open ?? true));
        sections.set(manager, section);
      }
      const path = lineage(manager, views);
      section.head(path, all);
      const fit = all.filter((view) => fits(view, wish));
      order(fit, wish.sort);
      if (still) keep(fit, section.nodes);
      section.nodes = fit.map((view) => view.cell.node);
      if (!fit.length) continue;
      arrange(section.cells, fit.map((view) => view.element));
      shown.push({ section, level: rank(worst(fit.map((view) => view.level))), path: path.join("/") });
    }
    for (const manager of [...sections.keys()]) if (!members.has(manager)) sections.delete(manager);
    if (wish.sort === "severity") shown.sort((a, b) => b.level - a.level || last(a) - last(b) || (a.path < b.path ? -1 : 1));
    else shown.sort((a, b) => last(a) - last(b) || (a.path < b.path ? -1 : 1));
    let elements = shown.map((one) => one.section.element);
    if (still) {
      const before = /** @type {HTMLDetailsElement[]} */ ([...wall.children].filter((one) => elements.includes(/** @type {any} */ (one))));
      elements = [...before, ...elements.filter((one) => !before.includes(one))];
    }
    arrange(wall, elements);
    nothing.hidden = shown.length > 0;
    say(nothing, views.size ? "No node is like that: none that the filters leave." : "No nodes yet: hosts are asked for theirs every second.");
  };

  const take = (/** @type {import("../board.js").News} */ news) => {
    if (news.all) for (const node of [...views.keys()]) if (!board.cells.has(node)) views.delete(node);
    let placed = news.all;
    for (const node of news.nodes) {
      const cell = board.cells.get(node);
      const view = views.get(node);
      if (!cell) continue;
      if (view) {
        placed ||= view.cell.under !== cell.under;
        view.update(cell);
      } else views.set(node, new CellView(cell));
    }
    dirty = true;
    if (placed) layout();
  };
  const second = () => {
    if (link.state.live) for (const view of views.values()) view.tick();
    if (dirty) layout(performance.now() - used < STILL_MS);
  };
  const touch = () => {
    used = performance.now();
  };

  root.append(filters(wish, () => {
    remember(written(wish));
    layout();
  }), wall, nothing);
  for (const what of ["pointermove", "pointerdown", "keydown"]) wall.addEventListener(what, touch, { passive: true });
  take({ nodes: new Set(board.cells.keys()), all: true });
  const off = board.on(take);
  const timer = window.setInterval(second, ORDER_MS);
  return () => {
    off();
    window.clearInterval(timer);
    document.documentElement.classList.remove("kiosk");
  };
}

/** Those that nobody manages stand last. @param {{ section: Section }} one */
function last(one) {
  return one.section.manager === ALONE ? 1 : 0;
}

/** A manager with those above it, from the top. @param {string} manager @param {Map<string, CellView>} views */
function lineage(manager, views) {
  /** @type {string[]} */
  const path = [];
  for (let at = manager; at && !path.includes(at); at = views.get(at)?.cell.under ?? "") path.unshift(at);
  return path;
}

/** @param {CellView} view @param {Wish} wish */
function fits(view, wish) {
  const { cell } = view;
  if (wish.notok && cell.ok && cell.there) return false;
  if (wish.mode && cell.mode !== wish.mode) return false;
  if (!wish.text) return true;
  const wanted = wish.text.toUpperCase();
  return [cell.node, cell.state, cell.request, cell.manager, cell.says].some((text) => text.toUpperCase().includes(wanted));
}

/** @param {CellView[]} views @param {string} sort */
function order(views, sort) {
  const name = (/** @type {CellView} */ a, /** @type {CellView} */ b) => (a.cell.node < b.cell.node ? -1 : 1);
  if (sort === "name") views.sort(name);
  else if (sort === "time") views.sort((a, b) => b.cell.since - a.cell.since || name(a, b));
  else views.sort((a, b) => rank(b.level) - rank(a.level) || name(a, b));
}

/** As they stood before; new ones behind. @param {CellView[]} views @param {string[]} before */
function keep(views, before) {
  const place = new Map(before.map((node, at) => [node, at]));
  views.sort((a, b) => (place.get(a.cell.node) ?? Infinity) - (place.get(b.cell.node) ?? Infinity) || 0);
}

// -- what is wanted, and how that is said in the address ---------------------------------------------------------------

/** @param {URLSearchParams} query @returns {Wish} */
function read(query) {
  const [mode, sort] = [query.get("mode") ?? "", query.get("sort") ?? ""];
  return {
    text: query.get("text") ?? "",
    mode: MODES.includes(mode) ? mode : "",
    notok: query.get("only") === "notok",
    sort: SORTS.some(([name]) => name === sort) ? sort : "severity",
    kiosk: query.get("kiosk") === "1",
  };
}

/** @param {Wish} wish */
function written(wish) {
  const query = new URLSearchParams();
  if (wish.notok) query.set("only", "notok");
  if (wish.text) query.set("text", wish.text);
  if (wish.mode) query.set("mode", wish.mode);
  if (wish.sort !== "severity") query.set("sort", wish.sort);
  if (wish.kiosk) query.set("kiosk", "1");
  return query;
}

/** @param {Wish} wish @param {() => void} changed */
function filters(wish, changed) {
  const notok = h("input", { type: "checkbox" });
  notok.checked = wish.notok;
  const text = h("input", { type: "search", placeholder: "name, state, manager", "aria-label": "Only with this text", spellcheck: "false" });
  text.value = wish.text;
  const mode = h("select", { "aria-label": "Mode" }, ...MODES.map((name) => h("option", { value: name, selected: name === wish.mode }, name || "any mode")));
  const sort = h("select", { "aria-label": "Order" }, ...SORTS.map(([name, text]) => h("option", { value: name, selected: name === wish.sort }, text)));
  const listen = (/** @type {HTMLElement} */ element, /** @type {() => void} */ take) =>
    element.addEventListener("input", () => {
      take();
      changed();
    });
  listen(notok, () => (wish.notok = notok.checked));
  listen(text, () => (wish.text = text.value.trim()));
  listen(mode, () => (wish.mode = mode.value));
  listen(sort, () => (wish.sort = sort.value));
  return h("form", { class: "filters", role: "search", on: { submit: (/** @type {Event} */ event) => event.preventDefault() } },
    h("label", { class: "check" }, notok, "only not OK"), text, mode, sort);
}

// -- sections that are folded stay so ----------------------------------------------------------------------------------

const FOLDED = "guardian.folded";

/** @returns {Set<string>} */
function folded() {
  try {
    return new Set(JSON.parse(localStorage.getItem(FOLDED) ?? "[]"));
  } catch {
    return new Set();
  }
}

/** @param {Set<string>} closed @param {string} manager @param {boolean} open */
function fold(closed, manager, open) {
  if (open === !closed.has(manager)) return;
  if (open) closed.delete(manager);
  else closed.add(manager);
  try {
    localStorage.setItem(FOLDED, JSON.stringify([...closed]));
  } catch {
    // a browser that keeps nothing
  }
}
