/**
 * All PVs of a node, as they are at this moment, and how to read each in a terminal.
 */

import * as api from "../api.js";
import * as board from "../board.js";
import { fill, h, mark, say } from "../dom.js";
import { levelOf, NAMES, shape } from "../judge.js";
import { nodeHead } from "../nodehead.js";
import { openOrder } from "../order.js";
import { remember } from "../router.js";
import * as session from "../session.js";

/** @typedef {{ row: string, pv: string, text: string, kind: string, units: string, asg: string, writable: boolean, labels: string[] }} Pv */

/** What is written here; a state is requested in a dialog of its own. */
const ORDERS = new Set(["OP", "MODE", "REENTER", "RESET_FAILED", "LOAD", "SPM_MONITOR", "SPM_NOTIFY", "LOGLEVEL"]);
/** Of a long document. */
const SHOWN = 400;

/** @type {import("../router.js").Render} */
export function render(root, { node, query }) {
  board.show(node);
  const endHead = nodeHead(root, node, "pvs");
  const body = h("tbody");
  const trouble = h("p", { class: "nothing", hidden: true });
  const filter = h("input", { type: "search", placeholder: "name or description", "aria-label": "Only with this text", spellcheck: "false" });
  filter.value = query.get("text") ?? "";
  root.append(h("div", { class: "panel pvs" }, h("div", { class: "bar" }, filter, h("span", { class: "soft" }, "Long texts are read with caget -S.")), trouble,
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, ...["", "PV", "Value", "What it is", "In a terminal"].map((name) => h("th", { scope: "col" }, name)))), body)));
  /** @type {Map<string, { element: HTMLElement, sign: Element, value: Element, text: string, level: string }>} */
  const views = new Map();

  const draw = (/** @type {Iterable<string>} */ names) => {
    for (const name of names) {
      const view = views.get(name);
      const row = board.rows.get(name);
      if (!view) continue;
      const level = row ? levelOf(row.severity) : "invalid";
      if (view.level !== level) {
        view.level = level;
        view.sign.replaceChildren(...(level === "ok" ? [] : [shape(level)]));
        mark(view.sign, "title", level === "ok" ? null : row ? level : NAMES.invalid);
      }
      const text = row?.text ?? "?";
      say(view.value, text.length > SHOWN ? `${text.slice(0, SHOWN)}… (${text.length} characters)` : text);
    }
  };
  const sift = () => {
    const wanted = filter.value.trim().toUpperCase();
    for (const view of views.values()) view.element.hidden = !view.text.includes(wanted);
  };
  filter.addEventListener("input", () => {
    if (filter.value) query.set("text", filter.value);
    else query.delete("text");
    remember(query);
    sift();
  });
  const build = (/** @type {Pv[]} */ pvs) => {
    views.clear();
    fill(body, ...pvs.map((pv) => {
      const [sign, value] = [h("td", { class: "sign" }), h("td", { class: "mono value" })];
      const line = `caget ${pv.kind === "long string" ? "-S " : ""}${pv.pv}`;
      const element = h("tr", { tabindex: "-1", data: { stop: "" } }, sign, h("th", { scope: "row", class: "mono" }, pv.row, ...orders(node, pv)), value,
        h("td", {}, [pv.text, pv.units && `[${pv.units}]`].filter(Boolean).join(" ")),
        h("td", { class: "caget" }, h("code", {}, line), copier(line)));
      views.set(pv.row, { element, sign, value, text: `${pv.row} ${pv.pv} ${pv.text}`.toUpperCase(), level: "ok" });
      return element;
    }));
    draw(views.keys());
    sift();
  };
  void (async () => {
    try {
      build((await api.get(api.ofNode(node))).pvs);
    } catch (error) {
      trouble.hidden = false;
      trouble.textContent = api.told(error);
    }
  })();
  const rights = () => {
    for (const button of body.querySelectorAll("button.order")) {
      if (button instanceof HTMLButtonElement) {
        const why = session.whyNot(button.dataset.group === "EXPERT" ? "EXPERT" : "OPERATE");
        button.hidden = why !== "";
      }
    }
  };
  const offs = [endHead, board.onRows(draw), session.on(rights)];
  return () => {
    for (const off of offs) off();
    board.show(null);
  };
}

/** @param {string} node @param {Pv} pv @returns {HTMLElement[]} */
function orders(node, pv) {
  if (!ORDERS.has(pv.row)) return [];
  const group = pv.asg === "OPERATE" ? "OPERATE" : "EXPERT";
  const pulse = ["REENTER", "RESET_FAILED", "LOAD"].includes(pv.row);
  const values = pulse ? ["True"] : pv.labels;
  return [h("span", { class: "orders" }, ...values.map((value) => {
    const button = h("button", { type: "button", class: "order", data: { group }, on: { click: () => openOrder({ node, row: pv.row, value, group }) } }, pulse ? "write…" : value);
    button.hidden = session.whyNot(group) !== "";
    return button;
  }))];
}

/** @param {string} text */
function copier(text) {
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    say(button, (await copied(text)) ? "Copied" : "Mark it and press Ctrl-C");
    window.setTimeout(() => say(button, "Copy"), 2000);
  });
  return button;
}

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not over plain http from elsewhere
  }
}
