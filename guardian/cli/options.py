"""The options of every command that takes a NODE: which module is meant, how it is named; and of those that run it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from guardian.core.names import why_not_ifo
from guardian.errors import ExpectedError
from guardian.host.places import MAX_PORT


def add_module_options(parser: argparse.ArgumentParser, *, without: str, ifo: str | None = None) -> None:
    """Define --ifo and --path.

    Parameters
    ----------
    ifo : what --ifo is if it is not given; checked as if it had been. without : the same for the help.
    """
    parser.add_argument("--ifo", type=_ifo, default=ifo, help=f"first part of every PV name (default: {without})")
    parser.add_argument(
        "--path", action="append", default=[], metavar="DIR", help="folder with modules; may be repeated"
    )


def add_host_options(parser: argparse.ArgumentParser, *, ifo: str = "$IFO") -> None:
    """The options that every command which runs a host has; `ifo` says what counts without --ifo."""
    add_module_options(parser, without=ifo)
    parser.add_argument(
        "--port", type=_port, help="Channel Access port; 0: any free one (default: 5064, or a free one)"
    )
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where settings and journal are kept")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write the log there, not on standard output")
    parser.add_argument(
        "--acf", type=Path, metavar="FILE", help="who may write: an EPICS access security file (default: this machine)"
    )
    parser.add_argument("--fresh", action="store_true", help="start without the settings of the last run")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, use 0 to {MAX_PORT}")
    return int(text)


def ifo_of(options: argparse.Namespace) -> str:
    """What the command line says, else $IFO.

    Raises
    ------
    ExpectedError
    """
    ifo: str = os.environ.get("IFO", "") if options.ifo is None else options.ifo
    if why := why_not_ifo(ifo):
        raise ExpectedError(f"$IFO: {why}")
    return ifo


def _ifo(text: str) -> str:
    if why := why_not_ifo(text):
        raise argparse.ArgumentTypeError(why)
    return text
