"""``guardutil setpoints NODE``: what the code of a running node has set, what is there now, and since when.

The only order of ``guardutil`` that speaks to a node: over Channel Access, so it may run anywhere. It shows what the
set-point monitor of the node has found, and asks no other channel. Exit code 0: all is as it was set, or nothing is
set; 1: something is not, or nobody has looked; 2: a wrong call, or the node does not answer.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from guardian.cli.ctrl import add_shared_options
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.util import say
from guardian.core.documents import read_rows
from guardian.core.setpoints import words
from guardian.core.texts import printable
from guardian.enums import Worker
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.client.names import Names
    from guardian.client.remote import Remote

_ROWS = ("SPM_MONITOR", "SPM_NOTIFY", "SPM_TOTAL", "SPM_CHANGED", "SPM_DIFFS", "SPM_SETPOINTS", "WORKER")
_HEAD = ("CHANNEL", "SET", "IS", "SINCE", "SET AT")
UNKNOWN = "?"


def define(order: Order) -> None:
    """What it takes."""
    order.tell("Exit code 1: something is not as it was set.")
    order.add_argument("node", metavar="NODE", help="name of the node")
    which = order.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="all that was set (the default)")
    which.add_argument("--changed", action="store_true", help="only what is not as it was set")
    add_shared_options(order)
    order.set_defaults(run=_setpoints)


def _setpoints(options: argparse.Namespace) -> int:
    from guardian.cli.ctrl.names import names_of  # here, so that the other orders stay light

    names = names_of(options)
    told = _ask(options, names)
    rows = [row for row in told["setpoints"] if not options.changed or row["since"] is not None]
    code = _code(told)
    if options.json:
        print(json.dumps({**told, "setpoints": rows}))
        return code
    node, switch = options.node, names.pv(options.node, "SPM_MONITOR")
    how = f"`caput {switch} 1` switches it on, `ca_monitor = True` in the module does so for good"
    if not told["total"]:
        off = "" if told["monitor"] else f". Its set-point monitor is off: {how}"
        print(f"{node}: nothing is set: its code has written no channel yet{off}")
        return code
    for line in _table(rows):
        print(line)
    if told["left_off"]:
        print(f"and {told['left_off']} more, which do not fit into the PV")
    count = f"{node}: {told['total']} channels were set"
    if not told["monitor"]:
        say(f"{count}, and nobody looks whether they are still: the set-point monitor is off; {how}")
    elif told["worker"] not in (Worker.RUN.name, Worker.PAUSE.name):
        say(f"{count}; its worker does not run (WORKER is {told['worker']}), so this is what was last seen")
    elif not options.changed or not rows:
        print(f"{count}, {told['changed'] or 'none'} of them {'is' if told['changed'] == 1 else 'are'} otherwise now")
    return code


def _code(told: dict[str, Any]) -> int:
    looked = told["monitor"] and told["worker"] in (Worker.RUN.name, Worker.PAUSE.name)
    return OK if not told["total"] or (looked and not told["changed"]) else FAILED


def _ask(options: argparse.Namespace, names: Names) -> dict[str, Any]:
    """All that is known, of one moment or nearly so.

    Raises
    ------
    ExpectedError
        The node does not answer, or has no set-point monitor as ours.
    """
    from guardian.cli.ctrl.remote import connect
    from guardian.client.ca import Session

    (remote,) = connect(Session(), [options.node], names, _ROWS, searched=True)
    if not remote.there:
        raise ExpectedError(
            f"{options.node} does not answer as {names.pv(options.node, 'STATE')}. Does it run? "
            f"`guardctrl doctor {options.node}` looks for the reason"
        )
    if missing := [row for row in _ROWS if not remote.has(row)]:
        raise ExpectedError(f"{options.node} has no PV {names.pv(options.node, missing[0])}: it is of another program")
    return _told(options.node, remote)


def _told(node: str, remote: Remote) -> dict[str, Any]:
    monitor = remote.text("SPM_MONITOR") in ("True", "1")
    try:
        points, left_off = read_rows(remote.text("SPM_SETPOINTS"), "setpoints")
        changed, _ = read_rows(remote.text("SPM_DIFFS"), "changed")
    except ValueError as error:
        raise ExpectedError(f"{node}: {error}; is it of another program?") from None
    other = {row["channel"]: row for row in changed}
    as_set = "set" if monitor else ""
    rows = [{**row, "is": row.get(as_set), "since": None, **other.pop(row["channel"], {})} for row in points]
    rows += [{"at": None, "since": None, **row} for row in other.values()]  # set after the first question
    return {
        "node": node,
        "monitor": monitor,
        "notify": remote.text("SPM_NOTIFY") in ("True", "1"),
        "worker": remote.text("WORKER"),
        "total": _count(remote.text("SPM_TOTAL")),
        "changed": _count(remote.text("SPM_CHANGED")),
        "left_off": left_off,
        "setpoints": sorted(rows, key=lambda row: (row["since"] is None, row["channel"])),
    }


def _count(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Those that are otherwise come first; only they have a time since which they are."""
    if not rows:
        return []
    lines = [_HEAD, *(_line(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    found = UNKNOWN if row.get("is") is None else words(row["is"])
    cells = row["channel"], words(row.get("set", UNKNOWN)), found, _time(row.get("since")), _time(row.get("at"))
    return tuple(printable(cell) for cell in cells)


def _time(stamp: object) -> str:
    """UTC, to the second; "" for none."""
    if not isinstance(stamp, (int, float)) or not 0 < stamp < 1e11:
        return ""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
