/**
 * Who looks at this page, and what they may do.
 */

import * as api from "./api.js";
import * as link from "./link.js";

/** @typedef {"viewer" | "operator" | "expert"} Role */
/**
 * @typedef {{ title: string, version: string, writes: boolean, user: string | null, role: Role | null,
 *   login: boolean }} About
 */
/** @typedef {"OPERATE" | "EXPERT"} Group of PVs, by who may write them */

/** @type {About} */
export let about = { title: "", version: "", writes: false, user: null, role: null, login: false };
/** The version of the console that this page came from. */
let first = "";
/** @type {Set<() => void>} */
const watchers = new Set();

/** Hear of each change of what may be done here. @param {() => void} fn @returns {() => void} ends that */
export function on(fn) {
  watchers.add(fn);
  return () => watchers.delete(fn);
}

/** Whether the console is of another version than this page. */
export function outdated() {
  return about.version !== first;
}

/** Ask the console anew. */
export async function refresh() {
  let told;
  try {
    told = await api.get("/api/about");
  } catch {
    return; // the link says that nobody answers
  }
  first ||= told.version ?? "";
  about = {
    title: told.title ?? "",
    version: told.version ?? "",
    writes: Boolean(told.writes),
    user: told.user ?? null,
    role: told.role ?? null,
    login: Boolean(told.login),
  };
  api.secret.csrf = told.csrf ?? null;
  tell();
}

function tell() {
  link.tell(watchers);
}

link.onTurn(tell); // nothing is asked from a page that is stale

/** @param {string} user @param {string} token */
export async function login(user, token) {
  await api.post("/api/login", { user, token });
  await refresh();
}

export async function logout() {
  await api.post("/api/logout");
  await refresh();
}

/** Why nobody here can write PVs of this group; "" if they can. @param {Group} [group] */
export function whyNot(group = "OPERATE") {
  if (!about.writes) return "This console only shows. Who runs it may start it with --allow-write --users FILE.";
  if (link.state.fault) return "This page has a fault: load it anew.";
  if (!link.state.live) return "The page is stale: what it shows is old, so nothing is asked from here.";
  if (!about.user) return "Log in first.";
  if (about.role === "expert" || (about.role === "operator" && group === "OPERATE")) return "";
  return `${about.user} is ${about.role ?? "nobody"}, and this takes ${group === "EXPERT" ? "an expert" : "an operator"}.`;
}
