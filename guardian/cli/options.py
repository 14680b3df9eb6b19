"""The options that say which module is meant and how it is named: those of every command that takes a NODE. Light."""

from __future__ import annotations

import argparse

from guardian.core.names import why_not_ifo


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


def _ifo(text: str) -> str:
    if why := why_not_ifo(text):
        raise argparse.ArgumentTypeError(why)
    return text
