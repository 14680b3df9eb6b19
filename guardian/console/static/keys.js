/**
 * Keys. None of them ever writes: what asks something of a node opens a dialog first.
 */

import { focusFind } from "./find.js";
import { openRequest } from "./request.js";
import * as router from "./router.js";

/** Key, and what it does. @type {[string, string][]} */
export const KEYS = [
  ["/", "find a node or a state"],
  ["j  k", "move down and up through nodes and rows"],
  ["Enter", "open"],
  ["r", "request a state of the node (a dialog asks before anything is sent)"],
  ["g", "graph of the node"],
  ["s", "states of the node"],
  ["e", "events: of the node, or of all"],
  ["l", "log: of the node, or of all"],
  ["h", "history: of the node, or of all"],
  ["w", "wall of all nodes"],
  ["t", "tree of managers"],
  ["Esc", "leave a dialog or the find box"],
  ["?", "help"],
];

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || busy(event.target)) return;
    if (press(event.key)) event.preventDefault();
  });
}

/** Whether keys are for something else now. @param {EventTarget | null} target */
function busy(target) {
  if (document.querySelector("dialog[open]")) return true;
  return target instanceof HTMLElement && target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

/** @param {string} key @returns {boolean} whether it means anything */
function press(key) {
  const node = chosen();
  const part = { g: "graph", s: "states" }[key];
  const list = { e: "events", h: "history", l: "log" }[key];
  if (key === "/") focusFind();
  else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
  else if (key === "r" && node) openRequest(node);
  else if (part && node) router.go(router.nodePath(node, part));
  else if (list) router.go(node ? router.nodePath(node, list) : `/${list}`);
  else if (key === "w") router.go("/");
  else if (key === "t") router.go("/tree");
  else if (key === "?") router.go("/help");
  else return false;
  return true;
}

/** The node that keys are about: the one that has the focus, else the one of the page. */
function chosen() {
  const at = document.activeElement?.closest("[data-node]");
  return (at instanceof HTMLElement && at.dataset.node) || router.here.node;
}

/** @param {1 | -1} step */
function move(step) {
  const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("#page [data-stop]")]).filter((one) => one.offsetParent);
  if (!all.length) return;
  const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const to = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
  all[to].focus();
  all[to].scrollIntoView({ block: "nearest" });
}
