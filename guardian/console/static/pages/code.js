/**
 * The code that a node runs, as it was loaded; how the files on disk are otherwise by now; and what was loaded when.
 */

import * as api from "../api.js";
import * as board from "../board.js";
import { fill, h, mark } from "../dom.js";
import { badge } from "../judge.js";
import { nodeHead } from "../nodehead.js";
import { sayings, waiting } from "../records.js";
import { remember } from "../router.js";
import { date } from "../when.js";

/** @typedef {{ name: string, path: string, loaded: string | null, differs: boolean, how: string, diff: string[] }} File */
/** @typedef {{ id: string, at: number, by: string, text: string }} Load */

/** @type {[string, string][]} */
const VIEWS = [["loaded", "As loaded"], ["diff", "Difference to disk"], ["beside", "Side by side"]];

/** @type {import("../router.js").Render} */
export function render(root, { node, query }) {
  board.show(node);
  const endHead = nodeHead(root, node, "code");
  const said = sayings();
  const wait = waiting();
  const head = h("p", { class: "loadhead" });
  const names = h("div", { class: "files", role: "group", "aria-label": "Files" });
  const views = h("div", { class: "choices", role: "group", "aria-label": "View" });
  const path = h("p", { class: "soft mono" });
  const text = h("div", { class: "source mono", tabindex: "0", role: "region", "aria-label": "Source" });
  const loads = h("tbody");
  const listed = h("section", { class: "panel", hidden: true }, h("h2", {}, "Loads, the newest first"),
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, ...["Time (UTC)", "By", "What", "ARCHIVE_ID"].map((name) => h("th", { scope: "col" }, name)))), loads));
  const shownCode = h("section", { class: "panel", hidden: true }, h("div", { class: "bar" }, names, views), path, text);
  root.append(h("div", { class: "codepage" }, h("section", { class: "panel" }, head, said.element, wait.element), shownCode, listed));
  /** @type {File[]} */
  let files = [];
  let turn = 0;

  const choose = (/** @type {Record<string, string>} */ values) => {
    for (const [name, value] of Object.entries(values)) query.set(name, value);
    query.delete("line");
    remember(query);
    draw();
  };
  const draw = () => {
    const wanted = query.get("file");
    const file = files.find((one) => one.name === wanted) ?? files.find((one) => one.name.endsWith(`/${wanted}`)) ?? files.find((one) => one.name === `${node}.py`) ?? files[0];
    shownCode.hidden = !file;
    if (!file) return;
    const view = file.differs && query.has("view") ? query.get("view") : "loaded";
    fill(names, ...files.map((one) => h("button", { type: "button", data: { stop: "" }, "aria-pressed": String(one === file), on: { click: () => choose({ file: one.name }) } },
      one.name, one.differs && h("span", { class: "badge minor" }, one.how))));
    fill(views, ...VIEWS.map(([name, label]) => {
      const button = h("button", { type: "button", "aria-pressed": String(name === view), on: { click: () => choose({ view: name }) } }, label);
      button.disabled = name !== "loaded" && !file.differs;
      return button;
    }));
    path.textContent = file.differs ? `${file.path}: on disk it is ${file.how} since it was loaded` : `${file.path}: on disk it is as it was loaded`;
    if (view === "diff") fill(text, unified(file.diff));
    else if (view === "beside") fill(text, beside(file.diff));
    else fill(text, source(file.loaded));
    mark(text, "aria-label", `${file.name}, ${VIEWS.find(([name]) => name === view)?.[1]}`);
    const line = text.querySelector(`[data-line="${Number(query.get("line"))}"]`);
    if (line) {
      line.classList.add("there");
      line.scrollIntoView({ block: "center" });
    }
  };
  const load = async () => {
    const mine = (turn += 1);
    if (!files.length) wait.show("Looking…");
    try {
      const told = await api.get(api.ofNode(node, "code"));
      if (mine !== turn) return;
      files = told.files;
      wait.show("");
      said.show(told.says);
      const changed = files.filter((one) => one.differs).length;
      fill(head,
        told.load ? h("span", {}, "Loaded ", h("strong", {}, `${date(told.load.at)} UTC`), told.load.by !== node && ` by ${told.load.by}`, ", ARCHIVE_ID ", h("code", {}, told.archive_id), " ") : h("span", { class: "soft" }, "Nothing to show. "),
        changed > 0 && badge("minor", changed === 1 ? "1 file is otherwise on disk" : `${changed} files are otherwise on disk`),
        Boolean(told.load) && changed === 0 && h("span", { class: "soft" }, "The files on disk are as they were loaded."));
      listed.hidden = !told.loads.length;
      fill(loads, ...told.loads.map((/** @type {Load} */ one) => h("tr", {}, h("td", { class: "stamp" }, date(one.at)), h("td", {}, one.by === node ? "" : one.by), h("td", {}, one.text), h("td", { class: "mono" }, one.id.slice(0, 12)))));
      draw();
    } catch (error) {
      if (mine === turn) wait.fail(api.told(error));
    }
  };
  void load();
  const now = () => [board.row("ARCHIVE_ID"), board.row("CODE_CHANGED"), board.row("LOAD_TIME")].join();
  let known = "";
  const off = board.onRows(() => {
    if (now() === known) return;
    const first = known === "";
    known = now();
    if (!first) void load();
  });
  return () => {
    turn += 1;
    off();
    endHead();
    board.show(null);
  };
}

/** @param {string | null} text */
function source(text) {
  if (text === null) return h("p", { class: "nothing" }, "Its lines are not kept: it is too large, or nobody has them any more.");
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return h("table", { class: "listing" }, h("tbody", {}, ...lines.map((line, at) => h("tr", { data: { line: String(at + 1) } }, h("th", { scope: "row" }, at + 1), h("td", {}, line)))));
}

/** The lines of a difference as git writes it, without its head. @param {string[]} diff */
function hunks(diff) {
  const from = diff.findIndex((line) => line.startsWith("@@"));
  return from < 0 ? diff : diff.slice(from);
}

/** @param {string[]} diff */
function unified(diff) {
  if (!diff.length) return h("p", { class: "nothing" }, "The lines of this file are not kept; only that it is another one is known.");
  return h("table", { class: "listing diff" }, h("tbody", {}, ...hunks(diff).map((line) => {
    const sign = line[0];
    const kind = sign === "+" ? "added" : sign === "-" ? "removed" : sign === "@" ? "hunk" : "";
    return h("tr", { class: kind }, h("th", { scope: "row" }, kind === "hunk" ? "" : sign), h("td", {}, kind === "hunk" ? line : line.slice(1)));
  })));
}

/** @param {string[]} diff */
function beside(diff) {
  if (!diff.length) return unified(diff);
  /** @type {[string, string, string, string, string][]} */
  const rows = [];
  /** @type {[number, string][]} */
  let gone = [];
  let [left, right] = [0, 0];
  const flush = () => {
    for (const [number, line] of gone) rows.push(["removed", String(number), line, "", ""]);
    gone = [];
  };
  for (const line of hunks(diff)) {
    const at = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
    if (at) {
      flush();
      [left, right] = [Number(at[1]), Number(at[2])];
      rows.push(["hunk", "", line, "", ""]);
    } else if (line.startsWith("-")) gone.push([left++, line.slice(1)]);
    else if (line.startsWith("+")) {
      const [number, old] = gone.shift() ?? ["", ""];
      rows.push([number === "" ? "added" : "changed", String(number), old, String(right++), line.slice(1)]);
    } else if (line.startsWith(" ")) {
      flush();
      rows.push(["", String(left++), line.slice(1), String(right++), line.slice(1)]);
    }
  }
  flush();
  return h("table", { class: "listing beside" }, h("colgroup", {}, h("col", { class: "numbers" }), h("col"), h("col", { class: "numbers" }), h("col")),
    h("thead", {}, h("tr", {}, h("th", {}), h("th", { scope: "col" }, "As loaded"), h("th", {}), h("th", { scope: "col" }, "On disk now"))),
    h("tbody", {}, ...rows.map(([kind, one, old, other, now]) => h("tr", { class: kind }, h("th", {}, one), h("td", { class: "old" }, old), h("th", {}, other), h("td", { class: "new" }, now)))));
}
