"""The orders of ``guardutil``, one idea a file, and what they share: where a module is looked for, and the look at it.

Each file has ``add(orders)``, which defines its orders; :func:`add_order` gives them NODE, --path and --ifo. User code
runs in a process of its own (`guardian.worker.examine`), so nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from guardian.cli.options import add_module_options
from guardian.cli.output import complain
from guardian.core.graph import Graph
from guardian.worker.examine import Examined, examine
from guardian.worker.finding import search_paths

COMMAND = "guardutil"
Orders = Any  #: what ``ArgumentParser.add_subparsers`` returns; argparse has no public name for it


def add_order(
    orders: Orders, name: str, run: Callable[[argparse.Namespace], int], text: str, *, as_json: bool = True
) -> argparse.ArgumentParser:
    """Define the order ``guardutil NAME NODE``, with the options that say where NODE is; `run` gives the exit code."""
    order: argparse.ArgumentParser = orders.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    order.add_argument("node", metavar="NODE", help="name of the system module: NODE.py")
    add_module_options(order, without="$IFO", ifo=os.environ.get("IFO", ""))
    if as_json:
        order.add_argument("--json", action="store_true", help="print facts as JSON")
    order.set_defaults(run=run)
    return order


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


def say(text: str) -> None:
    """What went wrong, in one line on stderr."""
    complain(COMMAND, text)
