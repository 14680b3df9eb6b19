/**
 * Elements, made of text only: nothing that a node says is ever read as HTML.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */
/**
 * @typedef {{
 *   class?: string, on?: Record<string, (event: any) => void>, data?: Record<string, string>,
 *   [attribute: string]: unknown }} Props
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Attributes that are false, null or undefined are left out, those that are true stand without a value.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  equip(element, props, children);
  return element;
}

/**
 * The same, of a drawing.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  equip(element, props, children);
  return element;
}

/** @param {HTMLElement | SVGElement} element @param {Props} props @param {Child[]} children */
function equip(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, handler] of Object.entries(props.on ?? {})) element.addEventListener(event, handler);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  append(element, ...children);
}

/** @param {Element | DocumentFragment} element @param {...Child} children */
export function append(element, ...children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
}

/** Put these in place of what is there. @param {Element} element @param {...Child} children */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, ...children);
}

/** Touch the text only where it differs; the node that holds it stays. @param {Node} element @param {string} text */
export function say(element, text) {
  const held = element.firstChild;
  if (held instanceof Text && !held.nextSibling) {
    if (held.data !== text) held.data = text;
  } else if (held || text) element.textContent = text;
}

/** Set or take away an attribute, where it differs. @param {Element} element @param {string} name @param {string | null} value */
export function mark(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * Bring the children of an element into this order, and move no more of them than need be. What has the focus keeps it.
 *
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const focus = /** @type {HTMLElement | null} */ (parent.contains(document.activeElement) ? document.activeElement : null);
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  if (focus && focus !== document.activeElement && parent.contains(focus)) focus.focus({ preventScroll: true });
}

/**
 * A function that runs `work` at once, and at most once in so many milliseconds.
 *
 * @param {number} pause_ms
 * @param {() => void} work
 * @returns {{ (): void, stop: () => void }}
 */
export function paced(pause_ms, work) {
  let timer = 0;
  let again = false;
  const run = () => {
    if (timer) {
      again = true;
      return;
    }
    timer = window.setTimeout(() => {
      timer = 0;
      if (again) {
        again = false;
        run();
      }
    }, pause_ms);
    work();
  };
  run.stop = () => {
    window.clearTimeout(timer);
    timer = 0;
    again = false;
  };
  return run;
}
