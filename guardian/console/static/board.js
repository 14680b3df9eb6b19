/**
 * What the console knows of all nodes, kept up to date by the link, and the PVs of the one node that the page shows.
 */

import * as link from "./link.js";

/**
 * A node at one moment; see `Facts` and `Cell` of the server.
 *
 * @typedef {Object} Cell
 * @property {string} node
 * @property {boolean} there   somebody serves it
 * @property {boolean} ours    it has SUMMARY
 * @property {"NO_ALARM" | "MINOR" | "MAJOR" | "INVALID"} severity
 * @property {boolean} ok
 * @property {string} state
 * @property {string} request
 * @property {string} target
 * @property {string} status
 * @property {string} nominal  "" for none
 * @property {boolean} stalled
 * @property {string} op
 * @property {string} mode
 * @property {string} manager  that it follows, "" for none
 * @property {string} worker
 * @property {string} error    NONE, ERROR or CONNECT
 * @property {string} load
 * @property {number} since    epoch seconds at which it entered its state, 0 if unknown
 * @property {number} id       of its last step
 * @property {string} says
 * @property {string} why      it is not OK, in a sentence
 * @property {string} by
 * @property {string[]} connect  channels that are lost
 * @property {string} under    above it in the tree of managers
 * @property {Record<string, string>} flags
 * @property {string} where
 */
/** @typedef {{ text: string, severity: number, stamp: number }} Row `severity` 0 to 3, as EPICS counts. */
/** @typedef {{ nodes: Set<string>, all: boolean }} News `all`: the set of nodes may be another one. */

/** By node. @type {Map<string, Cell>} */
export const cells = new Map();
/** Of the node that is shown, by the name of the row. @type {Map<string, Row>} */
export const rows = new Map();

/** The console has told its nodes, be they none. */
let heard = false;
/** @type {Set<(news: News) => void>} */
const readers = new Set();
/** @type {Set<(names: Set<string>) => void>} */
const rowReaders = new Set();
/** @type {string | null} */
let shown = null;

/** Hear of nodes that changed. @param {(news: News) => void} fn @returns {() => void} ends that */
export function on(fn) {
  readers.add(fn);
  return () => readers.delete(fn);
}

/** Hear of rows that changed. @param {(names: Set<string>) => void} fn @returns {() => void} ends that */
export function onRows(fn) {
  rowReaders.add(fn);
  return () => rowReaders.delete(fn);
}

/** Have the PVs of this node in `rows`; null: of none. @param {string | null} node */
export function show(node) {
  if (node === shown) return;
  shown = node;
  rows.clear();
  link.say({ show: node });
}

/**
 * A node as it is drawn: one that the console does not know is one that nobody serves. undefined: nothing was told yet.
 *
 * @param {string} node
 * @returns {Cell | undefined}
 */
export function cellOf(node) {
  return cells.get(node) ?? (heard ? unserved(node) : undefined);
}

/** @param {string} node @returns {Cell} */
function unserved(node) {
  return {
    node, there: false, ours: false, severity: "INVALID", ok: false, state: "?", request: "?", target: "?", status: "?", nominal: "",
    stalled: false, op: "?", mode: "?", manager: "", worker: "", error: "?", load: "", since: 0, id: 0, says: "", why: "does not answer",
    by: "", connect: [], under: "", flags: {}, where: "",
  };
}

/** A row's text, "" as long as nobody told it. @param {string} name */
export function row(name) {
  return rows.get(name)?.text ?? "";
}

/** What a console said before its end is known no more: some PVs may never come again. */
function forget() {
  const names = new Set(rows.keys());
  rows.clear();
  if (names.size) link.tell(rowReaders, names);
}

/** @param {link.Message} message */
function take(message) {
  if (message.t === "rows") {
    if (message.node !== shown) return;
    for (const [name, row] of Object.entries(message.rows)) rows.set(name, row);
    link.tell(rowReaders, new Set(Object.keys(message.rows)));
  } else if (message.t !== "beat") {
    const snap = message.t === "snap";
    if (snap) {
      heard = true;
      cells.clear();
      forget();
    }
    /** @type {Set<string>} */
    const nodes = new Set();
    let all = snap;
    for (const cell of /** @type {Cell[]} */ (message.cells)) {
      all ||= !cells.has(cell.node);
      cells.set(cell.node, cell);
      nodes.add(cell.node);
    }
    for (const node of /** @type {string[]} */ (message.gone ?? [])) all = cells.delete(node) || all;
    // A node that was asked for before the console knew it.
    if (shown !== null && nodes.has(shown) && all) link.say({ show: shown });
    link.tell(readers, { nodes, all });
  }
}

link.onMessage(take);
