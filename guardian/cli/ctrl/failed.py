"""``guardctrl reset-failed [NODE...]``: starts the workers of nodes that died too often and were given up.

A write on RESET_FAILED, which such a node alone accepts: so nothing happens to one that runs, or that somebody has
stopped in the meantime. REQUEST and MODE stay as they are.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from guardian.cli.ctrl import add_nodes, prepare, say
from guardian.cli.ctrl.find import agreed
from guardian.cli.ctrl.listing import named, silent
from guardian.cli.ctrl.names import names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.enums import ProcessState
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.client.remote import Remote

_STATE, _RESET = "PROC_STATE", "RESET_FAILED"
_ABOUT = """\
Without names: all nodes that are found and have failed. Nodes that have not failed are left alone, and named if they
were asked for. REQUEST and MODE stay as they are."""


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _reset, about=_ABOUT)
    add_nodes(order, text="name of a node, or a pattern: SUS_*", least_one=False)
    order.add_argument("--yes", action="store_true", help="do not ask, however many nodes there are")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What became of one node. ``result``: reset, left alone, or failed, which is the only one that is not `ok`."""

    node: str
    result: str
    text: str

    @property
    def ok(self) -> bool:
        return self.result != "failed"


def _reset(options: argparse.Namespace) -> int:
    from guardian.cli.ctrl.remote import connect
    from guardian.client.ca import Session

    names = names_of(options)
    nodes = named(options.nodes, names)
    remotes = connect(Session(), nodes, names, (_STATE, _RESET), searched=not options.nodes)
    missing = [remote.node for remote in remotes if not remote.there]
    if missing and options.nodes:
        raise ExpectedError(f"nothing was reset: {silent(missing, names)}")
    looked = {remote.node: _look(remote) for remote in remotes if remote.there}
    due = [remote for remote in remotes if remote.node in looked and looked[remote.node] is None]
    if due and not agreed("reset-failed", [remote.node for remote in due], yes=options.yes):
        raise ExpectedError("nothing was reset")
    told = [_Said(node=node, result="failed", text="does not answer") for node in missing]
    told += [said for said in looked.values() if said is not None and (options.nodes or not said.ok)]
    told += [_one(remote) for remote in due]
    _report(told, options, asked=len(nodes))
    return OK if all(said.ok for said in told) else FAILED


def _look(remote: Remote) -> _Said | None:
    """Why there is nothing to be done about a node; None if there is."""
    node = remote.node
    try:
        state = remote.text(_STATE)
    except ExpectedError as error:
        return _Said(node=node, result="failed", text=str(error))
    if state == ProcessState.FAIL.name:
        return None
    if not state:
        return _Said(node=node, result="left alone", text="left alone: it says nothing of its process")
    return _Said(node=node, result="left alone", text=f"left alone: it has not failed, {_STATE} is {state}")


def _one(remote: Remote) -> _Said:
    try:
        why = remote.write(_RESET, "1")
    except ExpectedError as error:
        return _Said(node=remote.node, result="failed", text=f"is not reset: {error}")
    if why:
        return _Said(node=remote.node, result="failed", text=f"was not reset: {why}")
    return _Said(node=remote.node, result="reset", text="is reset; a new worker starts")


def _report(told: list[_Said], options: argparse.Namespace, *, asked: int) -> None:
    for said in told:
        if not said.ok:
            say(f"{said.node}: {said.text}")
        elif not options.json:
            print(f"{said.node}: {said.text}")
    if options.json:
        print(json.dumps([{**asdict(said), "ok": said.ok} for said in told]))
    elif not told:
        print(f"none of {asked} nodes has failed" if asked != 1 else "the one node that is found has not failed")
