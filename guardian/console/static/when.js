/**
 * Times, as they are written here: UTC on the clock, spans in two figures; "?" for what is no time.
 */

/** Where the dates of browsers end, in epoch seconds. */
const LAST = 8.64e12;

/** @param {number} seconds */
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "?";
  const all = Math.max(0, Math.floor(seconds));
  if (all < 60) return `${all} s`;
  if (all < 3600) return `${Math.floor(all / 60)} min`;
  if (all < 86400) return `${Math.floor(all / 3600)} h ${String(Math.floor((all % 3600) / 60)).padStart(2, "0")}`;
  return `${Math.floor(all / 86400)} d ${Math.floor((all % 86400) / 3600)} h`;
}

/** How long something takes, which may be short. @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.1) return "< 0.1 s";
  return seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds);
}

/** hh:mm:ss in UTC. @param {number} stamp epoch seconds */
export function clock(stamp) {
  return isTime(stamp) ? exact(stamp).slice(11, 19) : "?";
}

/** yyyy-mm-dd hh:mm:ss in UTC; "" for no time at all. @param {number} stamp epoch seconds */
export function date(stamp) {
  if (!isTime(stamp)) return "?";
  return stamp > 0 ? exact(stamp).slice(0, 19).replace("T", " ") : "";
}

/** The clock of today, the date of another day. @param {number} stamp @param {number} now epoch seconds */
export function brief(stamp, now) {
  if (!isTime(stamp)) return "?";
  return date(stamp).slice(0, 10) === date(now).slice(0, 10) ? clock(stamp) : date(stamp).slice(5);
}

/** As programs read it, to the millisecond. @param {number} stamp epoch seconds */
export function exact(stamp) {
  return isTime(stamp) ? new Date(stamp * 1000).toISOString() : "?";
}

/** Whether a browser can write it as a date. @param {number} stamp epoch seconds */
export function isTime(stamp) {
  return Math.abs(stamp) <= LAST;
}
