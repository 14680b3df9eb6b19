/**
 * In which states nodes were, and how long.
 */

import * as api from "../api.js";
import { Bands, swatch } from "../bands.js";
import * as board from "../board.js";
import { fill, h, say } from "../dom.js";
import * as link from "../link.js";
import { nodeHead } from "../nodehead.js";
import { asking, iso, pageOf, repeated, sayings, stampOf, waiting } from "../records.js";
import { nodePath } from "../router.js";
import { date, duration, exact } from "../when.js";

/** @typedef {import("../bands.js").Band} Band */
/**
 * @typedef {{ since: number, until: number, nodes: Record<string, Band[]>, times: Record<string, Record<string, number>>,
 *   counts: Record<string, Record<string, number>>, says: string[] }} Told
 */

/** @type {[number, string][]} */
const RANGES = [[3600, "1 h"], [21600, "6 h"], [86400, "1 d"], [604800, "7 d"], [2592000, "30 d"]];
const EVERY_MS = 5000;
/** Where nobody says which nodes: those that no other manages, so many at most. */
const ROOTS = 20;
/** An answer comes in parts where there is much to look through. */
const PARTS = 40;
const AROUND_S = 5;
const [EVENTS, LINES, LISTED] = [8, 8, 500];

/** @type {import("../router.js").Render} */
export function render(root, { node, query }) {
  const endHead = node ? nodeHead(root, node, "history") : () => {};
  const said = sayings();
  const wait = waiting();
  const readout = h("p", { class: "readout", "aria-live": "polite" }, " ");
  const picked = h("section", { class: "panel picked", hidden: true });
  const times = h("div", { class: "timesin" });
  const list = h("tbody");
  const twin = h("details", { class: "twin" }, h("summary", {}, "The bands as a list"),
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, ...["Node", "State", "From (UTC)", "To (UTC)", "How long"].map((name) => h("th", { scope: "col" }, name)))), list));
  /** @type {Told | null} */
  let told = null;
  let turn = 0;
  const form = asking([
    ...(node ? [] : [{ name: "node", label: "Nodes", hint: "SUS_*, IMC_LOCK" }]),
    { name: "since", label: "From", hint: "2h, or a date" },
    { name: "until", label: "To", hint: "now" },
  ], query, () => {
    if (query.has("since")) query.delete("range");
    void load();
  });
  const ranges = h("span", { class: "choices ranges", role: "group", "aria-label": "Range" }, ...RANGES.map(([seconds, text]) =>
    h("button", { type: "button", data: { range: String(seconds) }, on: { click: () => form.set({ since: null, until: null, range: String(seconds) }) } }, text)));
  const bands = new Bands({
    label: (name) => h("a", { href: nodePath(name), data: { node: name } }, name),
    pick: (name, stamp) => pick(name, stamp),
    zoom: (since, until) => form.set({ since: iso(Math.floor(since * 1000) / 1000), until: until >= link.now() ? null : iso(Math.ceil(until * 1000) / 1000) }),
    tell: (text) => say(readout, text),
  });
  const zoom = h("span", { class: "zoom" },
    h("button", { type: "button", "aria-label": "Earlier", on: { click: () => bands.pan(-0.5) } }, "◂"),
    h("button", { type: "button", "aria-label": "Later", on: { click: () => bands.pan(0.5) } }, "▸"),
    h("button", { type: "button", "aria-label": "Farther", on: { click: () => bands.zoom(0.5) } }, "−"),
    h("button", { type: "button", "aria-label": "Nearer", on: { click: () => bands.zoom(2) } }, "+"));
  const exports = h("span", {},
    h("button", { type: "button", on: { click: () => told && save("csv", csv(told)) } }, "CSV"), " ",
    h("button", { type: "button", on: { click: () => told && save("json", JSON.stringify(told)) } }, "JSON"));
  const pin = h("button", { type: "button", title: "so that the address shows this time tomorrow, too", on: { click: () => told && form.set({ since: iso(told.since), until: iso(told.until), range: null }) } }, "Keep this time");

  const wanted = () => {
    const until = query.get("until") ? stampOf(query.get("until") ?? "") : null;
    const since = query.get("since") ? stampOf(query.get("since") ?? "") : null;
    const range = Number(query.get("range")) || RANGES[0][0];
    return { since: since ?? (until ?? link.now()) - range, until };
  };
  const names = () => node || query.get("node") ||
    [...board.cells.values()].filter((cell) => cell.ours && !cell.under).map((cell) => cell.node).sort().slice(0, ROOTS).join(",");

  const load = async (quiet = false) => {
    const mine = (turn += 1);
    const nodes = names();
    if (!nodes) {
      wait.show("Waiting for the names of the nodes…");
      return;
    }
    const { since, until } = wanted();
    if (!quiet) wait.show("Looking…");
    try {
      let all = /** @type {Told | null} */ (null);
      let begin = since;
      for (let part = 0; part < PARTS; part += 1) {
        const got = await api.get("/api/history", { node: nodes, since: begin, until });
        if (mine !== turn) return;
        all = all ? joined(all, got) : got;
        begin = got.until;
        if (!got.more) break;
        wait.show(`Looking… up to ${date(got.until)}`);
      }
      wait.show("");
      if (all) show(all);
    } catch (error) {
      if (mine === turn) wait.fail(api.told(error));
    }
  };
  const show = (/** @type {Told} */ got) => {
    told = got;
    said.show(got.says);
    const range = query.has("since") ? 0 : Number(query.get("range")) || RANGES[0][0];
    for (const button of ranges.querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.range) === range));
    pin.hidden = query.has("since") && query.has("until");
    bands.show({ since: got.since, until: got.until, rows: Object.entries(got.nodes).map(([name, one]) => ({ node: name, bands: one })) });
    fill(times, ...Object.keys(got.nodes).map((name) => timesOf(name, got)));
    fill(list, ...Object.entries(got.nodes).flatMap(([name, one]) => one.slice(-LISTED).reverse().map((band) => h("tr", {},
      h("th", { scope: "row" }, name), h("td", { class: "mono" }, band.state || `${band.count ?? "several"} short stays`),
      h("td", { class: "stamp" }, date(band.begin)), h("td", { class: "stamp" }, date(band.end)), h("td", { class: "number" }, duration(band.end - band.begin))))));
  };
  const pick = async (/** @type {string} */ name, /** @type {number} */ stamp) => {
    const at = iso(Math.floor(stamp));
    const events = h("ol", { class: "brief" }, h("li", { class: "soft" }, "Looking…"));
    const lines = h("ol", { class: "brief mono" }, h("li", { class: "soft" }, "Looking…"));
    picked.hidden = false;
    fill(picked, h("div", { class: "bar" }, h("h2", {}, `${name} at ${date(stamp)} UTC`),
      h("button", { type: "button", on: { click: () => { picked.hidden = true; } } }, "Close")),
    h("div", { class: "bar" }, h("h2", {}, "Events up to then"), h("a", { href: pageOf("/events", { node: name, until: iso(Math.ceil(stamp) + AROUND_S) }) }, "All events up to then")), events,
    h("div", { class: "bar" }, h("h2", {}, "Log up to then"), h("a", { href: pageOf("/log", { node: name, at }) }, "Log at that second")), lines);
    const until = Math.ceil(stamp);
    const put = async (/** @type {HTMLElement} */ element, /** @type {Promise<any>} */ asked, /** @type {(got: any) => Node[]} */ made) => {
      try {
        const found = made(await asked);
        fill(element, ...(found.length ? found : [h("li", { class: "soft" }, "none")]));
      } catch (error) {
        fill(element, h("li", { class: "soft" }, api.told(error)));
      }
    };
    await Promise.all([
      put(events, api.get("/api/events", { node: name, until, limit: EVENTS }), (got) => got.records.map((/** @type {any} */ one) => h("li", {}, h("time", { class: "soft" }, date(one.stamp)), " ", one.text))),
      put(lines, api.get("/api/log", { node: name, until, limit: LINES }), (got) => got.lines.map((/** @type {any} */ one) => h("li", {}, h("time", { class: "soft" }, date(one.stamp)), " ", one.level === "INFO" ? "" : `${one.level}: `, one.text))),
    ]);
  };
  root.append(h("div", { class: "panel historypage" },
    h("div", { class: "bar" }, ranges, form.element, zoom, pin, exports), said.element, wait.element, bands.element, readout),
  picked, h("section", { class: "panel" }, h("h2", {}, "Time in state"), times, twin));
  void load();
  const off = board.on((news) => news.all && !told && !query.get("node") && void load());
  const stop = repeated(EVERY_MS, async () => {
    if (!query.has("until") && !bands.busy && told) await load(true);
  });
  return () => {
    turn += 1;
    stop();
    bands.end();
    off();
    endHead();
  };
}

/** @param {string} name @param {Told} told */
function timesOf(name, told) {
  const each = Object.entries(told.times[name] ?? {}).sort((one, other) => other[1] - one[1]);
  const all = told.until - told.since;
  const away = all - each.reduce((sum, [, seconds]) => sum + seconds, 0);
  const share = (/** @type {number} */ seconds) => `${((100 * seconds) / all).toFixed(1)} %`;
  const row = (/** @type {Node | null} */ sign, /** @type {string} */ state, /** @type {number} */ seconds, /** @type {number | string} */ count) => h("tr", {},
    h("td", {}, sign), h("th", { scope: "row", class: "mono" }, state), h("td", { class: "number" }, share(seconds)), h("td", { class: "number" }, duration(seconds)), h("td", { class: "number" }, count));
  return h("table", { class: "table" }, h("caption", {}, h("a", { href: nodePath(name) }, name)),
    h("thead", {}, h("tr", {}, h("th", {}), ...["State", "Share", "In all", "Times"].map((text, at) => h("th", { scope: "col", class: at ? "number" : "" }, text)))),
    h("tbody", {}, ...each.map(([state, seconds]) => row(swatch(state), state, seconds, told.counts[name][state])),
      away > 0.05 * Math.max(1, all / 1000) && row(null, "(nothing recorded)", away, "")));
}

/** Two answers of which the second goes on where the first ends. @param {Told} one @param {Told} other @returns {Told} */
function joined(one, other) {
  const sum = (/** @type {Record<string, Record<string, number>>} */ a, /** @type {Record<string, Record<string, number>>} */ b) => {
    for (const [name, values] of Object.entries(b)) {
      for (const [state, value] of Object.entries(values)) a[name][state] = (a[name][state] ?? 0) + value;
    }
    return a;
  };
  for (const [name, bands] of Object.entries(other.nodes)) {
    const last = one.nodes[name].at(-1);
    const [first, ...rest] = bands;
    if (last && first && last.state === first.state && last.end === first.begin) {
      last.end = first.end;
      one.nodes[name].push(...rest);
    } else one.nodes[name].push(...bands);
  }
  return { since: one.since, until: other.until, nodes: one.nodes, times: sum(one.times, other.times), counts: sum(one.counts, other.counts), says: [...new Set([...one.says, ...other.says])] };
}

/** @param {Told} told */
function csv(told) {
  const quoted = (/** @type {unknown} */ value) => `"${String(value).replaceAll('"', '""')}"`;
  const lines = Object.entries(told.nodes).flatMap(([name, bands]) => bands.map((band) =>
    [name, band.state, band.count ?? 1, exact(band.begin), exact(band.end), (band.end - band.begin).toFixed(6)].map(quoted).join(",")));
  return ["node,state,stays,begin_utc,end_utc,seconds", ...lines, ""].join("\r\n");
}

/** Have the browser keep a text as a file. @param {"csv" | "json"} kind @param {string} text */
function save(kind, text) {
  const address = URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv" : "application/json" }));
  const anchor = h("a", { href: address, download: `history-${date(link.now()).replace(/\W/g, "")}.${kind}`, target: "_self" });
  anchor.click();
  window.setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
