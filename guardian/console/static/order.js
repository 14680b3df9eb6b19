/**
 * What is asked of a node beside a state: each in a small dialog that says what it does.
 */

import * as api from "./api.js";
import { openDialog } from "./dialog.js";
import { h } from "./dom.js";
import * as session from "./session.js";

/** @typedef {{ node: string, row: string, value: string, group: session.Group }} Order */

/** What it does, by row and value. @type {Record<string, string>} */
const DOES = {
  "OP EXEC": "The node runs: it executes its states and follows its graph.",
  "OP PAUSE": "The call in progress ends, then nothing is executed until EXEC.",
  "OP STOP": "Its worker ends. The node keeps its PVs, and starts from INIT at EXEC.",
  "MODE AUTO": "The node decides for itself where it goes, and belongs to no manager any more.",
  "MODE MANAGED": "The node follows its MANAGER. Managers do this themselves when they take a node.",
  "MODE MANUAL": "A request enters that state directly, whatever edges there are. Nothing moves by itself.",
  "LOAD True": "Its code is read anew from disk. It is checked first: if it is bad, the old code runs on.",
  "REENTER True": "The present state runs again from its beginning.",
  "RESET_FAILED True": "What was given up after it died too often is started once more.",
};

/** @param {Order} order */
export function openOrder(order) {
  const { node, row, value, group } = order;
  const pulse = value === "True" && `${row} True` in DOES;
  const verb = pulse ? `${row} ${node}` : `Set ${row} of ${node} to ${value}`;
  const { dialog, body, error, close } = openDialog(verb, "order");
  const button = h("button", { type: "submit", class: "main" }, verb);
  const why = h("p", { class: "soft" });
  const allow = () => {
    why.textContent = session.whyNot(group);
    button.disabled = why.textContent !== "";
  };
  allow();
  dialog.addEventListener("close", session.on(allow));
  const form = h("form", {}, h("p", {}, DOES[`${row} ${value}`] ?? `${row} becomes ${value}.`), why,
    h("footer", {}, h("button", { type: "button", on: { click: close } }, "Cancel"), button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error("");
    button.disabled = true;
    try {
      await api.post(api.ofNode(node, "write"), { row, value });
      close();
    } catch (problem) {
      error(api.told(problem));
      allow();
    }
  });
  body.append(form);
  button.focus();
}

/**
 * Disable what cannot be done here, and have it say why.
 *
 * @param {Iterable<HTMLButtonElement>} buttons
 * @param {session.Group} group
 */
export function permit(buttons, group) {
  const why = session.whyNot(group);
  for (const button of buttons) {
    button.disabled = why !== "";
    button.title = why;
  }
}
