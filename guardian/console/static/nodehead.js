/**
 * The head of every page of one node: how it is, and its other pages.
 */

import * as board from "./board.js";
import { h, say } from "./dom.js";
import { badge, judge } from "./judge.js";
import { nodePath } from "./router.js";

/** Address under the node's, and name. @type {[string, string][]} */
const PARTS = [["", "Node"], ["graph", "Graph"], ["states", "States"], ["history", "History"], ["events", "Events"], ["log", "Log"], ["code", "Code"], ["pvs", "PVs"]];

/**
 * Put it there, and keep it up to date.
 *
 * @param {HTMLElement} root
 * @param {string} node
 * @param {string} part which of its pages this is
 * @returns {() => void} ends that
 */
export function nodeHead(root, node, part) {
  const verdict = h("span", { class: "verdict" });
  const state = h("span", { class: "mono" });
  const links = PARTS.map(([path, name]) => h("a", { href: nodePath(node, path), "aria-current": path === part && "page" }, name));
  const missing = h("p", { class: "nothing", hidden: true }, `The console knows no node ${node}. `, h("a", { href: "/" }, "All nodes"));
  root.append(h("div", { class: "nodehead" }, h("h1", {}, node), verdict, part !== "" && state, h("nav", { class: "tabs", "aria-label": node }, ...links)), missing);
  let drawn = "";
  const draw = () => {
    const cell = board.cellOf(node);
    missing.hidden = !cell || board.cells.has(node);
    if (!cell) return;
    const { level, word } = judge(cell);
    say(state, cell.state === cell.request ? cell.state : `${cell.state} → ${cell.request}`);
    if (drawn === `${level} ${word}`) return;
    drawn = `${level} ${word}`;
    verdict.replaceChildren(badge(level, word));
  };
  draw();
  return board.on(draw);
}
