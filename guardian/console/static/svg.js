/**
 * A drawing by dot, taken over piece by piece: only what is listed here comes into the page.
 */

import { s } from "./dom.js";

const ELEMENTS = new Set(["svg", "g", "path", "polygon", "polyline", "ellipse", "circle", "rect", "line", "text", "tspan"]);
const ATTRIBUTES = new Set([
  "id", "class", "viewBox", "transform", "d", "points", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "width",
  "height", "fill", "stroke", "stroke-width", "stroke-dasharray", "text-anchor", "font-family", "font-size", "font-weight",
]);
const SVG = "http://www.w3.org/2000/svg";

/** The drawing; null if it is none. @param {string} text @returns {SVGSVGElement | null} */
export function read(text) {
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (root.namespaceURI !== SVG || root.localName !== "svg") return null;
  const taken = s("svg");
  take(root, taken);
  return taken;
}

/** @param {Element} from @param {SVGElement} to */
function take(from, to) {
  for (const { name, value } of from.attributes) if (ATTRIBUTES.has(name)) to.setAttribute(name, value);
  for (const child of from.childNodes) {
    if (child instanceof Text) to.append(child.data);
    else if (child instanceof Element && child.namespaceURI === SVG) {
      // A link only groups what it is about, and is taken as a group.
      const name = child.localName === "a" ? "g" : child.localName;
      if (!ELEMENTS.has(name)) continue;
      const made = s(/** @type {"g"} */ (name));
      take(child, made);
      to.append(made);
    }
  }
}
