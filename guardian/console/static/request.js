/**
 * The dialog that requests a state: which, by what way, how long that takes, and what speaks against it.
 */

import * as api from "./api.js";
import * as board from "./board.js";
import { openDialog } from "./dialog.js";
import { arrange, fill, h, mark } from "./dom.js";
import { inOrder } from "./graph.js";
import * as session from "./session.js";
import { duration } from "./when.js";

/** @typedef {import("./graph.js").State} State */
/**
 * @typedef {{ state: string, states: string[], warnings: string[], usual_s: number | null, most_s: number | null,
 *   untimed: string[], times: Record<string, number>, passes_goto: string[], leaves_nominal: boolean, managed_by: string,
 *   dangerous: boolean, word: string, basis?: unknown }} Way
 */

/** @param {string} node @param {string} [first] a state to begin with */
export function openRequest(node, first = "") {
  const { dialog, body, error, close } = openDialog(`Request a state of ${node}`, "request");
  const search = h("input", { type: "search", placeholder: "state", "aria-label": "Find a state", spellcheck: "false", autocomplete: "off",
    role: "combobox", "aria-expanded": "true", "aria-controls": "states-found", "aria-autocomplete": "list" });
  const all = h("input", { type: "checkbox" });
  const list = h("ul", { id: "states-found", role: "listbox", "aria-label": "States" }, h("li", { class: "soft" }, "asking for its states…"));
  const preview = h("div", { class: "preview", "aria-live": "polite" });
  const reason = h("input", { name: "reason", maxlength: "200", autocomplete: "off", placeholder: "optional, kept in the records" });
  const confirm = h("input", { name: "confirm", autocomplete: "off", spellcheck: "false" });
  const sure = h("label", { class: "sure", hidden: true }, h("span", {}, "Type ", h("strong", {}, node), " to confirm"), confirm);
  const button = h("button", { type: "submit", class: "main" }, "Request");
  const why = h("span", { class: "soft why" });

  /** @type {State[]} */
  let states = [];
  /** @type {State[]} */
  let found = [];
  let at = 0;
  let picked = "";
  /** @type {Way | null} */
  let way = null;

  const allow = () => {
    const no = session.whyNot();
    const typed = !way?.dangerous || confirm.value.trim() === node;
    why.textContent = no;
    button.disabled = Boolean(no) || !way || !typed;
  };
  const choose = (/** @type {number} */ to) => {
    at = found.length ? Math.min(Math.max(to, 0), found.length - 1) : 0;
    for (const [index, item] of [...list.children].entries()) mark(item, "aria-selected", String(index === at));
    mark(search, "aria-activedescendant", found.length ? `state-${at}` : null);
    list.children[at]?.scrollIntoView({ block: "nearest" });
  };
  const draw = () => {
    const wanted = search.value.trim().toUpperCase();
    const cell = board.cells.get(node);
    found = states.filter((state) => (all.checked || state.request || state.name === first) && state.name.toUpperCase().includes(wanted));
    found.sort((a, b) => Number(b.request) - Number(a.request));
    arrange(list, found.map((state, index) => {
      const marks = [state.name === cell?.state && "present", state.name === cell?.request && "requested",
        state.name === cell?.nominal && "★ nominal", state.goto !== null && "goto", !state.request && "not on the menu"].filter(Boolean);
      const item = h("li", { id: `state-${index}`, role: "option", class: state.name === picked ? "picked" : "" },
        h("span", { class: "name" }, state.name), h("span", { class: "soft" }, marks.join(", ")));
      item.addEventListener("click", () => {
        choose(index);
        void pick(state.name);
      });
      return item;
    }));
    if (!found.length) list.append(h("li", { class: "soft", role: "option" }, all.checked ? "no state is called so" : "none on the menu; try all states"));
    choose(Math.max(0, found.findIndex((state) => state.name === picked)));
  };
  const offer = (/** @type {Way} */ told) => {
    way = told;
    button.textContent = told.word || `Request ${told.state}`;
    fill(preview, shown(told, states));
    sure.hidden = !told.dangerous;
    confirm.value = "";
    allow();
  };
  const pick = async (/** @type {string} */ state) => {
    picked = state;
    way = null;
    error("");
    confirm.value = "";
    for (const [index, item] of [...list.children].entries()) item.classList.toggle("picked", found[index]?.name === state);
    fill(preview, h("p", { class: "soft" }, "asking for the way…"));
    allow();
    try {
      const told = await api.get(api.ofNode(node, "way"), { state });
      if (picked !== state) return;
      offer(told);
      if (document.activeElement === search || document.activeElement === document.body) (told.dangerous ? confirm : button.disabled ? reason : button).focus();
    } catch (problem) {
      if (picked !== state) return;
      sure.hidden = true;
      fill(preview, h("p", { class: "trouble" }, api.told(problem)));
    }
  };

  search.addEventListener("input", draw);
  all.addEventListener("change", draw);
  confirm.addEventListener("input", allow);
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(at + 1);
    else if (event.key === "ArrowUp") choose(at - 1);
    else if (event.key === "Enter") {
      if (found.length) void pick(found[at].name);
    } else return;
    event.preventDefault();
  });
  const form = h("form", {},
    h("div", { class: "choice" }, search, h("label", { class: "check" }, all, "all states"), list),
    h("div", { class: "what" }, preview, sure, h("label", {}, "Reason", reason),
      h("footer", {}, why, h("button", { type: "button", on: { click: close } }, "Cancel"), button)));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!way || button.disabled) return;
    error("");
    button.disabled = true;
    try {
      await api.post(api.ofNode(node, "request"), {
        state: way.state, reason: reason.value.trim() || undefined, confirm: way.dangerous ? confirm.value.trim() : undefined,
        basis: way.basis,
      });
      close();
    } catch (problem) {
      error(api.told(problem));
      // The way has changed since it was looked at: this is what it is now.
      if (problem instanceof api.ApiError && problem.answer.way) offer(problem.answer.way);
      allow();
    }
  });
  const off = session.on(allow);
  dialog.addEventListener("close", off);
  fill(preview, h("p", { class: "soft" }, "Choose a state to see the way to it."));
  body.append(form);
  allow();
  search.focus();
  void (async () => {
    try {
      const told = await api.get(api.ofNode(node));
      states = inOrder(told.graph?.states ?? []);
      if (!states.length) error(`${node} does not tell its states.`);
      draw();
      if (first) await pick(first);
    } catch (problem) {
      fill(list);
      error(api.told(problem));
    }
  })();
}

/** @param {Way} way @param {State[]} states */
function shown(way, states) {
  const gotos = new Set(way.passes_goto);
  const doc = states.find((state) => state.name === way.state)?.doc ?? "";
  const steps = way.states.map((state, index) => h("li", { class: gotos.has(state) ? "goto" : "" },
    h("span", { class: "name" }, state), gotos.has(state) && h("span", { class: "tag" }, "goto"),
    h("span", { class: "soft" }, index ? duration(way.times[state]) || "never timed" : "present state")));
  return h("div", {},
    way.warnings.length > 0 && h("ul", { class: way.dangerous ? "warnings grave" : "warnings" }, ...way.warnings.map((text) => h("li", {}, text))),
    doc && h("p", { class: "doc" }, doc),
    steps.length === 1 && h("p", { class: "soft" }, "It is there already."),
    steps.length > 1 && h("p", { class: "soft total" }, total(way)),
    steps.length > 1 && h("ol", { class: "way" }, ...steps));
}

/** @param {Way} way */
function total(way) {
  const count = `${way.states.length - 1} ${way.states.length === 2 ? "step" : "steps"}`;
  if (way.usual_s === null) return count;
  return `${count}, usually ${duration(way.usual_s)}${way.most_s === null ? "" : `, at most so far ${duration(way.most_s)}`}`;
}
