"""``guardlog times NODE...``: how long nodes were in which state, and how long these usually take to complete."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from itertools import chain
from statistics import median
from typing import Any

from guardian.cli.log import prepare, say
from guardian.cli.log.journals import Journals, Record
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.times import shown, span
from guardian.core.durations import StateTimes
from guardian.core.stays import Stay, stays, tells_where
from guardian.core.when import span as how_long
from guardian.host import durations
from guardian.host.alive import alive_stamps
from guardian.host.history import Query, word
from guardian.host.places import DURATIONS

#: A host that was there so lately is there: it says so every few seconds.
_LATELY_S = 15.0
_ABOUT = """\
A line a state: its share of the time, how long in all, how often, how long once (the median), and how long it usually
takes from the entry until it completes, which is what a request waits for. Without --since from the beginning of the
journal."""
_HEAD = ("STATE", "SHARE", "TOTAL", "TIMES", "STAY", "DONE AFTER", "AT MOST")
_NONE = "-"


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _times, about=_ABOUT)
    order.add_argument("nodes", nargs="+", metavar="NODE", help="name of a node")


def _times(options: argparse.Namespace) -> int:
    now = time.time()
    since, until = span(options.since, options.until, now=now, local=options.local)
    journals = Journals(options)
    code = OK
    for number, node in enumerate(dict.fromkeys(options.nodes)):
        found = _stays(journals, node, since, until, now)
        if not found:
            say(
                f"{node} was in no state at that time, as far as this journal knows; is it a node of another host "
                "(--site, --state-dir)?"
            )
            code = FAILED
            continue
        rows = _rows(found, _usual(journals, node))
        if options.json:
            for row in rows:
                print(json.dumps({"node": node, **row}))
        else:
            print("\n" * bool(number) + _table(node, found, rows, local=options.local))
    if journals.damaged:
        say(f"damaged lines that were passed over: {journals.damaged}")
    return code


def _stays(journals: Journals, node: str, since: float | None, until: float | None, now: float) -> list[Stay]:
    alive = sorted(stamp for folder in journals.folders for stamp in alive_stamps(folder))
    if alive and now - alive[-1] < _LATELY_S:
        alive.append(now)

    def mine(record: Record) -> bool:
        return record.get("node") == node and record["kind"] not in ("write", "dropped")

    records = _until(until, journals.records(Query(since=since, words=((word(node),),)), mine))
    if since is not None:
        before = Query(until=since, words=((word(node),),), newest_first=True)
        last = next(journals.records(before, lambda record: mine(record) and tells_where(record)), None)
        records = records if last is None else chain([last], records)
    begin = 0.0 if since is None else since
    return list(stays(records, begin=begin, end=now if until is None else until, alive=alive))


def _until(until: float | None, records: Iterator[Record]) -> Iterator[Record]:
    """Up to a time, and the first one after it."""
    for record in records:
        yield record
        if until is not None and record["stamp"] > until:
            return


def _usual(journals: Journals, node: str) -> dict[str, StateTimes]:
    for folder in journals.folders:
        with contextlib.suppress(OSError, ValueError):
            if found := durations.read(folder / DURATIONS, node):
                return found
    return {}


def _rows(found: list[Stay], usual: dict[str, StateTimes]) -> list[dict[str, Any]]:
    """The states in which it was, those first in which it was longest."""
    each: dict[str, list[float]] = {}
    for stay in found:
        each.setdefault(stay.state, []).append(stay.seconds)
    known_s = sum(map(sum, each.values()))
    rows = []
    for state, spans in sorted(each.items(), key=lambda one: -sum(one[1])):
        done = usual.get(state, StateTimes()).done
        rows.append(
            {
                "state": state,
                "share": round(sum(spans) / known_s, 6),
                "total_s": round(sum(spans), 3),
                "count": len(spans),
                "median_s": round(median(spans), 3),
                "done": {"count": done.count, "usual_s": done.usual_s, "p90_s": done.p90_s, "most_s": done.most_s},
            }
        )
    return rows


def _table(node: str, found: list[Stay], rows: list[dict[str, Any]], *, local: bool) -> str:
    begin, end = found[0].begin, found[-1].end
    cells = [
        (
            str(row["state"]),
            f"{100 * row['share']:.1f} %",
            how_long(row["total_s"]),
            str(row["count"]),
            how_long(row["median_s"]),
            how_long(row["done"]["usual_s"]) if row["done"]["count"] else _NONE,
            how_long(row["done"]["most_s"]) if row["done"]["count"] else _NONE,
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(_HEAD, *cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (_HEAD, *cells)]
    head = f"{node}, from {shown(begin, local)} to {shown(end, local)}"
    away_s = end - begin - sum(stay.seconds for stay in found)
    if away_s >= 1:
        head += f", of which its host was away {how_long(away_s)}"
    return "\n".join([head, *(line.rstrip() for line in lines)])
