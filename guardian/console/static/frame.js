/**
 * What stands around every page: the strip on top, the banner of a page that is stale, and where else one can go.
 */

import * as board from "./board.js";
import { fill, h, mark, paced, say } from "./dom.js";
import { findBox } from "./find.js";
import { overall, shape } from "./judge.js";
import * as link from "./link.js";
import { openLogin } from "./login.js";
import * as router from "./router.js";
import * as session from "./session.js";
import { theme, turn } from "./theme.js";
import { clock } from "./when.js";

/** Pages of all nodes. @type {[string, string][]} */
const PLACES = [["/", "Wall"], ["/tree", "Tree"], ["/events", "Events"], ["/history", "History"], ["/log", "Log"], ["/help", "Help"]];
/** Summaries are read aloud at most so often. */
const ALOUD_MS = 5000;
/** The sentence of all nodes changes at most so often. */
const SENTENCE_MS = 250;

/** Build it. @returns {HTMLElement} where the page goes */
export function frame() {
  const root = h("main", { id: "page", tabindex: "-1" });
  const banner = h("div", { id: "stale", role: "alert", hidden: true });
  const notice = h("div", { id: "newer", role: "status", hidden: true }, "The console is another one than this page came from: load the page anew. ", loader());
  session.on(() => (notice.hidden = !session.outdated()));
  document.body.append(
    h("a", { class: "skip", href: "#page", on: { click: () => root.focus() } }, "Skip to the page"),
    h("header", { id: "top" }, strip(), h("nav", { "aria-label": "Pages" }, places())),
    banner,
    notice,
    root,
  );
  keepBanner(banner);
  return root;
}

function loader() {
  return h("button", { type: "button", on: { click: () => location.reload() } }, "Load it anew");
}

function strip() {
  const site = h("a", { class: "site", href: "/" }, "guardian");
  session.on(() => say(site, session.about.title || "guardian"));
  return h("div", { class: "strip" }, site, summary(), findBox(), state(), time(), person(), themes());
}

function summary() {
  const text = h("span", { class: "text" });
  const sign = h("span", { class: "sign" });
  const line = h("a", { class: "overall", href: "/?only=notok" }, sign, text);
  const aloud = h("div", { class: "aloud", "aria-live": "polite" });
  const speak = paced(ALOUD_MS, () => say(aloud, text.textContent ?? ""));
  let level = "";
  const draw = () => {
    const told = overall(board.cells.values());
    say(text, told.text);
    if (told.level !== level) {
      level = told.level;
      line.className = `overall ${level}`;
      fill(sign, shape(told.level));
    }
  };
  const redraw = paced(SENTENCE_MS, draw);
  board.on(() => {
    redraw();
    speak();
  });
  draw();
  return h("div", { class: "summary" }, line, aloud);
}

function state() {
  const box = h("span", { class: "link", title: "of the link to the console" }, "…");
  link.onTurn(() => {
    say(box, standing());
    box.classList.toggle("lost", !link.state.live);
  });
  return box;
}

function time() {
  const box = h("time", { class: "clock" });
  const tick = () => say(box, `${clock(link.now())} UTC`);
  tick();
  window.setInterval(tick, 1000);
  return box;
}

function person() {
  const box = h("span", { class: "person" });
  const draw = () => {
    const { user, role, login } = session.about;
    if (user) {
      fill(box, h("span", {}, `${user}, ${role}`), h("button", { type: "button", on: { click: leave } }, "Log out"));
    } else if (login) {
      fill(box, h("button", { type: "button", on: { click: openLogin } }, "Log in"));
    } else {
      fill(box, h("span", { title: session.whyNot() }, session.about.writes ? "" : "read-only"));
    }
  };
  session.on(draw);
  return box;
}

async function leave() {
  try {
    await session.logout();
  } catch {
    await session.refresh();
  }
}

function themes() {
  const button = h("button", { type: "button", class: "theme" }, "◐");
  const tell = () => {
    mark(button, "title", `Theme: ${theme()}. Press for the next: as the system is, light, dark`);
    mark(button, "aria-label", `Theme: ${theme()}`);
  };
  button.addEventListener("click", () => {
    turn();
    tell();
  });
  tell();
  return button;
}

function places() {
  const links = PLACES.map(([path, name]) => h("a", { href: path }, name));
  router.onPage((place, title) => {
    for (const link of links) mark(link, "aria-current", link.pathname === place.path ? "page" : null);
    name = title;
    entitle();
  });
  return h("span", { class: "places" }, ...links);
}

/** LIVE, STALE or FAULT. */
function standing() {
  return link.state.fault ? "FAULT" : link.state.live ? "LIVE" : "STALE";
}

let name = "";

function entitle() {
  const site = session.about.title || "guardian";
  document.title = `${link.state.live ? "" : `${standing()} · `}${name ? `${name} · ` : ""}${site}`;
}

/** @param {HTMLElement} banner */
function keepBanner(banner) {
  const draw = () => {
    const stale = !link.state.live;
    document.documentElement.classList.toggle("stale", stale);
    banner.hidden = !stale;
    entitle();
    if (!stale) return;
    if (link.state.fault) {
      fill(banner, h("strong", {}, "FAULT: this page has a fault, load it anew."), h("span", {}, " What is shown here may be old. "), loader());
      return;
    }
    const since = clock(link.state.since / 1000);
    fill(
      banner,
      h("strong", {}, `STALE since ${since}`),
      h("span", {}, " UTC: the console does not answer, and what is shown here is old. Trying again."),
    );
  };
  link.onTurn(draw);
  session.on(entitle);
}
