"""``guardlog audit NODE...``: who wrote what on the PVs of nodes, and what was refused."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from fnmatch import fnmatchcase

from guardian.cli.log import WrongCall, prepare, say
from guardian.cli.log.journals import add_count, how_many, journals_of, newest
from guardian.cli.orders import Order
from guardian.cli.output import OK
from guardian.cli.times import shown, span
from guardian.client.records.journals import Record
from guardian.client.records.telling import DROPPED, visible, write_words
from guardian.core.who import WRITE
from guardian.host.history import Query, word, word_like

#: Shown without -n, the newest.
USUAL = 500
#: What is counted is written so much later than it began, at most; seconds.
_COUNTED_S = 120.0

_ABOUT = f"""\
A line a write: when, which PV, the value before and the one that was written, who. User and host are what the client
says of itself, the address is where it really came from. NODE may be a pattern, in quotes: 'SUS_*'; without one, all
nodes. The newest {USUAL} are shown, or with --since all since then; -n 0 shows all."""


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _audit, about=_ABOUT)
    order.add_argument("nodes", nargs="*", metavar="NODE", help="name of a node, or a pattern (default: all)")
    add_count(order, USUAL)
    order.add_argument("--refused", action="store_true", help="only what was refused")
    order.add_argument("--user", metavar="WHO", help="only of this user, or of the person behind it; or a pattern")
    order.add_argument("--pv", metavar="PV", help="only this PV: MODE, or its whole name; or a pattern")


def _audit(options: argparse.Namespace) -> int:
    since, until = span(options.since, options.until, now=time.time(), local=options.local)
    for option in ("user", "pv"):
        if getattr(options, option) == "":
            raise WrongCall(f"--{option} is empty")
    most = how_many(options, USUAL, since)
    journals, wanted, dropped = journals_of(options), _filter(options, until), 0

    def looks(record: Record) -> bool:
        nonlocal dropped
        if record["kind"] == DROPPED:
            dropped += record["count"] if isinstance(record.get("count"), int) else 1
        try:
            return bool(record["kind"] == WRITE) and wanted(record) and bool(line_of(record))
        except (KeyError, TypeError, AttributeError):
            journals.damaged += 1
            return False

    query = Query(
        since=since,
        until=None if until is None else until + _COUNTED_S,
        words=(*((word(WRITE), word_like(node)) for node in options.nodes or ["*"]), (word(DROPPED),)),
        newest_first=most > 0,
    )
    found = 0
    records, more = newest(journals.records(query, looks), most)
    for record in records:
        found += 1
        print(json.dumps(record) if options.json else line_of(record, local=options.local))
    if more:
        say(more)
    for node in options.nodes:
        if not any(letter in node for letter in "*?[") and not journals.knows(node, since, until):
            say(f"{node} is not in this journal at that time; is it a node of another host (--site, --state-dir)?")
    if not found:
        begin = journals.begin()
        how = "it is empty" if begin is None else f"it begins {shown(begin, options.local)}"
        say(f"no such write is in the journal ({how})")
    if dropped:
        say(f"records are missing that could not be written (a full disk?), and some may be writes: {dropped}")
    if journals.damaged:
        say(f"damaged lines that were passed over: {journals.damaged}")
    return OK


def _filter(options: argparse.Namespace, until: float | None) -> Callable[[Record], bool]:
    def wanted(record: Record) -> bool:
        begin: float = record["since"] if "since" in record else record["stamp"]
        if until is not None and begin > until:
            return False
        if options.nodes and not _any_is(options.nodes, record["node"]):
            return False
        if options.refused and record["taken"]:
            return False
        if options.user and not any(fnmatchcase(record.get(key, ""), options.user) for key in ("user", "person")):
            return False
        names = (record["row"], record["pv"], f"{record['node']}_{record['row']}")
        return not options.pv or any(fnmatchcase(name, options.pv) for name in names)

    return wanted


def _any_is(patterns: list[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def line_of(record: Record, *, local: bool = False) -> str:
    """The line for a record.

    Raises
    ------
    KeyError, TypeError, AttributeError
        It is none of a write.
    """
    return visible(f"{shown(record['stamp'], local)} {write_words(record, lambda stamp: shown(stamp, local))}")
