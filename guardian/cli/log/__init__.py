"""The orders of ``guardlog``, one idea a file, and what they share: which hosts are meant, and which time.

Each file has ``define(order)`` (`guardian.cli.orders`). They read files, so they need no host that runs and no Channel
Access, and disturb nobody.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guardian.cli.orders import Order
from guardian.cli.output import WrongCall, complain

__all__ = ["COMMAND", "WrongCall", "add_shared_options", "allow_many_files", "prepare", "say"]

COMMAND = "guardlog"


def prepare(order: Order, run: Callable[[argparse.Namespace], int], *, about: str) -> None:
    """What all orders have; `run` gives the exit code, `about` is what the help of the order says besides."""
    order.tell(about)
    add_shared_options(order, default=argparse.SUPPRESS)
    order.add_argument(
        "--since", metavar="TIME", help="02:00 (the last one), 2026-11-28, '2026-11-28 02:00', 2h, 30m, 1d; UTC"
    )
    order.add_argument("--until", metavar="TIME", help="the same")
    order.add_argument("--local", action="store_true", help="all times are those of this machine, not UTC")
    order.add_argument("--json", action="store_true", help="print one JSON object a line")
    order.set_defaults(run=run)


def add_shared_options(parser: argparse.ArgumentParser, *, default: Any = None) -> None:
    """Which hosts. `default` SUPPRESS: what was said before the order stays."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--site", type=Path, metavar="FILE", default=default, help="the site file of the host")
    where.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        default=default,
        help="its state directory (default: all hosts of this machine)",
    )


def allow_many_files() -> None:
    """Let as many files be open as may be: some hosts have many nodes, some users many hosts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def say(text: str) -> None:
    """What went wrong, in one line on stderr."""
    complain(COMMAND, text)
