/**
 * What the pages of the past share: what is asked for, as it stands in the address, and times as people write them.
 */

import { told } from "./api.js";
import * as board from "./board.js";
import { fill, h } from "./dom.js";
import * as link from "./link.js";
import { remember } from "./router.js";
import { exact, isTime } from "./when.js";

/** @typedef {{ name: string, label: string, hint?: string, wide?: boolean, values?: [string, string][], check?: boolean }} Field */

const UNITS = /** @type {Record<string, number>} */ ({ s: 1, m: 60, min: 60, h: 3600, d: 86400, w: 604800 });
/** After what took long there is a pause so many times as long. */
const SPARE = 10;
/** Lists of names on one page need ids of their own. */
let lists = 0;

/** Epoch seconds as they stand in an address and in a field, UTC; "" for what is no time. @param {number} stamp */
export function iso(stamp) {
  if (!isTime(stamp)) return "";
  return exact(stamp).replace(/\.000Z$|(\.\d\d\d)Z$/, "$1Z");
}

/**
 * What somebody has written: "2026-11-28 02:00", "02:00" (the last one), "2h" (ago), epoch seconds; UTC. null: no time.
 *
 * @param {string} text
 */
export function stampOf(text) {
  const word = text.trim();
  const now = link.now();
  const ago = /^(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)$/.exec(word);
  if (ago) return now - Number(ago[1]) * UNITS[ago[2]];
  if (/^\d{9,11}(\.\d+)?$/.test(word)) return Number(word);
  if (/^\d?\d:\d\d(:\d\d)?Z?$/.test(word)) {
    const today = exact(now).slice(0, 10);
    const clock = word.replace("Z", "").padStart(word.split(":").length === 3 ? 8 : 5, "0");
    const at = Date.parse(`${today}T${clock}Z`) / 1000;
    return Number.isNaN(at) ? null : at <= now ? at : at - 86400;
  }
  const day = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(Z|[+-]\d\d:?\d\d)?$/.exec(word);
  if (!day) return null;
  const at = Date.parse(`${day[1]}T${day[2] ?? "00:00"}${day[3] ?? "Z"}`) / 1000;
  return Number.isNaN(at) ? null : at;
}

/**
 * A form of what is asked for. It fills the address, and says when something was changed; times are made exact, so that
 * the address means the same tomorrow.
 *
 * @param {Field[]} fields
 * @param {URLSearchParams} query
 * @param {() => void} changed
 */
export function asking(fields, query, changed) {
  const list = h("datalist", { id: `names-${(lists += 1)}` });
  const trouble = h("span", { class: "trouble", role: "alert", hidden: true });
  /** @type {Map<string, HTMLInputElement | HTMLSelectElement>} */
  const inputs = new Map();
  const names = () => {
    if (list.childElementCount !== board.cells.size) fill(list, ...[...board.cells.keys()].sort().map((name) => h("option", { value: name })));
  };
  const parts = fields.map((field) => {
    const input = field.values
      ? h("select", {}, ...field.values.map(([value, text]) => h("option", { value }, text)))
      : h("input", {
        type: field.check ? "checkbox" : "text", placeholder: field.hint ?? "", spellcheck: "false", autocomplete: "off",
        list: field.name === "node" && list.id,
      });
    input.name = field.name;
    inputs.set(field.name, input);
    return field.check
      ? h("label", { class: "check" }, input, field.label)
      : h("label", { class: `field for-${field.name}` }, h("span", {}, field.label), input);
  });
  const show = () => {
    for (const [name, input] of inputs) {
      if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = query.has(name);
      else input.value = timed(name) ? (query.get(name) ?? "").replace("T", " ").replace(/Z$/, "") : query.get(name) ?? "";
    }
  };
  const take = () => {
    trouble.hidden = true;
    for (const [name, input] of inputs) {
      const box = input instanceof HTMLInputElement && input.type === "checkbox";
      let value = box ? (input.checked ? "1" : "") : input.value.trim();
      if (timed(name) && value) {
        const stamp = stampOf(value);
        if (stamp === null) {
          trouble.hidden = false;
          trouble.textContent = `${value} is no time: write 2026-11-28 02:00, 02:00, or how long ago: 30m, 2h, 1d`;
          input.focus();
          return;
        }
        value = iso(stamp);
      }
      if (value) query.set(name, value);
      else query.delete(name);
    }
    tell();
  };
  const tell = () => {
    remember(query);
    show();
    changed();
  };
  const form = h("form", {
    class: "asking filters", role: "search",
    on: {
      submit: (/** @type {Event} */ event) => {
        event.preventDefault();
        take();
      },
      change: (/** @type {Event} */ event) => {
        if (event.target instanceof HTMLSelectElement || (event.target instanceof HTMLInputElement && event.target.type === "checkbox")) take();
      },
      focusin: names,
    },
  }, ...parts, h("button", { type: "submit" }, "Show"), list, trouble);
  show();
  return {
    element: form,
    /** Ask for something else. @param {Record<string, string | null>} values null: no matter which */
    set(values) {
      for (const [name, value] of Object.entries(values)) {
        if (value === null || value === "") query.delete(name);
        else query.set(name, value);
      }
      tell();
    },
  };
}

/** @param {string} name */
function timed(name) {
  return ["since", "until", "at"].includes(name);
}

/** Sentences about what could not be read, or lies elsewhere. */
export function sayings() {
  const element = h("ul", { class: "sayings", role: "status" });
  let told = "";
  return {
    element,
    /** @param {string[]} says */
    show(says) {
      const now = says.join("\n");
      if (now === told) return;
      told = now;
      fill(element, ...says.map((text) => h("li", {}, text)));
    },
  };
}

/** Something is being looked for, or could not be. */
export function waiting() {
  const element = h("p", { class: "waiting soft", role: "status" });
  return {
    element,
    /** @param {string} text "" when it is over */
    show(text) {
      element.textContent = text;
      element.classList.remove("trouble");
    },
    /** @param {string} text */
    fail(text) {
      element.textContent = text;
      element.classList.add("trouble");
    },
  };
}

/** That a page does not go on by itself, and why. */
export function halted() {
  const { element, show, fail } = waiting();
  return {
    element,
    /** It goes on. */
    clear: () => show(""),
    /** @param {unknown} error */
    tell: (error) => fail(`Not followed at the moment, trying again: ${told(error)}`),
  };
}

/**
 * Do this again and again while somebody looks and the console answers; more rarely where it takes long, as it takes
 * time of the console, and of the machine that it shares with hosts.
 *
 * @param {number} every_ms
 * @param {() => Promise<void>} work
 * @returns {() => void} ends that
 */
export function repeated(every_ms, work) {
  let timer = 0;
  let ended = false;
  const turn = async () => {
    const begin = performance.now();
    if (!document.hidden && link.state.live) await work();
    const took = performance.now() - begin;
    if (!ended) timer = window.setTimeout(turn, Math.max(every_ms, SPARE * took));
  };
  timer = window.setTimeout(turn, every_ms);
  return () => {
    ended = true;
    window.clearTimeout(timer);
  };
}

/** The address of a page of records. @param {string} page @param {Record<string, string>} query */
export function pageOf(page, query) {
  return `${page}?${new URLSearchParams(query)}`;
}
