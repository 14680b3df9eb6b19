/**
 * What happened, and who did what: one table, the newest first. What it shows stands in the address.
 */

import * as api from "../api.js";
import { append, fill, h } from "../dom.js";
import { shape } from "../judge.js";
import { nodeHead } from "../nodehead.js";
import { asking, halted, iso, pageOf, repeated, sayings, waiting } from "../records.js";
import { nodePath } from "../router.js";
import { date } from "../when.js";

/**
 * @typedef {{ stamp: number, id: number, node: string, kind: string, text: string, cause: string, from?: string, to?: string,
 *   who?: string, address?: string, person?: string, manager?: string, state?: string, taken?: boolean, why?: string,
 *   row?: string, count?: number }} Told
 */

const EVERY_MS = 2000;
const PAGE = 200;
/** So many rows are kept on a page that goes on by itself, and those that were asked for. */
const MOST = 3000;
/** @type {[string, string][]} */
const KINDS = [
  ["", "everything"], ["request,enter,op,mode,manager,load,error", "requests, moves, errors"], ["enter", "moves"], ["request", "requests"],
  ["write", "writes (audit)"], ["error", "errors"], ["op,mode,manager", "op, mode, manager"], ["load", "loads of code"],
  ["worker", "processes"], ["notify", "notifications"], ["refused", "refused"],
];
const HEADS = ["Time (UTC)", "Node", "What", "From → to", "Cause", "Who", "In words"];

/** @type {import("../router.js").Render} */
export function render(root, { node, query }) {
  const endHead = node ? nodeHead(root, node, "events") : () => {};
  const body = h("tbody");
  const said = sayings();
  const wait = waiting();
  const halt = halted();
  const older = h("button", { type: "button", hidden: true }, "Older…");
  const count = h("span", { class: "soft" });
  /** @type {Set<string>} */
  const shown = new Set();
  let before = "";
  let newest = 0;
  let turn = 0;
  let most = MOST;
  const kinds = KINDS.some(([value]) => value === (query.get("kind") ?? "")) ? KINDS : [...KINDS, /** @type {[string, string]} */ ([query.get("kind") ?? "", query.get("kind") ?? ""])];
  const form = asking([
    ...(node ? [] : [{ name: "node", label: "Nodes", hint: "all, or SUS_*, IMC_LOCK" }]),
    { name: "kind", label: "What", values: kinds },
    { name: "who", label: "Who", hint: "person, user, address" },
    { name: "text", label: "Words", hint: "in the sentence" },
    { name: "since", label: "From", hint: "2h, or a date" },
    { name: "until", label: "To", hint: "now" },
  ], query, () => begin());

  const ask = (/** @type {Record<string, string | number>} */ more) =>
    api.get("/api/events", {
      node: node || query.get("node"), kind: query.get("kind"), who: query.get("who"), text: query.get("text"),
      since: query.get("since"), until: query.get("until"), limit: PAGE, ...more,
    });
  const rows = (/** @type {Told[]} */ records) =>
    records.filter((one) => {
      const key = keyOf(one);
      if (shown.has(key)) return false;
      shown.add(key);
      newest = Math.max(newest, one.stamp);
      return true;
    }).map(row);
  /** What is too much leaves at the end, where Older… brings it back. */
  const trim = () => {
    if (body.childElementCount <= most) return;
    for (const one of [...body.rows].slice(most)) {
      shown.delete(one.dataset.key ?? "");
      one.remove();
    }
    before = body.rows[most - 1].dataset.stamp ?? "";
  };
  const settle = (/** @type {string} */ empty) => {
    older.hidden = !before;
    count.textContent = body.childElementCount ? `${body.childElementCount} shown` : "";
    if (!body.childElementCount) wait.show(empty);
  };
  const begin = async () => {
    const mine = (turn += 1);
    halt.clear();
    wait.show("Looking…");
    try {
      const told = await ask({});
      if (mine !== turn) return;
      shown.clear();
      newest = 0;
      most = MOST;
      before = told.before ?? "";
      fill(body, ...rows(told.records));
      wait.show(told.more && told.records.length < PAGE ? "There is much to look through; Older… goes on." : "");
      said.show(told.says);
      newest = newest || told.now - 60;
      settle(told.more ? "None in what was looked through so far; Older… goes on." : `No such event${told.begin ? ` (what is recorded begins ${date(told.begin)})` : ""}.`);
    } catch (error) {
      if (mine === turn) wait.fail(api.told(error));
    }
  };
  const more = async () => {
    const mine = (turn += 1);
    older.disabled = true;
    wait.show("Looking…");
    try {
      const told = await ask({ before });
      if (mine !== turn) return;
      before = told.before ?? "";
      append(body, ...rows(told.records));
      most = Math.max(MOST, body.childElementCount);
      wait.show("");
      settle(told.more ? "None in what was looked through so far; Older… goes on." : "No such event.");
    } catch (error) {
      if (mine === turn) wait.fail(api.told(error));
    } finally {
      older.disabled = false;
    }
  };
  const follow = async () => {
    if (query.has("until") || older.disabled) return;
    const mine = turn;
    try {
      const told = await ask({ since: newest - 1 });
      if (mine !== turn) return;
      halt.clear();
      if (told.records.length === PAGE) await begin();
      else {
        const fresh = rows(told.records);
        if (fresh.length) {
          body.prepend(...fresh);
          trim();
          settle("");
          if (body.childElementCount) wait.show("");
        }
      }
    } catch (error) {
      if (mine === turn) halt.tell(error);
    }
  };
  older.addEventListener("click", more);
  root.append(
    h("div", { class: "panel events" }, form.element, said.element, halt.element,
      h("table", { class: "table" }, h("thead", {}, h("tr", {}, ...HEADS.map((name) => h("th", { scope: "col" }, name)))), body),
      wait.element, h("div", { class: "bar" }, older, count,
        h("span", { class: "soft" }, "Users and machines are what clients claim; addresses are facts."))));
  void begin();
  const stop = repeated(EVERY_MS, follow);
  return () => {
    turn += 1;
    stop();
    endHead();
  };
}

/** By which it is known again. @param {Told} one */
function keyOf(one) {
  return [one.stamp, one.node, one.id, one.kind, one.text].join("|");
}

/** @param {Told} one */
function row(one) {
  const level = one.kind === "error" ? "major" : one.cause === "refused" || one.kind === "refused" ? "minor" : null;
  const around = { node: one.node, at: iso(one.stamp) };
  const step = [one.from, one.to].some(Boolean) ? `${one.from ?? ""} → ${one.to ?? ""}`.trim() : "";
  const what = one.kind === "write" ? `write ${one.row ?? ""}` : one.kind;
  const who = [
    one.manager && h("span", {}, `manager ${one.manager}`), one.person && h("strong", {}, one.person),
    one.who && h("span", { class: "claim" }, one.who), one.address && h("span", { class: "mono soft" }, one.address),
  ].filter(Boolean);
  return h("tr", { class: level ?? "", tabindex: "-1", data: { stop: "", node: one.node, stamp: String(one.stamp), key: keyOf(one) } },
    h("td", { class: "stamp" }, one.node ? h("a", { href: pageOf("/log", around), title: "the log at that second" }, date(one.stamp)) : date(one.stamp),
      h("span", { class: "soft" }, fraction(one.stamp))),
    h("th", { scope: "row" }, one.node && h("a", { href: nodePath(one.node) }, one.node)),
    h("td", { class: "kindof" }, level && shape(level), what, one.count ? ` ×${one.count}` : ""),
    h("td", { class: "mono step" }, step),
    h("td", { class: "cause" }, one.cause === one.kind ? "" : one.cause),
    h("td", { class: "who" }, ...who),
    h("td", { class: "words" }, one.text));
}

/** @param {number} stamp */
function fraction(stamp) {
  return `.${String(Math.floor((stamp % 1) * 1000)).padStart(3, "0")}`;
}
