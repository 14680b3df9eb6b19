"""``guardctrl status NODE...``: all of a node on one screen. ``guardctrl why [NODE...]``: the sentence alone.

Without a node ``status`` shows a host on this machine and its nodes, see `guardian.cli.ctrl.overview`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from guardian.cli.ctrl import add_nodes, prepare, say
from guardian.cli.ctrl.find import chosen
from guardian.cli.ctrl.listing import facts_of, named, silent, tell_silent
from guardian.cli.ctrl.names import names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.client.names import Names
from guardian.core.facts import Facts
from guardian.core.when import clock
from guardian.errors import ExpectedError
from guardian.host.claim import parse

#: What a screen shows beside SUMMARY and WHY.
_ROWS = (
    "NOMINAL", "STATE_TIME", "USERMSG", "GRDMSG", "LOAD_STATUS", "REQUEST_BY", "EXECTIME", "KILLS", "HOST",
    "SUBNODES_TOTAL", "SUBNODES_NOT_OK", "ARCHIVE_ID", "CODE_CHANGED",
)  # fmt: skip

_ABOUT = """\
Without NODE: a host on this machine and its nodes, a line each, without Channel Access; of --site or --state-dir, else
those of --ifo or $IFO; of several hosts, one line each."""


def define(order: Order) -> None:
    """What each takes."""
    if order.name == "status":
        prepare(order, _status, about=_ABOUT)
    else:
        prepare(order, _why, about="Without NODE: of all nodes that are found, those not OK.")
    add_nodes(order, text="name of a node, or a pattern: SUS_*", least_one=False)


def _why(options: argparse.Namespace) -> int:
    names = names_of(options)
    every = facts_of(named(options.nodes, names), names, searched=not options.nodes)
    tell_silent(every, names)
    shown = [facts for facts in every if options.nodes or not facts.ok]
    if options.json:
        print(json.dumps([{"node": f.node, "ok": f.ok, "why": "" if f.ok else f.reason} for f in shown]))
    elif not shown:
        print(f"all {len(every)} nodes are OK")
    else:
        for facts in shown:
            print(f"{facts.node}: {facts.reason}")
    return OK if all(facts.there for facts in every) else FAILED


def _status(options: argparse.Namespace) -> int:
    if not options.nodes:
        options.nothing = "{}"
        from guardian.cli.ctrl.overview import overview

        return overview(options)
    from guardian.cli.ctrl.remote import connect
    from guardian.client.ca import Session

    names = names_of(options)
    code, told = OK, []
    remotes = connect(Session(), chosen(options.nodes, names), names, _ROWS)
    if missing := [remote.node for remote in remotes if not remote.there]:
        say(silent(missing, names))
        code = FAILED
    for remote in remotes:
        if remote.node in missing:
            continue
        try:
            facts, rows = remote.facts(), {row: remote.text(row) for row in _ROWS}
        except ExpectedError as error:
            say(str(error))
            code = FAILED
            continue
        told.append({**facts.as_dict(), **{row.lower(): text for row, text in rows.items()}})
        if not options.json:
            print(*([""] if len(told) > 1 else []), *_screen(facts, rows, names), sep="\n")
    if options.json:
        print(json.dumps(told))
    return code


def _screen(facts: Facts, rows: dict[str, str], names: Names) -> Iterator[str]:
    def line(head: str, *parts: str) -> str:
        return f"  {head:8}  {', '.join(part for part in parts if part)}".rstrip()

    yield f"{names.pv(facts.node, '').rstrip('_:.')}  at {facts.where}"
    yield line("OK", "yes" if facts.ok else f"no: {facts.reason}")
    yield line("STATE", facts.state, _since(rows["STATE_TIME"]))
    yield line("REQUEST", facts.request, _by(rows["REQUEST_BY"]))
    yield line("TARGET", facts.target, "STALLED" if facts.stalled else "")
    yield line("STATUS", facts.status, _seconds("a call takes", rows["EXECTIME"]))
    yield line("NOMINAL", rows["NOMINAL"])
    yield line("MODE", facts.mode, f"manager {facts.manager}" if facts.manager else "")
    yield line("OP", facts.op, f"worker {facts.worker}" if facts.worker else "", _killed(rows["KILLS"]))
    yield line("LOAD", rows["LOAD_STATUS"], rows["ARCHIVE_ID"], _edited(facts.node, rows["CODE_CHANGED"]))
    yield line("ERROR", facts.error if facts.error != "NONE" else "none", *facts.connect)
    if total := int(_number(rows["SUBNODES_TOTAL"])):
        yield line("NODES", f"{total}, of which {int(_number(rows['SUBNODES_NOT_OK']))} not OK; see guardctrl tree")
    for row in ("USERMSG", "GRDMSG"):
        if rows[row]:
            yield line(row, rows[row])
    if claim := parse(rows["HOST"]):
        yield line("HOST", str(claim))


def _since(epoch: str) -> str:
    with_age = _number(epoch)
    if not with_age:
        return ""
    return f"since {clock(with_age)} ({_long(max(0.0, time.time() - with_age))})"


def _long(seconds: float) -> str:
    """A duration, in its two largest units."""
    whole = int(seconds)
    for unit, size, next_unit, next_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // next_size} {next_unit}"
    return f"{whole} s"


def _by(who: str) -> str:
    return f"by {who}" if who else ""


def _seconds(words: str, text: str) -> str:
    return f"{words} {text} s" if _number(text) >= 1 else ""


def _edited(node: str, changed: str) -> str:
    return f"changed on disk since: guardutil diff {node}" if changed in ("True", "1") else ""


def _killed(text: str) -> str:
    count = int(_number(text))
    return f"{count} workers killed" if count else ""


def _number(text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
