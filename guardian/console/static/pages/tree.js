/**
 * Who manages whom, and what is wrong with that.
 */

import * as api from "../api.js";
import * as board from "../board.js";
import { fill, h, paced, say } from "../dom.js";
import { badge, judge } from "../judge.js";
import { nodePath } from "../router.js";

/** @typedef {{ node: string, flags: Record<string, string>, watched: boolean, again: boolean, below: Place[] }} Place */
/** @typedef {{ verdict: Element, state: Element, mode: Element, drawn: string }} View */

const PACE_MS = 1000;
/** What a flag means, in shape and colour. @type {Record<string, import("../judge.js").Level>} */
const LEVELS = { MISSING: "invalid", CONTESTED: "major", ORPHANED: "major", STALLED: "minor", UNMANAGED: "minor" };

/** @type {import("../router.js").Render} */
export function render(root) {
  const list = h("ul", { class: "tree" });
  const note = h("p", { class: "soft" });
  root.append(h("div", { class: "panel treepage" }, h("div", { class: "bar" }, h("h1", {}, "Managers"), note), list));
  /** @type {Map<string, View[]>} */
  let views = new Map();
  let told = "";

  const draw = (/** @type {Iterable<string>} */ nodes) => {
    for (const node of nodes) {
      const cell = board.cellOf(node);
      if (!cell) continue;
      for (const view of views.get(node) ?? []) {
        const { level, word } = judge(cell);
        say(view.state, !cell.there ? "?" : cell.state === cell.request ? cell.state : `${cell.state} → ${cell.request}`);
        say(view.mode, cell.mode === "?" ? "" : cell.mode);
        if (view.drawn === `${level} ${word}`) continue;
        view.drawn = `${level} ${word}`;
        view.verdict.replaceChildren(badge(level, word));
      }
    }
  };
  const item = (/** @type {Place} */ place, depth = 0) => {
    const [verdict, state, mode] = [h("span", { class: "verdict" }), h("span", { class: "mono" }), h("span", { class: "soft mode" })];
    if (!place.again) views.set(place.node, [...(views.get(place.node) ?? []), { verdict, state, mode, drawn: "" }]);
    const cell = board.cells.get(place.node);
    const word = cell ? judge(cell).word : "";
    // What the word says already is not said twice.
    const flags = place.again ? [] : Object.entries(place.flags).filter(([kind]) => kind !== "MISSING" && kind.toLowerCase() !== word);
    const link = h("a", { href: nodePath(place.node), data: { node: place.node, stop: "" } }, place.node);
    link.style.setProperty("--depth", String(depth));
    /** @type {HTMLElement} */
    const made = h("li", {},
      h("div", { class: "place" }, link,
        place.watched && h("span", { class: "soft" }, "watched"), place.again && h("span", { class: "soft" }, "stands elsewhere"),
        state, mode, verdict, ...flags.map(([kind, text]) => h("span", { class: "flag" }, badge(LEVELS[kind] ?? "minor", kind), " ", text))),
      place.below.length > 0 && h("ul", {}, ...place.below.map((one) => item(one, depth + 1))));
    return made;
  };
  const build = (/** @type {Place[]} */ tree) => {
    const now = JSON.stringify(tree);
    if (now === told) return;
    told = now;
    views = new Map();
    const focus = document.activeElement instanceof HTMLElement && list.contains(document.activeElement) ? document.activeElement.dataset.node : null;
    fill(list, ...tree.map((one) => item(one)));
    draw(views.keys());
    if (focus) [...list.querySelectorAll("a")].find((one) => one.dataset.node === focus)?.focus();
    if (!tree.length) fill(list, h("li", { class: "nothing" }, "No nodes yet."));
  };
  const load = paced(PACE_MS, async () => {
    try {
      build(await api.get("/api/tree"));
      say(note, "");
    } catch (error) {
      if (!views.size) build(own());
      say(note, `${api.told(error)} Shown is what the wall knows.`);
    }
  });
  /** Where each node stood. @type {Map<string, string>} */
  const stood = new Map();
  const take = (/** @type {board.News} */ news) => {
    let moved = news.all;
    for (const node of news.nodes) {
      const cell = board.cells.get(node);
      const place = cell ? `${cell.under} ${JSON.stringify(cell.flags)}` : "";
      moved ||= stood.get(node) !== place;
      stood.set(node, place);
    }
    if (moved) load();
    draw(news.nodes);
  };
  load();
  const off = board.on(take);
  return () => {
    off();
    load.stop();
  };
}

/** The tree, as far as the cells tell it. @returns {Place[]} */
function own() {
  /** @type {Map<string, string[]>} */
  const below = new Map();
  for (const cell of board.cells.values()) below.set(cell.under, [...(below.get(cell.under) ?? []), cell.node]);
  /** @type {(node: string) => Place} */
  const grow = (node) => ({
    node, flags: board.cells.get(node)?.flags ?? {}, watched: false, again: false, below: (below.get(node) ?? []).map(grow),
  });
  return (below.get("") ?? []).map(grow);
}
