"""The journals that a command line means, and how many of their records."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from guardian.cli.log import WrongCall, say
from guardian.cli.state_dirs import looked_in, state_dirs
from guardian.client.records.journals import Journals, Record
from guardian.errors import ExpectedError

#: Nobody has more lines.
MOST = 10**15


def journals_of(options: argparse.Namespace) -> Journals:
    """The journals that are meant.

    Raises
    ------
    WrongCall
        There is no such site file.
    ExpectedError
        There is nothing to read.
    """
    return Journals(_folders(options), say)


def add_count(order: argparse.ArgumentParser, usual: int) -> None:
    """The option that says how many are shown."""
    order.add_argument(
        "-n", "--lines", type=int, metavar="N", help=f"the newest N; 0: all ({usual}, or all since a time)"
    )


def how_many(options: argparse.Namespace, usual: int, since: float | None) -> int:
    """How many of the newest are meant; 0: all.

    Raises
    ------
    WrongCall
    """
    most: int = options.lines if options.lines is not None else usual if since is None else 0
    if most < 0:
        raise WrongCall(f"-n {most}: say how many of the newest are to be shown, or 0 for all")
    return min(most, MOST)


def newest(records: Iterator[Record], most: int) -> tuple[Iterable[Record], str]:
    """As many as are meant, the oldest first; and what to say if there are more, else "".

    Parameters
    ----------
    records : the newest first, if not all are meant (`most` 0).
    """
    if not most:
        return records, ""
    found = list(islice(records, most + 1))
    more = "older ones are not shown; -n N shows more, -n 0 or --since TIME all" if len(found) > most else ""
    return reversed(found[:most]), more


def _folders(options: argparse.Namespace) -> list[Path]:
    """The state directories that are meant."""
    if options.site:
        from guardian.host.site import read_site

        try:
            return [read_site(options.site).state_dir]
        except ExpectedError as error:
            raise WrongCall(str(error)) from None
    if options.state_dir:
        return [options.state_dir]
    folders = state_dirs()
    if not folders:
        raise ExpectedError(f"no host has run here (in {looked_in()}); give --site or --state-dir")
    return folders
