/**
 * What is asked of the console beside the link. An error is a sentence for the person who asked.
 */

/** What went wrong, as it is shown. `status`: of HTTP, 0 if nobody answered. `answer`: all that was said. */
export class ApiError extends Error {
  /** @param {number} status @param {string} says @param {Record<string, any>} [answer] */
  constructor(status, says, answer = {}) {
    super(says);
    this.status = status;
    this.answer = answer;
  }
}

/** Of the session; see session.js. @type {{ csrf: string | null }} */
export const secret = { csrf: null };

/**
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} [query] empty ones are left out
 * @returns {Promise<any>}
 */
export async function get(path, query = {}) {
  return (await fetched(address(path, query), {})).json();
}

/** The same, of what is no JSON. @param {string} path @param {Record<string, string | number | null | undefined>} [query] */
export async function text(path, query = {}) {
  return (await fetched(address(path, query), {})).text();
}

/** @param {string} path @param {unknown} [body] @returns {Promise<any>} */
export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json", "X-Guardian-CSRF": secret.csrf ?? "" };
  return (await fetched(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** The address of a node's part of the API. @param {string} node @param {string} [part] */
export function ofNode(node, part = "") {
  return `/api/nodes/${encodeURIComponent(node)}${part && `/${part}`}`;
}

/** @param {string} path @param {Record<string, string | number | null | undefined>} query */
function address(path, query) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") words.set(name, String(value));
  }
  const text = words.toString();
  return text ? `${path}?${text}` : path;
}

/** @param {string} path @param {RequestInit} how */
async function fetched(path, how) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...how });
  } catch {
    throw new ApiError(0, "The console does not answer. Nothing is known of what became of this; try again.");
  }
  if (response.ok) return response;
  const answer = await spoken(response);
  const says = `${path.split("?")[0]}: the console answered ${response.status} ${response.statusText}`.trim();
  throw new ApiError(response.status, typeof answer.error === "string" && answer.error ? answer.error : says, answer);
}

/** The answer of a console, or of somebody between it and us. @param {Response} response @returns {Promise<Record<string, any>>} */
async function spoken(response) {
  try {
    return Object(await response.json());
  } catch {
    return {};
  }
}

/** What went wrong, as a sentence. @param {unknown} error @returns {string} */
export function told(error) {
  return error instanceof Error ? error.message : String(error);
}
