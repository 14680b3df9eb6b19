"""``guardctrl mode|op|load|reenter``: the other things a node can be told, each a write on one PV.

A refusal is shown in the node's own words. ``load --wait`` waits until the new code is in force, or is refused.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guardian.cli.ctrl import COMMAND, Orders, WrongCall, add_nodes, add_order, say
from guardian.cli.ctrl.find import agreed, chosen
from guardian.cli.ctrl.names import names_of
from guardian.cli.ctrl.request import seconds
from guardian.cli.ctrl.status import silent
from guardian.cli.output import FAILED, OK, TIMED_OUT
from guardian.enums import LoadStatus, Mode, Op
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.cli.ctrl.remote import Remote

LOAD_S = 60.0
_LOADING = {s.name for s in LoadStatus} - {LoadStatus.DONE.name, LoadStatus.ERROR.name}


def add(orders: Orders) -> None:
    """Define the orders."""
    for row, kind, text in (
        ("MODE", Mode, "say who decides where nodes go"),
        ("OP", Op, "stop, pause or run nodes"),
    ):
        order = add_order(orders, row.lower(), _set, text)
        order.add_argument("value", metavar=row, help=", ".join(member.name for member in kind))
        order.set_defaults(row=row, known=tuple(member.name for member in kind))
        _finish(order)
    load = add_order(orders, "load", _load, "have nodes read their code anew")
    load.add_argument("--wait", action="store_true", help="wait until the new code is in force")
    load.add_argument(
        "--timeout", type=seconds, default=LOAD_S, metavar="S", help=f"with --wait: how long ({LOAD_S:g} s)"
    )
    _finish(load)
    _finish(add_order(orders, "reenter", _reenter, "have nodes run their present state again, from main()"))


def _finish(order: argparse.ArgumentParser) -> None:
    add_nodes(order, text="name of a node, or a pattern: SUS_*")
    order.add_argument("--yes", action="store_true", help="do not ask, however many nodes there are")


def _set(options: argparse.Namespace) -> int:
    value = options.value.upper()
    if value not in options.known:
        turned = [word for word in options.nodes if word.upper() in options.known]
        hint = ""
        if turned:
            right = [turned[0], options.value, *(word for word in options.nodes if word != turned[0])]
            hint = f"; did you mean: {COMMAND} {options.do} {shlex.join(right)}"
        raise WrongCall(f"{options.value!r} is none of {', '.join(options.known)}{hint}")
    return _each(options, options.row, value, f"{options.row}={value}")


def _reenter(options: argparse.Namespace) -> int:
    return _each(options, "REENTER", "1", "REENTER")


def _load(options: argparse.Namespace) -> int:
    return _each(options, "LOAD", "1", "LOAD", wait_s=options.timeout if options.wait else None)


def _each(options: argparse.Namespace, row: str, value: str, shown: str, wait_s: float | None = None) -> int:
    """Write a value to each node, once all of them answer."""
    from guardian.cli.caclient import Session
    from guardian.cli.ctrl.remote import connect

    names = names_of(options)
    remotes = connect(Session(), chosen(options.nodes, names), names, (row, "LOAD_STATUS"))
    if missing := [remote.node for remote in remotes if not remote.there]:
        raise ExpectedError("; ".join(silent(node, names) for node in missing) + ". Nothing was written.")
    if not agreed(shown, [remote.node for remote in remotes], yes=options.yes):
        say("nothing was written")
        return FAILED
    told = [_one(remote, row, value, shown) for remote in remotes]
    if wait_s is not None:
        _wait([(remote, said) for remote, said in zip(remotes, told, strict=True) if said["code"] == OK], wait_s)
    for said in told:
        code, text = said["code"], f"{said['node']}: {said['why'] or shown}"
        if code != OK:
            say(text)
        elif not options.json:
            print(text)
    if options.json:
        print(
            json.dumps([{**{k: v for k, v in said.items() if k != "code"}, "ok": said["code"] == OK} for said in told])
        )
    return max(told, key=lambda said: _WEIGHT[said["code"]])["code"]  # type: ignore[no-any-return]


_WEIGHT = {OK: 0, TIMED_OUT: 1, FAILED: 2}


def _one(remote: Remote, row: str, value: str, shown: str) -> dict[str, Any]:
    try:
        why = remote.write(row, value)
    except ExpectedError as error:
        why = str(error)
    return {"node": remote.node, "code": FAILED if why else OK, "why": f"{shown} was refused: {why}" if why else ""}


def _wait(loading: Sequence[tuple[Remote, dict[str, Any]]], timeout_s: float) -> None:
    """Until what each node says of its code is final. The write was accepted, so it speaks of this LOAD."""
    until = time.monotonic() + timeout_s
    left = list(loading)
    while left:
        for remote, said in list(left):
            try:
                status = remote.text("LOAD_STATUS")
            except ExpectedError:
                status = LoadStatus.REQUEST.name  # it may come back
            if status not in _LOADING:
                left.remove((remote, said))
                if status == LoadStatus.ERROR.name:
                    said["code"], said["why"] = FAILED, f"the new code is refused: {remote.facts().reason}"
                else:
                    said["why"] = "the new code is in force"
            elif time.monotonic() > until:
                left.remove((remote, said))
                said["code"], said["why"] = TIMED_OUT, f"LOAD_STATUS is {status} after {timeout_s:g} s"
        if left:
            time.sleep(0.1)
