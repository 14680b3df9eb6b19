"""``guardlog times NODE...``: how long nodes were in which state, and how long these usually take to complete."""

from __future__ import annotations

import argparse
import json
import time
from statistics import median
from typing import Any

from guardian.cli.log import prepare, say
from guardian.cli.log.journals import journals_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.times import shown, span
from guardian.client.records.stays import Stays, usual_times
from guardian.core.durations import StateTimes
from guardian.core.stays import Stay
from guardian.core.when import span as how_long

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
    journals = journals_of(options)
    code = OK
    for number, node in enumerate(dict.fromkeys(options.nodes)):
        found = [stay for _, stay in Stays(journals, [node], since=since, until=until, now=now)]
        if not found:
            say(
                f"{node} was in no state at that time, as far as this journal knows; is it a node of another host "
                "(--site, --state-dir)?"
            )
            code = FAILED
            continue
        rows = _rows(found, usual_times(journals.folders, node))
        if options.json:
            for row in rows:
                print(json.dumps({"node": node, **row}))
        else:
            print("\n" * bool(number) + _table(node, found, rows, local=options.local))
    if journals.damaged:
        say(f"damaged lines that were passed over: {journals.damaged}")
    return code


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
