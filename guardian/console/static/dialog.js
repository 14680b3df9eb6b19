/**
 * Dialogs: one at a time, and whatever is asked of a node is asked in one.
 */

import { h } from "./dom.js";

/** @typedef {{ dialog: HTMLDialogElement, body: HTMLElement, error: (text: string) => void, close: () => void }} Dialog */

/** Open one; what had the focus before gets it back. @param {string} title @param {string} [kind] a class @returns {Dialog} */
export function openDialog(title, kind = "") {
  const body = h("div", { class: "body" });
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const head = h("h2", { id: "dialog-title" }, title);
  const shut = h("button", { type: "button", class: "shut", "aria-label": "Close" }, "✕");
  const dialog = h("dialog", { class: kind, "aria-labelledby": "dialog-title" }, h("header", {}, head, shut),
    h("p", { class: "stalenote", role: "alert" }, "STALE: this page is not kept up to date. Nothing can be asked now."), body, trouble);
  const close = () => dialog.close();
  shut.addEventListener("click", close);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  const error = (/** @type {string} */ text) => {
    trouble.textContent = text;
    trouble.hidden = !text;
  };
  return { dialog, body, error, close };
}
