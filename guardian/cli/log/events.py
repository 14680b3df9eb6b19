"""``guardlog events NODE...``: what nodes did, and why: every request, transition, load, error and death.

The newest are read backward from the end of the journals, so it takes no longer when these are large.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import islice

from guardian.cli.log import Orders, WrongCall, add_order, say
from guardian.cli.log.journals import Journals, Record
from guardian.cli.output import OK
from guardian.cli.times import shown, span
from guardian.core.audit import KIND
from guardian.host.history import Query, word, word_like

#: Shown without -n, the newest.
USUAL = 500
#: Records that could not be written are of all nodes.
_DROPPED = "dropped"
_ABOUT = f"""\
A line an event: when, which node, its number (EVENT has the same), what happened, who wanted it. NODE may be a pattern,
in quotes: 'SUS_*'. The newest {USUAL} are shown, or with --since all since then; -n 0 shows all. Writes are shown by
guardlog audit."""


def add(orders: Orders) -> None:
    """Define the order."""
    order = add_order(orders, "events", _events, "show what nodes did, and why", about=_ABOUT)
    order.add_argument("nodes", nargs="+", metavar="NODE", help="name of a node, or a pattern")
    order.add_argument(
        "-n", "--lines", type=int, metavar="N", help=f"the newest N; 0: all ({USUAL}, or all since a time)"
    )
    order.add_argument("--kind", metavar="KIND", help="only these: request, enter, mode, op, load, worker, error, ...")


def _events(options: argparse.Namespace) -> int:
    since, until = span(options.since, options.until, now=time.time(), local=options.local)
    most = options.lines
    if most is None:
        most = 0 if since is not None else USUAL
    if most < 0:
        raise WrongCall(f"-n {most}: say how many of the newest are to be shown, or 0 for all")
    journals, dropped = Journals(options), word(_DROPPED)
    words = (*((word_like(node),) for node in options.nodes), (dropped,))
    query = Query(since=since, until=until, words=words, newest_first=most > 0)
    found: Iterator[Record] = journals.records(query, _wanted(options))
    records = list(islice(found, most + 1)) if most else found
    more = isinstance(records, list) and len(records) > most
    count = 0
    for record in reversed(records[:most]) if isinstance(records, list) else records:
        count += 1
        print(json.dumps(record) if options.json else line_of(record, local=options.local))
    if more:
        say("older ones are not shown; -n N shows more, -n 0 or --since TIME all")
    if not count:
        begin = journals.begin()
        how = "it is empty" if begin is None else f"it begins {shown(begin, options.local)}"
        say(f"no such event is in the journal ({how})")
    if journals.damaged:
        say(f"damaged lines that were passed over: {journals.damaged}")
    return OK


def _wanted(options: argparse.Namespace) -> Callable[[Record], bool]:
    def wanted(record: Record) -> bool:
        kind = record["kind"]
        if kind == KIND:
            return False
        if kind == _DROPPED:
            return not options.kind
        if options.kind and not fnmatchcase(kind, options.kind):
            return False
        return any(fnmatchcase(str(record.get("node")), node) for node in options.nodes)

    return wanted


def line_of(record: Record, *, local: bool = False) -> str:
    """The line for a record."""
    if record["kind"] == _DROPPED:
        told = [
            shown(record["stamp"], local),
            f"{record.get('count', 'some')} records could not be written (a full disk?)",
        ]
    else:
        by = record.get("by") if str(record.get("by")) not in str(record.get("text")) else ""
        told = [shown(record["stamp"], local), f"{record.get('node')} {record.get('id')}", f"{record['kind']}:"]
        told += [str(record.get("text", "")), f"(by {by})" if by else ""]
    text = " ".join(filter(None, told))
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
