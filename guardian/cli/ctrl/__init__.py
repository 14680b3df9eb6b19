"""The orders of ``guardctrl``, one idea a file, and what they share: the options, and how PVs are named.

Most orders are a Channel Access client's: they need no more than the prefix of the PVs, and reach whatever a ``caget``
in the same shell would. Five speak to a host on this machine, through its control socket (`guardian.cli.ctrl.local`).

Each file has ``define(order)`` (`guardian.cli.orders`). The libraries of Channel Access are imported when they are
needed.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guardian.cli.orders import Order
from guardian.cli.output import complain
from guardian.core.names import why_not_ifo, why_not_template
from guardian.errors import ExpectedError

COMMAND = "guardctrl"
ANSWER_S = 2.0


class WrongCall(ExpectedError):
    """The command line, or a file or variable it refers to, cannot be: exit code 2."""


def prepare(order: Order, run: Callable[[argparse.Namespace], int], *, about: str = "", nothing: str = "[]") -> None:
    """What all orders have; `run` gives the exit code. The options that they share may stand behind the order too.

    Parameters
    ----------
    about : what the help of the order says besides. nothing : what --json prints if it fails before there are facts.
    """
    order.tell(about)
    add_shared_options(order, default=argparse.SUPPRESS)
    order.set_defaults(run=run, nothing=nothing)


def add_shared_options(parser: argparse.ArgumentParser, *, default: Any = None) -> None:
    """Those of all orders. `default` SUPPRESS: what was said before the order stays."""
    add_naming(parser, default=default)
    parser.add_argument("--json", action="store_true", default=default or False, help="print facts as JSON")


def add_naming(parser: argparse.ArgumentParser, *, default: Any = None) -> None:
    """How the PVs are named, and where the host is."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--site", type=Path, metavar="FILE", default=default, help="the site file: how PVs are named")
    where.add_argument(
        "--state-dir", type=Path, metavar="DIR", default=default, help="the state directory of a host on this machine"
    )
    parser.add_argument(
        "--ifo", type=_ifo, default=default, help="first part of every PV name (default: the site's, else $IFO)"
    )
    parser.add_argument(
        "--pv", type=_template, metavar="TEMPLATE", default=default, help="how PVs are named (default: the site's)"
    )


def add_nodes(order: argparse.ArgumentParser, *, text: str, least_one: bool = True) -> None:
    """The words that say which nodes are meant."""
    order.add_argument("nodes", nargs="+" if least_one else "*", metavar="NODE", help=text)


def answer_s() -> float:
    """Seconds that connections and answers may take, as for ``caget``.

    Raises
    ------
    WrongCall
    """
    text = os.environ.get("EPICS_CLI_TIMEOUT") or str(ANSWER_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise WrongCall(f"EPICS_CLI_TIMEOUT is {text!r}, which is not a time in seconds")
    return seconds


def seconds(text: str) -> float:
    """A time on the command line."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in seconds")
    return value


def say(text: str) -> None:
    """What went wrong, in one line on stderr."""
    complain(COMMAND, text)


def _ifo(text: str) -> str:
    if why := why_not_ifo(text):
        raise argparse.ArgumentTypeError(why)
    return text


def _template(text: str) -> str:
    if why := why_not_template(text):
        raise argparse.ArgumentTypeError(why)
    return text
