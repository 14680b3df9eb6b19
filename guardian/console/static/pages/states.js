/**
 * A button for each state, in the order of their numbers, with three rings beside it: inner STATE, middle REQUEST, outer
 * NOMINAL, as operators know it from MEDM.
 */

import * as api from "../api.js";
import * as board from "../board.js";
import { fill, h, mark, s, say } from "../dom.js";
import { graph, inOrder } from "../graph.js";
import { nodeHead } from "../nodehead.js";
import { openRequest } from "../request.js";
import * as session from "../session.js";

/** @typedef {import("../graph.js").State} State */

/** In one column. */
const FEW = 20;

/** @type {import("../router.js").Render} */
export function render(root, { node }) {
  board.show(node);
  const endHead = nodeHead(root, node, "states");
  const list = h("ol", { class: "stateslist" });
  const trouble = h("p", { class: "nothing", hidden: true });
  const why = h("p", { class: "soft" });
  root.append(h("div", { class: "panel states" },
    h("div", { class: "bar" }, h("ul", { class: "legend" },
      h("li", {}, rings(["state"]), "inner: state"), h("li", {}, rings(["request"]), "middle: request"), h("li", {}, rings(["nominal"]), "outer: nominal"),
      h("li", {}, h("span", { class: "key requestable" }), "can be requested"), h("li", {}, h("span", { class: "key goto" }), "goto")), why),
    trouble, list));
  /** @type {Map<string, { element: Element, words: Element, drawn: string, ring: Element }>} */
  const views = new Map();

  const build = (/** @type {State[]} */ states) => {
    views.clear();
    list.classList.toggle("few", states.length <= FEW);
    fill(list, ...states.map((state) => {
      const ring = h("span", { class: "ring" });
      const words = h("span", { class: "words soft" });
      const button = h("button", { type: "button", class: `state ${state.request ? "requestable" : ""} ${state.goto === null ? "" : "goto"}`.trim(),
        title: state.doc, data: { stop: "" }, on: { click: () => openRequest(node, state.name) } }, state.name);
      const element = h("li", {}, h("span", { class: "number soft" }, state.index), ring, button, words);
      views.set(state.name, { element, words, ring, drawn: "?" });
      return element;
    }));
    draw();
  };
  const draw = () => {
    const cell = board.cellOf(node);
    if (!cell) return;
    for (const [name, view] of views) {
      const on = [cell.there && name === cell.state && "state", name === cell.request && "request", name === cell.nominal && "nominal"].filter((one) => typeof one === "string");
      const now = on.join();
      if (view.drawn === now) continue;
      view.drawn = now;
      view.ring.replaceChildren(rings(on));
      say(view.words, on.join(", "));
      mark(view.element, "aria-current", on.includes("state") ? "true" : null);
    }
  };
  const load = async () => {
    /** @type {State[]} */
    let states = graph().states;
    try {
      if (!states.length) states = inOrder((await api.get(api.ofNode(node))).graph?.states ?? []);
      trouble.textContent = states.length ? "" : `${node} does not tell its states.`;
    } catch (error) {
      trouble.textContent = api.told(error);
    }
    trouble.hidden = !trouble.textContent;
    if (states.length || !views.size) build(states);
  };
  const rights = () => say(why, session.whyNot());
  rights();
  void load();
  const offs = [
    endHead,
    session.on(rights),
    board.on((news) => (news.all || news.nodes.has(node)) && draw()),
    board.onRows((names) => {
      if (names.has("GRAPH") && board.row("GRAPH")) void load();
    }),
  ];
  return () => {
    for (const off of offs) off();
    board.show(null);
  };
}

/** @param {string[]} on which of them are drawn strong */
function rings(on) {
  const at = (/** @type {string} */ name) => `${name}${on.includes(name) ? " on" : ""}`;
  return s("svg", { class: "rings", viewBox: "0 0 24 24", "aria-hidden": "true" },
    s("circle", { class: at("nominal"), cx: 12, cy: 12, r: 10.2 }),
    s("circle", { class: at("request"), cx: 12, cy: 12, r: 6.8 }),
    s("circle", { class: at("state"), cx: 12, cy: 12, r: 3.6 }));
}
