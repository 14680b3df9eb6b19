"""``guardlog NODE...``: what nodes and their code have said, merged by time, and what they say now (``-f``)."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from datetime import datetime

from guardian.cli.log import WrongCall, prepare, say
from guardian.cli.log.follow import follow
from guardian.cli.log.journals import MOST
from guardian.cli.log.logfiles import places
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.times import shown, span
from guardian.client.records.linefile import WIDTH, Wanted
from guardian.client.records.lines import Reading, epoch_of, level_of, newest, oldest, parts, wanted_lines
from guardian.client.records.logfiles import Place
from guardian.enums import LogLevel
from guardian.host.logline import SHOWN

#: Lines that are shown if nothing is said, and before following.
NEWEST, BEFORE = 500, 10
_ABOUT = """\
NODE may be a pattern, in quotes: 'SUS_*'; HOST is the host itself. The order may be left out: guardlog NODE. Without a
time the newest lines are shown. Lines of several nodes come in the order of their times."""
_COLORS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_PLAIN = "\x1b[0m"


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _log, about=_ABOUT)
    order.add_argument("nodes", nargs="+", metavar="NODE", help="name of a node, a pattern, or HOST")
    order.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    order.add_argument(
        "-n", "--lines", type=_count, metavar="N", help=f"the newest N; 0: all ({NEWEST}, or all since a time)"
    )
    levels = [level.name for level in LogLevel]
    order.add_argument(
        "--level", type=str.upper, choices=levels, metavar="LEVEL", help=f"and what is worse: {', '.join(levels)}"
    )
    order.add_argument("--grep", metavar="RE", help="only lines in which this regular expression is found")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines; 0 means all")
    return min(int(text), MOST)


def _log(options: argparse.Namespace) -> int:
    since, until = span(options.since, options.until, now=time.time(), local=options.local)
    if options.follow and until is not None:
        raise WrongCall("--follow goes on for ever, --until does not; leave out one of them")
    where = places(options)
    found = [(place, files) for place in where for files in place.files(options.nodes).values()]
    if complaint := _unknown(options.nodes, where):
        say(complaint)
        if not found and not options.follow:
            return FAILED
    show = _Shower(local=options.local, as_json=options.json)
    usual = BEFORE if options.follow else NEWEST
    most = options.lines if options.lines is not None else usual if (since, until) == (None, None) else 0

    faults: list[OSError] = []

    def fault(error: OSError) -> None:
        faults.append(error)
        say(f"{error.filename or 'a file'}: {error.strerror}; it is read as far as it can be")

    def first(reading: list[Reading]) -> Iterable[bytes]:
        return reversed(list(itertools.islice(newest(reading, fault), most))) if most else oldest(reading, fault)

    if options.follow:
        follow(where, options.nodes, lambda place: _wanted(options, place, since, until), first, show)
    reading = [(files, _wanted(options, place, since, until)) for place, files in found]
    if show.all(first(reading)) == 0:
        if faults:
            return FAILED
        say(_none(reading, options))
    return OK


def _wanted(options: argparse.Namespace, place: Place, since: float | None, until: float | None) -> Wanted:
    """What is asked of lines.

    Raises
    ------
    WrongCall
    """
    try:
        return wanted_lines(
            place,
            options.nodes,
            since=since,
            until=until,
            level=LogLevel[options.level or LogLevel.DEBUG.name],
            grep=options.grep,
        )
    except (re.error, RecursionError, OverflowError) as error:
        raise WrongCall(f"--grep {options.grep!r} is no regular expression: {error}") from None


def _unknown(patterns: list[str], where: list[Place]) -> str:
    """What is said of names that no log has."""
    missing = [name for name in patterns if not any(place.files([name]) for place in where)]
    if not missing:
        return ""
    there = [node for place in where for node in place.nodes()]
    names = ", ".join(there[:20]) + (" ..." if len(there) > 20 else "") or "none"
    return f"no log of {', '.join(missing)} in {', '.join(map(str, where[:3]))}; there are {names}"


def _none(reading: list[Reading], options: argparse.Namespace) -> str:
    everything = oldest([(files, Wanted()) for files, _ in reading], lambda _: None)
    first = next((at for line in everything if (at := epoch_of(line)) is not None), None)
    begins = "it is empty" if first is None else f"it begins {shown(first, options.local)}"
    return f"no such line is in the log ({begins})"


class _Shower:
    """Prints lines, as they are or as JSON; on a terminal with colours for what is bad."""

    def __init__(self, *, local: bool, as_json: bool) -> None:
        self._local = local
        self._json = as_json
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self._colors = _COLORS if terminal and not as_json else {}

    def all(self, lines: Iterable[bytes]) -> int:
        """Print these; how many they were."""
        count = 0
        for line in lines:
            print(self._text(line))
            count += 1
        sys.stdout.flush()
        return count

    def _text(self, line: bytes) -> str:
        if self._json:
            return self._object(line)
        text = line.decode("utf-8", "backslashreplace")
        text = text if text.isprintable() else text.translate(SHOWN)
        if self._local and (stamp := epoch_of(line)) is not None:
            with contextlib.suppress(ValueError, OverflowError):  # the last hours of the year 9999
                at = datetime.fromtimestamp(stamp).astimezone()
                text = f"{at.strftime('%Y-%m-%d_%H:%M:%S.%f%z')}{text[WIDTH:]}"
        color = self._colors.get(level_of(line)) if self._colors else None
        return text if color is None else f"{color}{text}{_PLAIN}"

    def _object(self, line: bytes) -> str:
        told = parts(line)
        return json.dumps(
            {
                "stamp": told.stamp,
                "time": told.time,
                "node": told.node,
                "context": told.context,
                "level": told.level,
                "text": told.text,
            }
        )
