"""The look at a system module: which is meant, where it is looked for, and what is in it.

User code runs in a process of its own (`guardian.worker.examine`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from guardian.cli.options import add_module_options
from guardian.cli.orders import Order
from guardian.core.graph import Graph
from guardian.worker.examine import Examined, examine
from guardian.worker.finding import search_paths


def takes_node(order: Order, run: Callable[[argparse.Namespace], int], *, as_json: bool = True) -> None:
    """The order takes a NODE, and the options that say where that is; `run` gives the exit code."""
    order.add_argument("node", metavar="NODE", help="name of the system module: NODE.py")
    add_module_options(order, without="$IFO", ifo=os.environ.get("IFO", ""))
    if as_json:
        order.add_argument("--json", action="store_true", help="print facts as JSON")
    order.set_defaults(run=run)


def paths_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The folders in which NODE is looked for, as ``guardian NODE`` does."""
    return search_paths(options.path, ifo=options.ifo) or (os.getcwd(),)


def look(options: argparse.Namespace) -> Examined:
    """Load NODE in a process of its own.

    Raises
    ------
    SystemLoadError
    """
    return examine(options.node, paths_of(options), ifo=options.ifo, site=os.environ.get("SITE", ""))


def graph_of(options: argparse.Namespace) -> Graph:
    """The graph of NODE, loaded in a process of its own.

    Raises
    ------
    SystemLoadError
    """
    facts = look(options).facts
    return Graph.build(facts.states, facts.edges)
