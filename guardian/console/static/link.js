/**
 * The one link to the console: it is LIVE while messages come, and STALE as soon as the socket is closed or nothing was
 * heard for {@link QUIET_MS}. The console beats every two seconds, so silence means that what is shown is old.
 */

/** Silence after which nothing on the page is trusted. */
export const QUIET_MS = 8000;
const FIRST_MS = 250;
const LONGEST_MS = 3000;

/** @typedef {{ t: "snap" | "delta" | "rows" | "beat", seq: number, at: number, [key: string]: any }} Message */
/** @typedef {{ live: boolean, since: number }} State `since`: when the last message came, ms of this browser's clock. */

/** @type {State} */
export const state = { live: false, since: Date.now() };

/** @type {Set<(message: Message) => void>} */
const readers = new Set();
/** @type {Set<() => void>} */
const watchers = new Set();
/** @type {WebSocket | null} */
let socket = null;
let wait_ms = FIRST_MS;
let timer = 0;
let heard = performance.now();
let ahead_s = 0;
/** What was said last: at first nothing, so that a link that is never made is told, too. @type {boolean | null} */
let told = null;

/** What is said when the link has come back. @type {Set<() => unknown>} */
const greetings = new Set();

/** Seconds since the epoch, by the console's clock. */
export function now() {
  return Date.now() / 1000 + ahead_s;
}

/** Hear each message. @param {(message: Message) => void} fn */
export function onMessage(fn) {
  readers.add(fn);
}

/** Hear of each turn between LIVE and STALE. @param {() => void} fn @returns {() => void} ends that */
export function onTurn(fn) {
  watchers.add(fn);
  return () => watchers.delete(fn);
}

/** Say this each time that the link is made. @param {() => unknown} fn */
export function onOpen(fn) {
  greetings.add(fn);
}

/** Say something, if somebody listens. @param {unknown} message */
export function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

/** Begin, once. */
export function start() {
  connect();
  window.setInterval(look, 500);
  // Browsers slow down the timers of pages that are not seen: look before anybody else does.
  document.addEventListener("visibilitychange", look);
}

function connect() {
  window.clearTimeout(timer);
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const made = new WebSocket(`${scheme}//${location.host}/feed`);
  socket = made;
  heard = performance.now();
  made.addEventListener("open", () => {
    for (const greet of greetings) greet();
  });
  made.addEventListener("message", (event) => {
    if (made === socket) take(/** @type {Message} */ (JSON.parse(event.data)));
  });
  made.addEventListener("close", () => {
    if (made === socket) lost();
  });
}

/** @param {Message} message */
function take(message) {
  heard = performance.now();
  state.since = Date.now();
  ahead_s = message.at - state.since / 1000;
  wait_ms = FIRST_MS;
  for (const read of readers) read(message);
  turn(true);
}

function look() {
  if (performance.now() - heard > QUIET_MS) {
    socket?.close();
    lost();
  }
}

function lost() {
  socket = null;
  heard = Infinity; // nothing is waited for before the next try
  turn(false);
  window.clearTimeout(timer);
  timer = window.setTimeout(connect, wait_ms);
  wait_ms = Math.min(wait_ms * 2, LONGEST_MS);
}

/** @param {boolean} live */
function turn(live) {
  if (live === told) return;
  told = live;
  state.live = live;
  for (const fn of watchers) fn();
}
