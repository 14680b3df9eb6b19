/**
 * How bad a node is, in a word and a shape. Colour is for what is abnormal; each colour has a shape and a word beside it.
 */

import { h, s } from "./dom.js";

/** @typedef {import("./board.js").Cell} Cell */
/** @typedef {"invalid" | "major" | "minor" | "hand" | "way" | "ok"} Level from the worst to the best */
/** @typedef {{ level: Level, word: string }} Verdict */

/** From the best to the worst. @type {Level[]} */
const LEVELS = ["ok", "way", "hand", "minor", "major", "invalid"];
/** @type {Record<Level, string>} */
export const NAMES = {
  invalid: "no answer",
  major: "major alarm",
  minor: "minor alarm",
  hand: "held by hand",
  way: "not OK, no alarm",
  ok: "OK",
};
/** As EPICS counts. @type {Level[]} */
const OF_SEVERITY = ["ok", "minor", "major", "invalid"];

/** Higher is worse. @param {Level} level */
export function rank(level) {
  return LEVELS.indexOf(level);
}

/** @param {Cell} cell @returns {Verdict} */
export function judge(cell) {
  return { level: level(cell), word: word(cell) };
}

/** @param {number} severity of a PV's alarm @returns {Level} */
export function levelOf(severity) {
  return OF_SEVERITY[severity] ?? "invalid";
}

/** @param {Cell} cell @returns {Level} */
function level(cell) {
  if (!cell.there || cell.severity === "INVALID") return "invalid";
  if (cell.severity === "MAJOR") return "major";
  if (cell.severity === "MINOR") return "minor";
  if (byHand(cell)) return "hand";
  return cell.ok ? "ok" : "way";
}

/** @param {Cell} cell */
function byHand(cell) {
  return cell.op === "PAUSE" || cell.op === "STOP" || cell.mode === "MANUAL";
}

/** What is wrong with it, in a word or two. @param {Cell} cell */
function word(cell) {
  if (!cell.there) return "no answer";
  if (cell.worker === "DEAD") return "worker dead";
  if (cell.error === "ERROR") return "error";
  if (cell.error === "CONNECT") return "channel lost";
  if (cell.stalled) return "stalled";
  if (cell.op === "PAUSE") return "paused";
  if (cell.op === "STOP") return "stopped";
  if (cell.mode === "MANUAL") return "manual";
  if (cell.severity === "MINOR" && cell.says) return "has a message";
  if (cell.ok) return "OK";
  if (cell.request === "NONE") return "no request";
  if (cell.state !== cell.request) return "on the way";
  if (cell.nominal && cell.state !== cell.nominal) return "not nominal";
  if (!cell.nominal) return "no nominal";
  return cell.status === "DONE" ? "not OK" : "not done";
}

/** The worst of several. @param {Iterable<Level>} levels @returns {Level} */
export function worst(levels) {
  /** @type {Level} */
  let found = "ok";
  for (const one of levels) if (rank(one) > rank(found)) found = one;
  return found;
}

/** The sentence above all pages. @param {Iterable<Cell>} cells */
export function overall(cells) {
  let count = 0;
  let bad = 0;
  /** @type {{ node: string, level: Level, word: string } | null} */
  let first = null;
  for (const cell of cells) {
    count += 1;
    if (cell.ok && cell.there) continue;
    bad += 1;
    const told = { node: cell.node, ...judge(cell) };
    if (!first || rank(told.level) > rank(first.level) || (told.level === first.level && told.node < first.node)) {
      first = told;
    }
  }
  if (!count) return { level: /** @type {Level} */ ("way"), text: "no nodes found yet" };
  if (!first) return { level: /** @type {Level} */ ("ok"), text: count === 1 ? "the one node is OK" : `all ${count} nodes OK` };
  const more = bad > 1 ? ` +${bad - 1}` : "";
  return { level: first.level, text: `${bad} of ${count} nodes not OK: ${first.node} ${first.word}${more}` };
}

/** The shape of a level; CSS gives its colour. @param {Level} level */
export function shape(level) {
  const svg = s("svg", { class: `shape ${level}`, viewBox: "0 0 12 12", "aria-hidden": "true" });
  svg.append(...drawn(level));
  return svg;
}

/** @param {Level} level @returns {SVGElement[]} */
function drawn(level) {
  switch (level) {
    case "major":
      return [s("rect", { x: 1, y: 1, width: 10, height: 10 })];
    case "minor":
      return [s("path", { d: "M6 .8 11.6 11H.4Z" })];
    case "invalid":
      return [
        s("path", { class: "line", d: "M3.2 3.9a2.8 2.6 0 1 1 4.4 2.1C6.5 6.7 6 7.2 6 8.3" }),
        s("circle", { cx: 6, cy: 10.7, r: 1.1 }),
      ];
    case "hand":
      return [s("path", { d: "M11.3 3.2 9.3 5.2 7.2 4.8 6.8 2.7l2-2A3.5 3.5 0 0 0 4.4 5.2L.6 9a1.7 1.7 0 0 0 2.4 2.4l3.8-3.8a3.5 3.5 0 0 0 4.5-4.4Z" })];
    case "way":
      return [s("path", { class: "line", d: "M1 6h9M7 3l3 3-3 3" })];
    default:
      return [s("circle", { cx: 6, cy: 6, r: 1.6 })];
  }
}

/** Shape and word, side by side. @param {Level} level @param {string} [word] */
export function badge(level, word = NAMES[level]) {
  return h("span", { class: `badge ${level}` }, shape(level), h("span", {}, word));
}
