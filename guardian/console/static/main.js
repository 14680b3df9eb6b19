/**
 * Where it all begins, and the table of pages.
 */

import { frame } from "./frame.js";
import * as keys from "./keys.js";
import * as link from "./link.js";
import * as code from "./pages/code.js";
import * as events from "./pages/events.js";
import * as graph from "./pages/graph.js";
import * as help from "./pages/help.js";
import * as past from "./pages/history.js";
import * as log from "./pages/log.js";
import * as node from "./pages/node.js";
import * as pvs from "./pages/pvs.js";
import * as states from "./pages/states.js";
import * as tree from "./pages/tree.js";
import * as wall from "./pages/wall.js";
import * as router from "./router.js";
import * as session from "./session.js";
import { wear } from "./theme.js";

/** @type {router.Page[]} */
const PAGES = [
  { path: "/", title: "", render: wall.render },
  { path: "/tree", title: "Tree", render: tree.render },
  { path: "/n/:node", title: "", render: node.render },
  { path: "/n/:node/graph", title: "Graph", render: graph.render },
  { path: "/n/:node/states", title: "States", render: states.render },
  { path: "/n/:node/pvs", title: "PVs", render: pvs.render },
  { path: "/events", title: "Events", render: events.render },
  { path: "/history", title: "History", render: past.render },
  { path: "/log", title: "Log", render: log.render },
  { path: "/n/:node/events", title: "Events", render: events.render },
  { path: "/n/:node/history", title: "History", render: past.render },
  { path: "/n/:node/log", title: "Log", render: log.render },
  { path: "/n/:node/code", title: "Code", render: code.render },
  { path: "/help", title: "Help", render: help.render },
];

wear();
const root = frame();
link.onOpen(session.refresh);
link.start();
keys.listen();
router.start(root, PAGES);
