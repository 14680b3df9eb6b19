"""Every OP x MODE x event: what changes, and what the worker is told. The table is the specification; read it.

The node rests in A, complete, REQUEST=A, under OP and MODE; then the event comes. The graph is INIT -> A <-> B, and
SAFE is a goto state. Under PAUSE a kept return counts at EXEC, which is not this table's business.

A line is ``event | OPs | MODEs | what changes in the view | actions``; "*" is every one, "-" is nothing. The fields
that only number or date a step are left out, and so are the steps themselves.
"""

from __future__ import annotations

from itertools import product

import pytest

from guardian.core.engine import Start
from guardian.core.events import (
    Began,
    Begin,
    Channels,
    Elapsed,
    Gone,
    Heard,
    Input,
    Left,
    Loaded,
    LoadFailed,
    Notifications,
    Raised,
    Reenter,
    Refused,
    Report,
    Requested,
    Returned,
    SetManager,
    SetMode,
    SetOp,
)
from guardian.core.view import View
from guardian.enums import Call, ErrorKind, Mode, Op
from tests.core.driver import Node, kinds, system

FACTS = system("INIT>A A>B B>A", goto="SAFE:5", request="A")
FIELDS = "op mode manager request state target status held known error connect notifications worker"

TABLE = """
OP=STOP      | EXEC PAUSE | *              | op=STOP known=False                                          | Stop
OP=STOP      | STOP       | *              | -                                                            | -
OP=PAUSE     | EXEC       | *              | op=PAUSE worker=PAUSE                                        | Pause
OP=PAUSE     | PAUSE      | *              | -                                                            | -
OP=PAUSE     | STOP       | AUTO MANAGED   | op=PAUSE state=INIT status=INIT known=True worker=INIT       | Spawn
OP=PAUSE     | STOP       | MANUAL         | op=PAUSE state=INIT target=INIT status=INIT known=True worker=INIT | Spawn
OP=EXEC      | EXEC       | *              | -                                                            | -
OP=EXEC      | PAUSE      | *              | op=EXEC worker=RUN                                           | Resume
OP=EXEC      | STOP       | AUTO MANAGED   | op=EXEC state=INIT status=INIT known=True worker=INIT        | Spawn
OP=EXEC      | STOP       | MANUAL         | op=EXEC state=INIT target=INIT status=INIT known=True worker=INIT | Spawn
MODE=AUTO    | EXEC       | AUTO           | manager=none                                                 | Policy Judge
MODE=AUTO    | EXEC       | MANAGED MANUAL | mode=AUTO manager=none                                       | Policy Judge
MODE=AUTO    | PAUSE      | AUTO           | manager=none                                                 | Policy
MODE=AUTO    | PAUSE      | MANAGED MANUAL | mode=AUTO manager=none                                       | Policy
MODE=AUTO    | STOP       | AUTO           | manager=none                                                 | -
MODE=AUTO    | STOP       | MANAGED MANUAL | mode=AUTO manager=none                                       | -
MODE=MANAGED | EXEC       | AUTO MANUAL    | mode=MANAGED                                                 | Policy Judge
MODE=MANAGED | EXEC       | MANAGED        | -                                                            | Policy Judge
MODE=MANAGED | PAUSE      | AUTO MANUAL    | mode=MANAGED                                                 | Policy
MODE=MANAGED | PAUSE      | MANAGED        | -                                                            | Policy
MODE=MANAGED | STOP       | AUTO MANUAL    | mode=MANAGED                                                 | -
MODE=MANAGED | STOP       | MANAGED        | -                                                            | -
MODE=MANUAL  | EXEC       | AUTO MANAGED   | mode=MANUAL                                                  | Policy Judge
MODE=MANUAL  | EXEC       | MANUAL         | -                                                            | Policy Judge
MODE=MANUAL  | PAUSE      | AUTO MANAGED   | mode=MANUAL                                                  | Policy
MODE=MANUAL  | PAUSE      | MANUAL         | -                                                            | Policy
MODE=MANUAL  | STOP       | AUTO MANAGED   | mode=MANUAL                                                  | -
MODE=MANUAL  | STOP       | MANUAL         | -                                                            | -
MANAGER=N    | *          | *              | manager=N                                                    | -
REQUEST=A    | EXEC PAUSE | AUTO MANAGED   | -                                                            | -
REQUEST=A    | EXEC       | MANUAL         | status=REDIRECT                                              | Leave
REQUEST=A    | PAUSE      | MANUAL         | -                                                            | Policy
REQUEST=A    | STOP       | *              | -                                                            | -
REQUEST=B    | EXEC       | AUTO MANAGED   | request=B target=B status=RUN                                | Policy Judge
REQUEST=B    | EXEC       | MANUAL         | request=B target=B status=REDIRECT                           | Leave
REQUEST=B    | PAUSE      | *              | request=B target=B                                           | Policy
REQUEST=B    | STOP       | *              | request=B target=B                                           | -
REQUEST=SAFE | EXEC       | *              | request=SAFE target=SAFE status=REDIRECT                     | Leave
REQUEST=SAFE | PAUSE      | *              | request=SAFE target=SAFE                                     | Policy
REQUEST=SAFE | STOP       | *              | request=SAFE target=SAFE                                     | -
REQUEST=NONE | EXEC       | *              | request=NONE status=RUN                                      | Policy Judge
REQUEST=NONE | PAUSE      | *              | request=NONE                                                 | Policy
REQUEST=NONE | STOP       | *              | request=NONE                                                 | -
REENTER      | EXEC       | *              | -                                                            | Leave
REENTER      | PAUSE STOP | *              | -                                                            | -
refused      | *          | *              | -                                                            | -
Elapsed      | *          | *              | -                                                            | -
Gone         | EXEC PAUSE | *              | known=False worker=DEAD                                      | -
Gone         | STOP       | *              | -                                                            | -
old Gone     | *          | *              | -                                                            | -
Loaded       | *          | *              | -                                                            | -
LoadFailed   | *          | *              | -                                                            | -
Began        | *          | *              | -                                                            | -
True         | *          | *              | -                                                            | -
False        | EXEC       | *              | status=RUN                                                   | -
False        | PAUSE STOP | *              | -                                                            | -
jump B       | EXEC       | AUTO           | state=B status=ENTER                                         | Enter
jump B       | EXEC       | MANAGED MANUAL | state=B target=B status=ENTER held=True                      | Enter
jump B       | PAUSE STOP | *              | -                                                            | -
jump ?       | EXEC       | *              | status=RUN error=ERROR                                       | -
jump ?       | PAUSE STOP | *              | -                                                            | -
stale True   | *          | *              | -                                                            | -
raises       | EXEC       | *              | status=RUN error=ERROR                                       | -
raises       | PAUSE STOP | *              | -                                                            | -
no channel   | EXEC       | *              | status=RUN error=CONNECT connect=X:C                         | -
no channel   | PAUSE STOP | *              | -                                                            | -
Left         | *          | *              | -                                                            | -
notify       | EXEC PAUSE | *              | notifications=t                                              | -
notify       | STOP       | *              | -                                                            | -
Channels     | *          | *              | -                                                            | -
"""


def node_at_rest(op: Op, mode: Mode) -> Node:
    """A node in A, complete, at its REQUEST."""
    node = Node(FACTS, Start(mode=mode, manager="M", request="INIT"))
    node.request("A")
    node.returns(True, True)
    assert (node.view.state, node.view.status.name) == ("A", "DONE")
    node.op(op)
    return node


def returned(outcome: bool | str, entry: int) -> Returned:
    return Returned(entry=entry, call=Call.RUN, outcome=outcome)


def raised(kind: ErrorKind, entry: int) -> Raised:
    return Raised(
        entry=entry, call=Call.RUN, kind=kind, message="oops", channels=("X:C",) * (kind is ErrorKind.CONNECT)
    )


def events(gen: int, entry: int) -> dict[str, Input]:
    """All inputs and reports, by the names they have in the table."""
    people: list[Input] = [
        *(SetOp(op=op, by="x") for op in Op),
        *(SetMode(mode=mode, by="x") for mode in Mode),
        SetManager(manager="N", by="x"),
        *(Requested(state=state, by="x") for state in ("A", "B", "SAFE", "NONE")),
    ]
    reports: dict[str, Report] = {
        "Loaded": Loaded(facts=FACTS),
        "LoadFailed": LoadFailed(reason="oops"),
        "Began": Began(entry=entry),
        "True": returned(True, entry),
        "False": returned(False, entry),
        "jump B": returned("B", entry),
        "jump ?": returned("NOWHERE", entry),
        "stale True": returned(True, entry - 1),
        "raises": raised(ErrorKind.ERROR, entry),
        "no channel": raised(ErrorKind.CONNECT, entry),
        "Left": Left(entry=entry),
        "notify": Notifications(entry=entry, texts=("t",)),
        "Channels": Channels(total=3),
    }
    return {
        **{f"OP={e.op.name}": e for e in people if isinstance(e, SetOp)},
        **{f"MODE={e.mode.name}": e for e in people if isinstance(e, SetMode)},
        **{f"MANAGER={e.manager}": e for e in people if isinstance(e, SetManager)},
        **{f"REQUEST={e.state}": e for e in people if isinstance(e, Requested)},
        "REENTER": Reenter(by="x"),
        "refused": Refused(pv="OP", value="9", by="x", reason="oops"),
        "Elapsed": Elapsed(),
        "Gone": Gone(gen=gen, reason="oops"),
        "old Gone": Gone(gen=gen - 1, reason="oops"),
        **{name: Heard(gen=gen, report=report) for name, report in reports.items()},
    }


def shown(value: object) -> str:
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return getattr(value, "name", None) or str(value) or "none"


def happens(op: Op, mode: Mode, name: str) -> tuple[str, str]:
    """What the event changes and leads to, as the table writes it."""
    node = node_at_rest(op, mode)
    before: View = node.view
    event = events(node.engine.gen, max(w.entry for w in node.workers))[name]
    actions = node.engine.feed(event, node.now)
    after = node.view
    changes = [f"{f}={shown(getattr(after, f))}" for f in FIELDS.split() if getattr(after, f) != getattr(before, f)]
    return " ".join(changes) or "-", " ".join(k for k in kinds(actions) if not k.startswith("step:")) or "-"


def cells() -> dict[tuple[str, Op, Mode], tuple[str, str]]:
    found = {}
    for line in filter(None, TABLE.splitlines()):
        event, ops, modes, changes, actions = (part.strip() for part in line.split("|"))
        for op, mode in product(Op, Mode):
            if (ops == "*" or op.name in ops.split()) and (modes == "*" or mode.name in modes.split()):
                assert (event, op, mode) not in found, line
                found[event, op, mode] = (changes, actions)
    return found


CELLS = cells()


def test_the_table_is_complete() -> None:
    assert set(CELLS) == set(product(events(1, 1), Op, Mode))


@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
@pytest.mark.parametrize("mode", Mode, ids=lambda mode: mode.name)
def test_each_cell(op: Op, mode: Mode) -> None:
    wrong = {
        name: (expected, found)
        for (name, o, m), expected in CELLS.items()
        if (o, m) == (op, mode) and (found := happens(op, mode, name)) != expected
    }
    assert not wrong


def test_Begin_and_Loaded_at_the_start() -> None:
    node = Node(FACTS, begin=False)
    assert kinds(node.engine.feed(Begin(), node.now)) == ["Spawn", "step:worker"]
    actions = node.engine.feed(Heard(gen=1, report=Loaded(facts=FACTS)), node.now)
    assert kinds(actions) == ["step:load", "Enter", "step:enter"]
