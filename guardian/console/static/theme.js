/**
 * Light or dark: what the system prefers, until a person says otherwise here.
 */

const KEY = "guardian.theme";
const THEMES = ["system", "light", "dark"];

/** @returns {string} */
export function theme() {
  try {
    return localStorage.getItem(KEY) ?? "system";
  } catch {
    return "system"; // a browser that keeps nothing
  }
}

/** The next of the three; its name. */
export function turn() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // it holds for this page
  }
  wear(next);
  return next;
}

/** @param {string} name */
export function wear(name = theme()) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}
