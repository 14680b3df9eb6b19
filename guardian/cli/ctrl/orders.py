"""``guardctrl mode|op|load|reenter``: the other things a node can be told, each a write on one PV.

A refusal is shown in the node's own words. ``load --wait`` waits until the new code is in force, or is refused.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardian.cli.ctrl import COMMAND, WrongCall, add_nodes, prepare, say, seconds
from guardian.cli.ctrl.find import agreed, chosen
from guardian.cli.ctrl.listing import silent
from guardian.cli.ctrl.names import names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK, TIMED_OUT
from guardian.enums import LoadStatus, Mode, Op
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.client.remote import Remote

LOAD_S = 60.0
LOOK_S, PLAIN_HOLD_S = 0.1, 0.5
_VALUES = {"mode": ("MODE", tuple(Mode.__members__)), "op": ("OP", tuple(Op.__members__))}
_FINAL = frozenset({LoadStatus.DONE.name, LoadStatus.ERROR.name})


def define(order: Order) -> None:
    """What each takes."""
    if order.name == "reenter":
        prepare(order, _reenter)
    elif order.name == "load":
        prepare(order, _load)
        order.add_argument("--wait", action="store_true", help="wait until the new code is in force")
        order.add_argument(
            "--timeout", type=seconds, default=LOAD_S, metavar="S", help=f"with --wait: how long ({LOAD_S:g} s)"
        )
    else:
        prepare(order, _set)
        row, values = _VALUES[order.name]
        order.add_argument("value", metavar=row, help=", ".join(values))
        order.set_defaults(row=row, known=values)
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
    from guardian.cli.ctrl.remote import connect
    from guardian.cli.ctrl.wait import worst
    from guardian.client.ca import Session

    names = names_of(options)
    remotes = connect(Session(), chosen(options.nodes, names), names, (row, "LOAD_STATUS"))
    if missing := [remote.node for remote in remotes if not remote.there]:
        raise ExpectedError(f"nothing was written: {silent(missing, names)}")
    if not agreed(shown, [remote.node for remote in remotes], yes=options.yes):
        raise ExpectedError("nothing was written")
    told = [_one(remote, row, value, shown) for remote in remotes]
    if wait_s is not None:
        _wait(
            {said.node: (remote, said) for remote, said in zip(remotes, told, strict=True) if said.code == OK}, wait_s
        )
    for said in told:
        if said.code != OK:
            say(f"{said.node}: {said.text}")
        elif not options.json:
            print(f"{said.node}: {said.text}")
    if options.json:
        print(json.dumps([{"node": said.node, "ok": said.code == OK, "text": said.text} for said in told]))
    return worst([said.code for said in told])


@dataclass(slots=True)
class _Said:
    """What became of an order to one node."""

    node: str
    text: str
    code: int = OK


def _one(remote: Remote, row: str, value: str, shown: str) -> _Said:
    try:
        why = remote.write(row, value)
    except ExpectedError as error:
        return _Said(remote.node, f"{shown} is not written: {error}", FAILED)
    return _Said(remote.node, f"{shown} was refused: {why}", FAILED) if why else _Said(remote.node, shown)


def _wait(loading: dict[str, tuple[Remote, _Said]], timeout_s: float) -> None:
    """Until what each node says of its code is final.

    With the write it was said that a node of ours reads its code, so what it says after that speaks of this LOAD. An
    original Guardian says so a cycle later.
    """
    until = time.monotonic() + timeout_s
    if not all(remote.ours for remote, _ in loading.values()):
        time.sleep(PLAIN_HOLD_S)
    while loading:
        for node, (remote, said) in list(loading.items()):
            if _is_loaded(remote, said):
                del loading[node]
            elif time.monotonic() > until:
                said.code = TIMED_OUT
                del loading[node]
        if loading:
            time.sleep(LOOK_S)


def _is_loaded(remote: Remote, said: _Said) -> bool:
    try:
        status = remote.text("LOAD_STATUS")
        if not remote.there:
            raise ExpectedError("it does not answer")
        if status == LoadStatus.ERROR.name:
            said.code, said.text = FAILED, f"the new code is refused: {remote.facts().reason}"
        elif status == LoadStatus.DONE.name:
            said.text = "the new code is in force"
        else:
            said.text = f"the new code is not in force yet, LOAD_STATUS is {status or 'not known'}"
    except ExpectedError as error:  # it may come back
        said.text = f"the new code is not in force yet: {error}"
        return False
    return status in _FINAL
