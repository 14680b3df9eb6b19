/** All nodes. */

import * as board from "../board.js";
import { arrange, h } from "../dom.js";
import { judge, shape } from "../judge.js";
import { nodePath } from "../router.js";

/** @type {import("../router.js").Render} */
export function render(root) {
  const list = h("div", { class: "cells" });
  root.append(list);
  const draw = () =>
    arrange(list, [...board.cells.values()].map((cell) =>
      h("a", { href: nodePath(cell.node), class: "cell", data: { node: cell.node, stop: "" } }, shape(judge(cell).level), cell.node, " ", cell.state)));
  draw();
  return board.on(draw);
}
