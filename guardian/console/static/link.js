/**
 * The one link to the console: it is LIVE while messages come, and STALE as soon as the socket is closed or nothing was
 * heard for {@link QUIET_MS}. The console beats every two seconds, so silence means that what is shown is old. A page with
 * a fault is never LIVE again: nobody knows what of it is still kept up to date.
 */

/** Silence after which nothing on the page is trusted. */
export const QUIET_MS = 8000;
const FIRST_MS = 250;
const LONGEST_MS = 3000;

/** @typedef {{ t: "snap" | "delta" | "rows" | "beat", seq: number, at: number, [key: string]: any }} Message */
/**
 * `fault`: something in this page has failed. `since`: when the last message came, ms of this browser's clock.
 *
 * @typedef {{ live: boolean, fault: boolean, since: number }} State
 */

/** @type {State} */
export const state = { live: false, fault: false, since: Date.now() };

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
/** What was said last: at first nothing, so that a link that is never made is told, too. */
let told = "";

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

/**
 * Call each of them: one that fails keeps no other from hearing, and the page says that it has a fault.
 *
 * @template {unknown[]} T
 * @param {Iterable<(...args: T) => unknown>} fns
 * @param {T} args
 */
export function tell(fns, ...args) {
  for (const fn of fns) {
    try {
      fn(...args);
    } catch (error) {
      console.error(error);
      broken();
    }
  }
}

/** Begin, once. */
export function start() {
  // What fails later, in a timer or after an answer.
  window.addEventListener("error", (event) => ours(event.error) && broken());
  window.addEventListener("unhandledrejection", (event) => ours(event.reason) && broken());
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
    tell(greetings);
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
  tell(readers, message);
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

/** Extensions of browsers fail in pages, too. @param {unknown} error */
function ours(error) {
  return error instanceof Error && Boolean(error.stack?.includes(`${location.origin}/static/`));
}

function broken() {
  state.fault = true;
  turn(false);
}

/** @param {boolean} live */
function turn(live) {
  const now = state.fault ? "fault" : live ? "live" : "stale";
  if (now === told) return;
  told = now;
  state.live = now === "live";
  tell(watchers);
}
