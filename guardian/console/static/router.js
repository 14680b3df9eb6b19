/**
 * Pages by their address. Each has `render(root, place)`, which fills the root and gives back what ends it.
 */

import { h } from "./dom.js";

/** @typedef {{ path: string, node: string, query: URLSearchParams }} Place `node`: "" on pages of all nodes. */
/** @typedef {(root: HTMLElement, place: Place) => () => void} Render */
/** @typedef {{ path: string, title: string, render: Render }} Page `path`: a part ":node" stands for any node. */

/** @type {Page[]} */
let table = [];
/** @type {HTMLElement} */
let root;
/** @type {() => void} */
let end = () => {};
/** @type {Set<(place: Place, title: string) => void>} */
const watchers = new Set();
/** @type {Place} */
export let here = { path: "/", node: "", query: new URLSearchParams() };

/** Show what the address says, from now on. @param {HTMLElement} into @param {Page[]} pages */
export function start(into, pages) {
  root = into;
  table = pages;
  document.addEventListener("click", follow);
  window.addEventListener("popstate", draw);
  draw();
}

/** Hear of each page that is shown. @param {(place: Place, title: string) => void} fn */
export function onPage(fn) {
  watchers.add(fn);
}

/** Go to a page. @param {string} address */
export function go(address) {
  history.pushState(null, "", address);
  draw();
  window.scrollTo(0, 0);
}

/** Say in the address what this page shows; the page is not drawn anew. @param {URLSearchParams} query */
export function remember(query) {
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text && `?${text}`));
  here.query = query;
}

/** The address of a node's page. @param {string} node @param {string} [part] */
export function nodePath(node, part = "") {
  return `/n/${encodeURIComponent(node)}${part && `/${part}`}`;
}

/** @param {MouseEvent} event */
function follow(event) {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const anchor = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(anchor instanceof HTMLAnchorElement) || anchor.origin !== location.origin || anchor.target) return;
  if (anchor.pathname.startsWith("/api/") || anchor.pathname.startsWith("/static/")) return;
  if (anchor.pathname === location.pathname && anchor.hash) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}

function draw() {
  end();
  root.replaceChildren();
  const path = location.pathname;
  const query = new URLSearchParams(location.search);
  for (const page of table) {
    const node = match(page.path, path);
    if (node !== null) {
      here = { path, node, query };
      for (const fn of watchers) fn(here, node ? `${node} ${page.title}`.trim() : page.title);
      end = page.render(root, here);
      return;
    }
  }
  here = { path, node: "", query };
  for (const fn of watchers) fn(here, "no such page");
  root.append(h("p", { class: "nothing" }, `There is no page at ${path}. `, h("a", { href: "/" }, "All nodes")));
  end = () => {};
}

/** The node, "" if the pattern has none; null where it is another page. @param {string} pattern @param {string} path */
function match(pattern, path) {
  const [want, have] = [pattern.split("/"), path.split("/")];
  if (want.length !== have.length) return null;
  let node = "";
  for (const [at, part] of want.entries()) {
    if (part === ":node") {
      try {
        node = decodeURIComponent(have[at]);
      } catch {
        return null;
      }
      if (!node) return null;
    } else if (part !== have[at]) return null;
  }
  return node;
}
