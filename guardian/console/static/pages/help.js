/** What the marks mean, and the keys. */

import { h } from "../dom.js";
import { badge } from "../judge.js";
import { KEYS } from "../keys.js";

/** @type {[import("../judge.js").Level, string, string][]} */
const MARKS = [
  ["invalid", "no answer", "nobody serves the node, or its values are no longer known"],
  ["major", "major alarm", "an error, a channel that is lost, a worker that died: it needs somebody now"],
  ["minor", "minor alarm", "stalled, settled away from its nominal state, or it has a message for its operator"],
  ["hand", "held by hand", "paused, stopped, or in mode MANUAL: somebody did that on purpose"],
  ["way", "not OK, no alarm", "on the way to its request, or it has no nominal state"],
  ["ok", "OK", "where it shall be; grey, since nothing is to be seen"],
];

/** @type {import("../router.js").Render} */
export function render(root) {
  const keys = KEYS.map(([key, does]) => h("tr", {}, h("td", {}, ...key.split("  ").map((one) => h("kbd", {}, one))), h("td", {}, does)));
  const marks = MARKS.map(([level, word, means]) => h("tr", {}, h("td", {}, badge(level, word)), h("td", {}, means)));
  root.append(
    h("div", { class: "help" },
      h("h1", {}, "Help"),
      h("h2", {}, "Marks"),
      h("table", {}, h("tbody", {}, ...marks)),
      h("h2", {}, "Keys"),
      h("table", {}, h("tbody", {}, ...keys)),
      h("h2", {}, "What is shown"),
      h("p", {}, "The console is a Channel Access client: it shows what the nodes say, and no node needs it. While LIVE stands on top, ",
        "a change is seen here within a fraction of a second. STALE means that the console itself does not answer: everything on ",
        "the page is old then, whatever it looks like. FAULT means that the page itself has failed: load it anew."),
      h("p", {}, "All times are UTC. Persons and machines beside a write are what the client claimed; only addresses are facts."),
    ),
  );
  return () => {};
}
