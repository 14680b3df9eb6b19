/**
 * One node: what can be asked of it, where it is in its graph, and why it is not OK.
 */

import * as api from "../api.js";
import * as board from "../board.js";
import { append, fill, h, mark, paced, say } from "../dom.js";
import { graph } from "../graph.js";
import { badge, judge, shape } from "../judge.js";
import * as link from "../link.js";
import { nodeHead } from "../nodehead.js";
import { openOrder, permit } from "../order.js";
import { legend, Picture } from "../picture.js";
import { openRequest } from "../request.js";
import { nodePath } from "../router.js";
import * as session from "../session.js";
import { brief, span } from "../when.js";

/** @typedef {import("../board.js").Cell} Cell */

const EVENTS = 10;
const PACE_MS = 1000;
/** The journal may be so much later than the PVs. */
const LATE_MS = 2000;

/** @type {import("../router.js").Render} */
export function render(root, { node }) {
  board.show(node);
  const endHead = nodeHead(root, node, "");
  const left = controls(node);
  const centre = centrepiece(node);
  const right = reasons(node);
  root.append(h("div", { class: "node" }, left.element, centre.element, right.element));
  const draw = () => {
    const cell = board.cellOf(node);
    if (!cell) return;
    left.draw(cell);
    centre.draw(cell);
    right.draw(cell);
  };
  draw();
  const ends = [endHead, left.end, centre.end, right.end, board.onRows(draw),
    board.on((news) => {
      if (news.all || news.nodes.has(node)) draw();
      else left.family();
    })];
  const timer = window.setInterval(() => link.state.live && left.tick(), 1000);
  return () => {
    window.clearInterval(timer);
    for (const end of ends) end();
    board.show(null);
  };
}

// -- left: what can be asked of it -------------------------------------------------------------------------------------

/** @param {string} node */
function controls(node) {
  const state = h("div", { class: "big mono" });
  const time = h("span", { class: "soft" });
  const status = h("span", { class: "soft" });
  const target = h("span", { class: "mono" });
  const request = h("span", { class: "mono" });
  const by = h("div", { class: "soft by" });
  const nominal = h("span", { class: "mono" });
  const manager = h("span", {});
  const worker = h("span", {});
  const load = h("span", {});
  const changed = h("span", { class: "badge minor", hidden: true }, shape("minor"), h("span", {}, "disk newer than loaded"));
  const children = h("ul", { class: "children" });
  const childhood = h("section", { hidden: true }, h("h2", {}, "Nodes under it"), children);
  const ask = h("button", { type: "button", class: "main ask", on: { click: () => openRequest(node) } }, "Request…");
  const op = choice(node, "OP", ["EXEC", "PAUSE", "STOP"]);
  const mode = choice(node, "MODE", ["AUTO", "MANAGED", "MANUAL"]);
  const pulse = (/** @type {string} */ row, /** @type {string} */ text, /** @type {session.Group} */ group) =>
    h("button", { type: "button", on: { click: () => openOrder({ node, row, value: "True", group }) } }, text);
  const reload = pulse("LOAD", "Load…", "EXPERT");
  const reenter = pulse("REENTER", "Reenter…", "OPERATE");
  const reset = pulse("RESET_FAILED", "Reset failed…", "OPERATE");
  const why = h("p", { class: "soft whynot" });

  const line = (/** @type {string} */ name, /** @type {(Node | false)[]} */ ...what) => [h("dt", {}, name), h("dd", {}, ...what)];
  const element = h("section", { class: "panel controls", "aria-label": "Controls" },
    h("div", { class: "now" }, h("h2", {}, "State"), state, h("div", { class: "pair" }, status, time)),
    h("dl", {},
      ...line("Target", target),
      ...line("Request", request, by), h("dd", { class: "wide" }, ask),
      ...line("Nominal", nominal),
      ...line("Op", op.element),
      ...line("Mode", mode.element),
      ...line("Manager", manager),
      ...line("Worker", worker),
      ...line("Code", load, changed),
      h("dd", { class: "wide row" }, reload, reenter, reset)),
    why, childhood);

  const rights = () => {
    permit([ask], "OPERATE");
    ask.disabled = false; // to look at the way takes no rights
    permit([...op.buttons, ...mode.buttons, reenter, reset], "OPERATE");
    permit([reload], "EXPERT");
    say(why, session.whyNot());
    why.hidden = !session.whyNot();
  };
  rights();
  const off = session.on(rights);
  let listed = "";
  let shown = "";
  /** @type {string[]} */
  let names = [];

  const family = () => {
    const told = names.map((name) => {
      const cell = board.cells.get(name);
      return cell ? [name, judge(cell).level, judge(cell).word, cell.state].join() : name;
    }).join(";");
    if (told === shown) return;
    shown = told;
    fill(children, ...names.map((name) => {
      const cell = board.cells.get(name);
      const { level, word } = cell ? judge(cell) : { level: /** @type {const} */ ("invalid"), word: "unknown here" };
      return h("li", {}, h("a", { href: nodePath(name), data: { node: name, stop: "" } }, shape(level), " ", name),
        h("span", { class: "mono" }, cell?.there ? cell.state : ""), level !== "ok" && h("span", { class: `word ${level}` }, word));
    }));
  };
  const tick = () => {
    const cell = board.cellOf(node);
    say(time, cell?.there && cell.since > 0 ? `for ${span(link.now() - cell.since)}` : "");
  };
  /** @param {Cell} cell */
  const draw = (cell) => {
    say(state, cell.there ? cell.state : "?");
    say(status, cell.there ? cell.status : "does not answer");
    say(target, cell.there && cell.target === cell.state ? "—" : cell.target);
    say(request, cell.request);
    say(by, board.row("REQUEST_BY") ? `by ${board.row("REQUEST_BY")}` : "");
    say(nominal, cell.nominal || (cell.there ? "none" : "?"));
    op.show(cell.op);
    mode.show(cell.mode);
    const above = cell.manager || (cell.there ? "none" : "?");
    if (manager.dataset.is !== above) {
      manager.dataset.is = above;
      fill(manager, cell.manager && board.cells.has(cell.manager) ? h("a", { href: nodePath(cell.manager) }, cell.manager) : above);
    }
    const exec = Number(board.row("EXECTIME"));
    say(worker, [cell.worker || (cell.there ? "" : "?"), exec >= 0.5 ? `call takes ${exec.toFixed(1)} s` : "", board.row("LOGLEVEL") && `log ${board.row("LOGLEVEL")}`].filter(Boolean).join(", "));
    const loaded = Number(board.row("LOAD_TIME"));
    say(load, [cell.load === "DONE" ? "loaded" : cell.load ? `load ${cell.load}` : "?", loaded > 0 ? brief(loaded, link.now()) : ""].join(" "));
    changed.hidden = board.row("CODE_CHANGED") !== "True";
    reset.hidden = board.row("PROC_STATE") !== "FAIL";
    const told = board.row("SUBNODES");
    if (told !== listed) {
      listed = told;
      names = subnodes(told);
      childhood.hidden = !names.length;
    }
    family();
    tick();
  };
  return { element, draw, tick, family, end: off };
}

/** A row of buttons, of which the one that holds is pressed. @param {string} node @param {string} row @param {string[]} values */
function choice(node, row, values) {
  const buttons = values.map((value) =>
    h("button", { type: "button", "aria-pressed": "false", on: { click: () => openOrder({ node, row, value, group: "OPERATE" }) } }, value));
  const element = h("div", { class: "choices", role: "group", "aria-label": row }, ...buttons);
  const show = (/** @type {string} */ value) => {
    for (const [at, button] of buttons.entries()) mark(button, "aria-pressed", String(values[at] === value));
    element.classList.toggle("odd", (row === "OP" && value !== "EXEC") || value === "MANUAL");
  };
  return { element, buttons, show };
}

/** @param {string} text @returns {string[]} */
function subnodes(text) {
  try {
    return JSON.parse(text || "[]").map((/** @type {{ node: string }} */ one) => String(one.node));
  } catch {
    return [];
  }
}

// -- centre: where it is in its graph ----------------------------------------------------------------------------------

/** @param {string} node */
function centrepiece(node) {
  const picture = new Picture(node, "focus", (state) => openRequest(node, state));
  const whole = h("a", { href: nodePath(node, "graph") }, "Whole graph");
  const element = h("section", { class: "panel centre", "aria-label": "Graph" },
    h("div", { class: "bar" }, h("h2", {}, "Way and what is beside it"), whole), picture.element, legend());
  let drawn = "";
  const load = paced(PACE_MS, async () => {
    const cell = board.cells.get(node);
    if (!cell || !element.isConnected) return; // the console draws only what it knows
    await picture.follow(cell);
    await picture.load();
    picture.show(board.cellOf(node) ?? cell);
  });
  const follow = paced(PACE_MS, async () => {
    const cell = board.cellOf(node);
    if (!cell) return;
    await picture.follow(cell);
    picture.show(board.cellOf(node) ?? cell);
  });
  /** @param {Cell} cell */
  const draw = (cell) => {
    // Another part of the graph is to be seen when it is sent elsewhere, has left the part, or has other code.
    const part = [cell.request, cell.there, board.row("LOAD_TIME"), graph().states.length].join();
    if (part !== drawn || (picture.svg && !picture.has(cell.state) && cell.there)) {
      drawn = part;
      load();
      return;
    }
    picture.show(cell);
    follow();
  };
  const end = () => {
    load.stop();
    follow.stop();
  };
  return { element, draw, end };
}

// -- right: why it is not OK, and what happened ------------------------------------------------------------------------

/** @param {string} node */
function reasons(node) {
  const head = h("h2", {});
  const why = h("div", { class: "text" });
  const flags = h("ul", { class: "flags" });
  const says = h("ul", { class: "says" });
  const sayings = h("section", {}, h("h2", {}, "It says"), says);
  const message = h("p", { class: "text" });
  const guardian = h("section", {}, h("h2", {}, "Guardian says"), message);
  const events = h("ol", { class: "events" });
  const element = h("section", { class: "panel reasons", "aria-label": "Reasons" },
    h("section", {}, head, why, flags), sayings, guardian,
    h("section", {}, h("div", { class: "bar" }, h("h2", {}, "Last events"), h("a", { href: nodePath(node, "events") }, "All events")), events));
  let told = "";
  let said = "";
  let id = "";
  let late = 0;
  /** Show the last events; the number of the newest. */
  const list = async () => {
    try {
      const { records } = await api.get("/api/events", { node, limit: EVENTS });
      fill(events, ...records.map(event));
      if (!records.length) append(events, h("li", { class: "soft" }, "nothing is recorded"));
      return Number(records.find((/** @type {{ id: number }} */ one) => one.id)?.id ?? 0);
    } catch (error) {
      fill(events, h("li", { class: "soft" }, api.told(error)));
      return 0;
    }
  };
  const ask = paced(PACE_MS, async () => {
    window.clearTimeout(late);
    const newest = await list();
    if (element.isConnected && newest < (board.cells.get(node)?.id ?? 0)) late = window.setTimeout(list, LATE_MS);
  });
  const end = () => {
    ask.stop();
    window.clearTimeout(late);
  };
  /** @param {Cell} cell */
  const draw = (cell) => {
    const { level, word } = judge(cell);
    const reason = cell.ok && cell.there ? "" : (cell.there && board.row("WHY")) || cell.why;
    const now = JSON.stringify([level, word, reason, cell.flags]);
    if (now !== told) {
      told = now;
      say(head, cell.ok && cell.there ? "How it is" : "Why not OK");
      fill(why, badge(level, word), reason && h("p", {}, reason));
      fill(flags, ...Object.entries(cell.flags).map(([kind, text]) => h("li", {}, h("strong", {}, kind), ` ${text}`)));
    }
    const words = board.row("USERMSG") || cell.says;
    if (words !== said) {
      said = words;
      fill(says, ...words.split("; ").map((text) => h("li", {}, text)));
    }
    sayings.hidden = !words;
    say(message, board.row("GRDMSG"));
    guardian.hidden = !board.row("GRDMSG");
    if (`${cell.id} ${cell.there}` !== id) {
      id = `${cell.id} ${cell.there}`;
      ask();
    }
  };
  return { element, draw, end };
}

/** @param {any} record */
function event(record) {
  const who = record.person || record.manager || record.who || "";
  const text = record.text || record.kind;
  return h("li", {}, h("time", { class: "soft" }, brief(record.stamp, link.now())), h("span", {}, text), who && !text.includes(who) && h("span", { class: "soft" }, who));
}
