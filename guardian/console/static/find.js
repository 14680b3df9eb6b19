/**
 * The box that jumps to a node or a state.
 */

import * as board from "./board.js";
import { arrange, h, mark } from "./dom.js";
import { statesOf } from "./graph.js";
import { judge, shape } from "./judge.js";
import * as router from "./router.js";

/** @typedef {{ where: string, name: string, about: string, level: import("./judge.js").Level | null }} Hit */

const MOST = 12;

/** @type {HTMLInputElement} */
let input;

/** Put the cursor there. */
export function focusFind() {
  input.focus();
  input.select();
}

export function findBox() {
  const list = h("ul", { id: "hits", role: "listbox", "aria-label": "What was found", hidden: true });
  input = h("input", {
    type: "search", class: "find", placeholder: "Find node or state  /", autocomplete: "off", spellcheck: "false",
    role: "combobox", "aria-label": "Find a node or a state", "aria-expanded": "false", "aria-controls": "hits",
    "aria-autocomplete": "list",
  });
  /** @type {Hit[]} */
  let hits = [];
  let at = 0;

  const choose = (/** @type {number} */ to) => {
    at = hits.length ? (to + hits.length) % hits.length : 0;
    for (const [index, item] of [...list.children].entries()) mark(item, "aria-selected", String(index === at));
    mark(input, "aria-activedescendant", hits.length ? `hit-${at}` : null);
    list.children[at]?.scrollIntoView({ block: "nearest" });
  };
  const close = () => {
    list.hidden = true;
    mark(input, "aria-expanded", "false");
    mark(input, "aria-activedescendant", null);
  };
  const open = (/** @type {Hit} */ hit) => {
    close();
    input.value = "";
    input.blur();
    router.go(hit.where);
  };
  const look = () => {
    hits = find(input.value.trim());
    arrange(list, hits.map((hit, index) => {
      const item = h("li", { id: `hit-${index}`, role: "option" }, hit.level && shape(hit.level),
        h("span", { class: "name" }, hit.name), h("span", { class: "soft" }, hit.about));
      item.addEventListener("pointerdown", (event) => event.preventDefault());
      item.addEventListener("click", () => open(hit));
      return item;
    }));
    if (!hits.length) list.append(h("li", { class: "soft", role: "option" }, "no node or state is called so"));
    list.hidden = !input.value.trim();
    mark(input, "aria-expanded", String(!list.hidden));
    choose(0);
  };
  input.addEventListener("input", look);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(at + 1);
    else if (event.key === "ArrowUp") choose(at - 1);
    else if (event.key === "Enter" && hits.length) open(hits[at]);
    else if (event.key === "Escape") {
      input.value = "";
      close();
      input.blur();
    } else return;
    event.preventDefault();
  });
  return h("span", { class: "finder" }, input, list);
}

/** @param {string} text @returns {Hit[]} */
function find(text) {
  if (!text) return [];
  const wanted = text.toUpperCase();
  /** @type {[number, Hit][]} */
  const found = [];
  const fits = (/** @type {string} */ name) => name.toUpperCase().indexOf(wanted);
  for (const cell of board.cells.values()) {
    const at = fits(cell.node);
    if (at >= 0) {
      found.push([at ? 2 : 0, { where: router.nodePath(cell.node), name: cell.node, about: cell.state, level: judge(cell).level }]);
    }
  }
  const { node } = router.here;
  for (const state of node ? statesOf() : []) {
    const at = fits(state);
    if (at >= 0) {
      const where = `${router.nodePath(node, "graph")}?state=${encodeURIComponent(state)}`;
      found.push([at ? 3 : 1, { where, name: state, about: `state of ${node}`, level: null }]);
    }
  }
  /** @type {Map<string, number>} */
  const states = new Map();
  for (const cell of board.cells.values()) {
    if (cell.there) states.set(cell.state, (states.get(cell.state) ?? 0) + 1);
  }
  for (const [state, count] of states) {
    if (fits(state) >= 0) {
      const about = count === 1 ? "one node is there" : `${count} nodes are there`;
      found.push([4, { where: `/?text=${encodeURIComponent(state)}`, name: state, about, level: null }]);
    }
  }
  found.sort(([a, x], [b, y]) => a - b || x.name.localeCompare(y.name));
  return found.slice(0, MOST).map(([, hit]) => hit);
}
