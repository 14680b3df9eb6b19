/**
 * The state graph of the node that is shown, as its PV GRAPH tells it.
 */

import * as board from "./board.js";

/**
 * @typedef {{ name: string, index: number | null, request: boolean, goto: number | null, redirect: boolean, doc: string }} State
 */
/** @typedef {{ states: State[], edges: [string, string, number][] }} Graph */

/** @type {{ text: string, graph: Graph }} */
let read = { text: "", graph: { states: [], edges: [] } };

/** The graph, its states in the order of their numbers; without states as long as nobody told it. @returns {Graph} */
export function graph() {
  const text = board.row("GRAPH");
  if (text !== read.text) read = { text, graph: parse(text) };
  return read.graph;
}

/** The names of its states. */
export function statesOf() {
  return graph().states.map((state) => state.name);
}

/** @param {string} text @returns {Graph} */
function parse(text) {
  try {
    const told = JSON.parse(text);
    return { states: inOrder(told.states), edges: told.edges };
  } catch {
    return { states: [], edges: [] };
  }
}

/** States in the order of their numbers. @param {State[]} states */
export function inOrder(states) {
  return [...states].sort((a, b) => place(a) - place(b));
}

/** Numbers given automatically, which are negative, follow the others. @param {State} state */
function place(state) {
  const index = state.index ?? 0;
  return index < 0 ? 1e9 - index : index;
}
