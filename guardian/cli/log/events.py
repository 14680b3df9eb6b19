"""``guardlog events NODE...``: what nodes did, and why: every request, transition, load, error and death.

The newest are read backward from the end of the journals, so it takes no longer when these are large.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from fnmatch import fnmatchcase

from guardian.cli.log import prepare, say
from guardian.cli.log.journals import add_count, how_many, journals_of, newest
from guardian.cli.orders import Order
from guardian.cli.output import OK
from guardian.cli.times import shown, span
from guardian.client.records.journals import Record
from guardian.client.records.telling import DROPPED, event_words, visible
from guardian.core.who import WRITE
from guardian.host.history import Query, word, word_like

#: Shown without -n, the newest.
USUAL = 500
_ABOUT = f"""\
A line an event: when, which node, its number (EVENT has the same), in which state, what happened, who wanted it. NODE
may be a pattern, in quotes: 'SUS_*'. The newest {USUAL} are shown, or with --since all since then; -n 0 shows all.
Writes are shown by guardlog audit."""


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _events, about=_ABOUT)
    order.add_argument("nodes", nargs="+", metavar="NODE", help="name of a node, or a pattern")
    add_count(order, USUAL)
    order.add_argument("--kind", metavar="KIND", help="only these: request, enter, mode, op, load, worker, error, ...")


def _events(options: argparse.Namespace) -> int:
    since, until = span(options.since, options.until, now=time.time(), local=options.local)
    most = how_many(options, USUAL, since)
    journals, dropped = journals_of(options), word(DROPPED)
    words = (*((word_like(node),) for node in options.nodes), (dropped,))
    query = Query(since=since, until=until, words=words, newest_first=most > 0)
    records, more = newest(journals.records(query, _wanted(options)), most)
    count = 0
    for record in records:
        count += 1
        print(json.dumps(record) if options.json else line_of(record, local=options.local))
    if more:
        say(more)
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
        if kind == WRITE:
            return False
        if kind == DROPPED:
            return not options.kind
        if options.kind and not fnmatchcase(kind, options.kind):
            return False
        return any(fnmatchcase(str(record.get("node")), node) for node in options.nodes)

    return wanted


def line_of(record: Record, *, local: bool = False) -> str:
    """The line for a record."""
    told = [shown(record["stamp"], local)]
    if record["kind"] != DROPPED:
        told += [f"{record.get('node')} {record.get('id')}", f"[{record['state']}]" if "state" in record else ""]
        told += [f"{record['kind']}:"]
    return visible(" ".join(filter(None, (*told, event_words(record)))))
