/**
 * Where it all begins, and the table of pages.
 */

import { frame } from "./frame.js";
import * as keys from "./keys.js";
import * as link from "./link.js";
import * as help from "./pages/help.js";
import * as wall from "./pages/wall.js";
import * as router from "./router.js";
import * as session from "./session.js";
import { wear } from "./theme.js";

/** @type {router.Page[]} */
const PAGES = [
  { path: "/", title: "", render: wall.render },
  { path: "/help", title: "Help", render: help.render },
];

wear();
const root = frame();
link.onOpen(session.refresh);
link.start();
keys.listen();
router.start(root, PAGES);
