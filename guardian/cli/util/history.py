"""``guardutil log NODE``: what a node has loaded, when, and who asked for it; the newest first."""

from __future__ import annotations

import argparse
import json

from guardian.cli.orders import Order
from guardian.cli.output import OK
from guardian.cli.times import shown
from guardian.cli.util.archived import add_archive_options, archive_of
from guardian.core.texts import printable
from guardian.errors import ExpectedError

#: How many are shown where nobody says how many.
SHOWN = 20


def define(order: Order) -> None:
    """What it takes."""
    order.add_argument("node", metavar="NODE", help="name of the node")
    order.add_argument("-n", type=int, default=SHOWN, metavar="N", help=f"the newest N (default: {SHOWN}; 0: all)")
    add_archive_options(order)
    order.add_argument("--json", action="store_true", help="print facts as JSON")
    order.set_defaults(run=_log)


def _log(options: argparse.Namespace) -> int:
    if options.n < 0:
        raise ExpectedError(f"-n {options.n}: say how many of the newest are to be shown, or 0 for all")
    commits = archive_of(options).log(options.n)
    if options.json:
        print(json.dumps([commit.facts() for commit in commits]))
    for commit in () if options.json else commits:
        print(f"{commit.short}  {shown(commit.at, False)}  {printable(commit.subject)}")
    return OK
