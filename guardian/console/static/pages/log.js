/**
 * What nodes and their code say, as it comes; the newest below. It holds still while somebody reads further up.
 */

import * as api from "../api.js";
import { fill, h, say } from "../dom.js";
import { shape } from "../judge.js";
import * as link from "../link.js";
import { nodeHead } from "../nodehead.js";
import { asking, halted, iso, repeated, sayings, stampOf, waiting } from "../records.js";
import { nodePath } from "../router.js";
import { date } from "../when.js";

/**
 * `key`: by which it is known again.
 *
 * @typedef {{ stamp: number, time: string, node: string, context: string, level: string, text: string, key: string }} Line
 */

const EVERY_MS = 2000;
const PAGE = 500;
/** Lines on the page while it follows. */
const MOST = 3000;
/** Lines of several threads come so much out of order. */
const DISORDER_S = 10;
/** After the moment that was asked for, so much is shown. */
const AFTER_S = 60;
/** Nearer to the end than this is at the end. */
const NEAR_PX = 30;
/** @type {[string, string][]} */
const LEVELS = [["", "every level"], ["INFO", "INFO and worse"], ["WARNING", "WARNING and worse"], ["ERROR", "ERROR and worse"]];
const FILE = /([\w./-]*?)([\w-]+\.py)(?:", line |:)(\d+)/;

/** @type {import("../router.js").Render} */
export function render(root, { node, query }) {
  const endHead = node ? nodeHead(root, node, "log") : () => {};
  const list = h("ol", { class: "lines mono", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log" });
  const said = sayings();
  const wait = waiting();
  const halt = halted();
  const older = h("button", { type: "button", hidden: true }, "Older…");
  const later = h("button", { type: "button", hidden: true }, "A minute later…");
  const hold = h("button", { type: "button" }, "Pause");
  const state = h("span", { class: "soft", role: "status" });
  /** @type {Set<string>} */
  let shown = new Set();
  let before = "";
  let newest = 0;
  let turn = 0;
  let held = false;
  let missed = 0;
  /** That came while it was held. @type {Line[]} */
  let waits = [];
  const form = asking([
    ...(node ? [] : [{ name: "node", label: "Nodes", hint: "all, or SUS_*, IMC_LOCK, HOST" }]),
    { name: "level", label: "Level", values: LEVELS },
    { name: "text", label: "Words", hint: "in the line" },
    { name: "regex", label: "is a regular expression", check: true },
    { name: "at", label: "Jump to", hint: "2h, or a date" },
  ], query, () => begin());

  const at = () => (query.get("at") ? stampOf(query.get("at") ?? "") : null);
  const ask = (/** @type {Record<string, string | number | null>} */ more) =>
    api.get("/api/log", {
      node: node || query.get("node"), level: query.get("level"), text: query.get("text"), regex: query.get("regex"), limit: PAGE, ...more,
    });
  /** Those that are new, the oldest first. @param {Line[]} lines the newest first @returns {Line[]} */
  const fresh = (lines) => {
    /** @type {Map<string, number>} */
    const times = new Map();
    const found = [];
    for (const one of lines.toReversed()) {
      const text = [one.time, one.node, one.context, one.level, one.text].join("|");
      const number = (times.get(text) ?? 0) + 1; // one line may be said twice in one microsecond
      times.set(text, number);
      const key = `${number}|${text}`;
      if (shown.has(key)) continue;
      shown.add(key);
      found.push({ ...one, key });
      newest = Math.max(newest, one.stamp);
    }
    return found;
  };
  const atEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
  const tell = () => {
    const jumped = at() !== null;
    hold.hidden = jumped;
    later.hidden = !jumped;
    say(hold, held ? (missed ? `Go on (${missed} new)` : "Go on") : "Pause");
    say(state, jumped ? "at a time; it does not go on by itself" : held ? "PAUSED" : "goes on by itself");
    state.classList.toggle("held", held && !jumped);
  };
  const empty = (/** @type {any} */ told) => (told.more ? "None in what was looked through so far; Older… goes on." : "No such line.");

  const begin = async () => {
    const mine = (turn += 1);
    const moment = at();
    halt.clear();
    wait.show("Looking…");
    try {
      const told = await ask({ until: moment === null ? null : moment + AFTER_S });
      if (mine !== turn) return;
      shown = new Set();
      newest = 0;
      missed = 0;
      waits = [];
      held = false;
      before = told.before ?? "";
      fill(list, ...fresh(told.lines).map((one) => row(one, node)));
      newest = newest || told.now - DISORDER_S;
      said.show(told.says);
      wait.show(list.childElementCount ? "" : empty(told));
      older.hidden = !before;
      tell();
      if (moment === null) list.scrollTop = list.scrollHeight;
      else reveal(moment);
    } catch (error) {
      if (mine === turn) wait.fail(api.told(error));
    }
  };
  const reveal = (/** @type {number} */ moment) => {
    const all = /** @type {HTMLElement[]} */ ([...list.children]);
    const first = all.find((one) => Number(one.dataset.stamp) >= Math.floor(moment * 1000) / 1000) ?? all.at(-1);
    for (const one of all) one.classList.toggle("there", one === first);
    if (first) list.scrollTop = first.offsetTop - list.offsetTop - list.clientHeight / 3;
  };
  const more = async () => {
    const mine = turn;
    older.disabled = true;
    try {
      const told = await ask({ before });
      if (mine !== turn) return;
      before = told.before ?? "";
      older.hidden = !before;
      const last = newest;
      const lines = fresh(told.lines).map((one) => row(one, node));
      newest = last;
      const height = list.scrollHeight - list.scrollTop;
      list.prepend(...lines);
      list.scrollTop = list.scrollHeight - height;
      if (at() === null && !held) pause(true);
      wait.show(list.childElementCount ? "" : empty(told));
    } catch (error) {
      if (mine === turn) wait.fail(api.told(error));
    } finally {
      older.disabled = false;
    }
  };
  const pause = (/** @type {boolean} */ on) => {
    held = on;
    if (!held) {
      add(waits);
      waits = [];
      missed = 0;
      list.scrollTop = list.scrollHeight;
    }
    tell();
  };
  const add = (/** @type {Line[]} */ lines) => {
    const last = /** @type {HTMLElement | null} */ (list.lastElementChild);
    const inOrder = !last || !lines.length || lines[0].stamp >= Number(last.dataset.stamp);
    list.append(...lines.map((one) => row(one, node)));
    if (!inOrder) list.append(...[...list.children].sort((one, other) => Number(/** @type {HTMLElement} */ (one).dataset.stamp) - Number(/** @type {HTMLElement} */ (other).dataset.stamp)));
    trim();
    if (lines.length) wait.show("");
  };
  /** What is too much leaves above, where Older… brings it back. */
  const trim = () => {
    const all = /** @type {HTMLElement[]} */ ([...list.children]);
    if (all.length <= MOST) return;
    for (const one of all.slice(0, -MOST)) {
      shown.delete(one.dataset.key ?? "");
      one.remove();
    }
    before = all[all.length - MOST].dataset.stamp ?? "";
    older.hidden = false;
  };
  const follow = async () => {
    if (at() !== null || older.disabled) return;
    const mine = turn;
    try {
      const told = await ask({ since: newest - DISORDER_S });
      if (mine !== turn) return;
      halt.clear();
      tell();
      const gap = told.more && !told.lines.some((/** @type {Line} */ one) => one.stamp <= newest);
      if (gap && !held) {
        await begin(); // more has come than fits: the newest of it
        return;
      }
      const lines = fresh(told.lines);
      if (held) {
        waits = [...waits, ...lines].slice(-MOST);
        missed += lines.length;
        tell();
      } else if (lines.length) {
        add(lines);
        list.scrollTop = list.scrollHeight;
      }
    } catch (error) {
      if (mine !== turn) return;
      halt.tell(error);
      if (!held) say(state, "not followed at the moment");
    }
  };
  list.addEventListener("scroll", () => {
    if (at() !== null) return;
    const reads = !atEnd();
    if (reads !== held) pause(reads);
  });
  hold.addEventListener("click", () => pause(!held));
  older.addEventListener("click", more);
  later.addEventListener("click", () => form.set({ at: iso((at() ?? link.now()) + AFTER_S) }));
  const live = h("button", { type: "button", on: { click: () => form.set({ at: null }) } }, "Now");
  root.append(h("div", { class: "panel logpage" }, form.element, said.element, halt.element,
    h("div", { class: "bar" }, older, later, live, hold, state), list, wait.element));
  tell();
  void begin();
  const stop = repeated(EVERY_MS, follow);
  return () => {
    turn += 1;
    stop();
    endHead();
  };
}

/** @param {Line} one @param {string} page the node of the page, "" on that of all */
function row(one, page) {
  const level = one.level === "ERROR" || one.level === "CRITICAL" ? "major" : one.level === "WARNING" ? "minor" : null;
  return h("li", { class: level ?? one.level.toLowerCase(), data: { stamp: String(one.stamp), key: one.key } },
    h("time", { title: `${one.time} UTC` }, date(one.stamp), one.time.slice(19, 23)), " ",
    !page && h("a", { class: "whose", href: nodePath(one.node) }, one.node), !page && " ",
    one.context && h("span", { class: "soft" }, `[${one.context}] `),
    level && h("strong", { class: "level" }, shape(level), ` ${one.level}: `),
    ...linked(one));
}

/** The text; a file and its line lead to the code. @param {Line} one */
function linked(one) {
  const found = FILE.exec(one.text);
  if (!found || one.node === "HOST") return [one.text];
  const [whole, , file, number] = found;
  const end = found.index + whole.length;
  const code = `${nodePath(one.node, "code")}?${new URLSearchParams({ file, line: number })}`;
  return [one.text.slice(0, found.index), h("a", { href: code }, whole), one.text.slice(end)];
}
