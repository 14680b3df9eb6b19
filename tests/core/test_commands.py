"""What clients write, and what becomes of it: an input, or a refusal that says what to do. Never another exception."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from guardian.core import interface
from guardian.core.commands import parse, unwrap
from guardian.core.events import LoadAsked, Reenter, Requested, SetManager, SetMode, SetOp, SetSpm
from guardian.core.graph import Graph
from guardian.core.view import View
from guardian.enums import Mode, Op
from guardian.errors import RefusedError
from tests.core.driver import system

_FACTS = system("INIT>SAFE SAFE>ALIGNED", states="S4 S5 S6 S7 S8")
VIEW = View(graph=Graph.build(_FACTS.states, _FACTS.edges))
WRITABLE = [row.name for row in interface.ROWS if row.writable]


def test_every_writable_row_is_understood_and_no_other() -> None:
    good: dict[str, Any] = {
        "OP": "EXEC",
        "MODE": "AUTO",
        "MANAGER": "IMC",
        "REQUEST": "SAFE",
        "REQUEST_N": -2,
        "REQUEST_CMD": '{"state": "SAFE"}',
        "REENTER": 1,
        "RESET_FAILED": 1,
        "LOAD": 1,
        "SPM_MONITOR": 0,
        "SPM_NOTIFY": "True",
        "LOGLEVEL": "DEBUG",
    }
    assert sorted([*good, "WRITE_CMD"]) == sorted(WRITABLE)
    for name, value in good.items():
        assert parse(name, value, "anna", replace(VIEW, failed=True)) is not None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OP", "STOP", SetOp(op=Op.STOP, by="anna")),
        ("OP", 1, SetOp(op=Op.PAUSE, by="anna")),
        ("OP", " 2 ", SetOp(op=Op.EXEC, by="anna")),
        ("OP", 2.0, SetOp(op=Op.EXEC, by="anna")),
        ("MODE", "MANAGED", SetMode(mode=Mode.MANAGED, by="anna")),
        ("SPM_MONITOR", 1, SetSpm(monitor=True, by="anna")),
        ("SPM_NOTIFY", "False", SetSpm(notify=False, by="anna")),
        ("MANAGER", "", SetManager(manager="", by="anna")),
        ("REQUEST", "ALIGNED", Requested(state="ALIGNED", by="anna")),
        ("REQUEST", " NONE ", Requested(state="NONE", by="anna")),
        ("REQUEST_N", -1, Requested(state="NONE", by="anna")),
        ("REQUEST_N", 0, Requested(state="INIT", by="anna")),
        ("REQUEST_N", "-2", Requested(state="SAFE", by="anna")),
        ("REQUEST_CMD", '{"state": "SAFE"}', Requested(state="SAFE", by="anna")),
        ("REQUEST_CMD", '{"state": " NONE ", "by": ""}', Requested(state="NONE", by="anna")),
        (
            "REQUEST_CMD",
            '{"state": "SAFE", "by": "IMC", "id": "IMC#1", "more": []}',
            Requested(state="SAFE", by="IMC at anna", cmd="IMC#1"),
        ),
        ("REENTER", "True", Reenter(by="anna")),
        ("REENTER", 1, Reenter(by="anna")),
        ("REENTER", 0, None),
        ("REENTER", "False", None),
        ("LOAD", 1, LoadAsked(by="anna")),
        ("LOAD", "0", None),
        ("RESET_FAILED", 0, None),
    ],
)
def test_accepted(name: str, value: Any, expected: object) -> None:
    assert parse(name, value, "anna", VIEW) == expected


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OP", "RUN", "STOP, PAUSE, EXEC"),
        ("OP", 3, "2 (EXEC)"),
        ("OP", "7", "2 (EXEC)"),
        ("OP", "²", "STOP"),
        ("OP", "+-1", "STOP"),
        ("OP", "", "STOP"),
        ("OP", 1.5, "1 (PAUSE)"),
        ("OP", float("nan"), "1 (PAUSE)"),
        ("OP", [1], "1 (PAUSE)"),
        ("MODE", "auto", "AUTO, MANAGED, MANUAL"),
        ("MANAGER", "M" * 40, "40 bytes"),
        ("REQUEST", "ALIGND", "no such state; did you mean ALIGNED? The menu is"),
        ("REQUEST", "aligned", "did you mean ALIGNED?"),
        ("REQUEST", "???", "no such state. The menu is"),
        ("REQUEST", "", "and 2 more"),
        ("REQUEST_N", 77, "no state has index 77"),
        ("REQUEST_N", 0.5, "whole number"),
        ("REQUEST_N", float("nan"), "whole number"),
        ("REQUEST_N", float("inf"), "whole number"),
        ("REQUEST_N", "SAFE", "whole number"),
        ("REQUEST_N", [1, 2], "whole number"),
        ("REQUEST_CMD", "SAFE", '{"state": "NAME"'),
        ("REQUEST_CMD", "[" * 900, '{"state": "NAME"'),
        ("REQUEST_CMD", '{"by": "anna"}', '{"state": "NAME"'),
        ("REQUEST_CMD", 3, '{"state": "NAME"'),
        ("REQUEST_CMD", '{"state": "ALIGND"}', "did you mean ALIGNED?"),
        ("REQUEST_CMD", '{"state": "SAFE", "by": 3}', "'by' is a text"),
        ("REQUEST_CMD", '{"state": "SAFE", "id": 3}', "'id' is a text"),
        ("REQUEST_CMD", '{"state": "SAFE", "by": "\\ud800"}', "'by' is a text"),
        ("REQUEST_CMD", '{"state": "SAFE", "id": "\\ud800"}', "'id' is a text"),
        ("REQUEST_CMD", '{"state": "SAFE", "by": "anna\\u0000"}', "without control characters"),
        ("REQUEST_CMD", '{"state": "SAFE", "by": "%s"}' % ("b" * 101), "at most 100 bytes"),
        ("REQUEST_CMD", '{"state": "SAFE", "id": "%s"}' % ("i" * 201), "at most 200 bytes"),
        ("REENTER", "maybe", "neither"),
        ("RESET_FAILED", 2, "neither"),
        ("RESET_FAILED", 1, "it has not failed, WORKER is INIT; nothing was done"),
        ("REENTER", 2, "neither"),
        ("REENTER", float("nan"), "neither"),
    ],
)
def test_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(name, value, "anna", VIEW)
    assert says in str(caught.value)


def test_before_the_states_are_known_only_NONE_may_be_requested() -> None:
    assert parse("REQUEST", "NONE", "anna", View()) == Requested(state="NONE", by="anna")
    with pytest.raises(RefusedError, match="LOAD_STATUS INPROGRESS"):
        parse("REQUEST", "SAFE", "anna", View())
    with pytest.raises(RefusedError, match="no state has index 0"):
        parse("REQUEST_N", 0, "anna", View())


VALUES = st.one_of(
    st.text(max_size=50), st.integers(), st.floats(), st.booleans(), st.lists(st.integers(), max_size=3), st.none()
)


@settings(max_examples=80)
@given(st.sampled_from(WRITABLE), VALUES)
def test_nothing_else_is_ever_raised(name: str, value: Any) -> None:
    try:
        parsed = parse(name, value, "anna", VIEW)
    except RefusedError as error:
        assert str(error)
    else:
        assert parsed is not None or name in ("LOAD", "REENTER", "RESET_FAILED")
        assert (
            not isinstance(parsed, Requested)
            or parsed.state == "NONE"
            or parsed.state in {s.name for s in _FACTS.states}
        )


def test_a_write_for_somebody_is_the_write_itself_and_who_is_behind_it() -> None:
    write = unwrap('{"row": "OP", "value": "PAUSE", "person": "ann", "reason": "beam is down", "tomorrow": 1}')
    assert (write.row, write.value) == ("OP", "PAUSE")
    assert (write.behind.through("ops@l1 (10.1.2.3)"), write.behind.reason) == (
        "ann at ops@l1 (10.1.2.3)",
        "beam is down",
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("OP", 'is no {"row": "NAME"'),
        ('{"row": "OP"}', 'is no {"row": "NAME"'),
        ('{"row": "OP", "value": 1}', 'is no {"row": "NAME"'),
        ('{"row": "MANAGER", "value": "\\ud800"}', 'is no {"row": "NAME"'),
        ('{"row": "STATE", "value": "SAFE"}', "'STATE' cannot be written this way; OP, "),
        ('{"row": "NOWHERE", "value": "1"}', "'NOWHERE' cannot be written this way"),
        ('{"row": "REQUEST", "value": "SAFE"}', "REQUEST cannot be written this way, the id"),
        ('{"row": "REQUEST_N", "value": "3"}', '"person": "who"} on REQUEST_CMD'),
        ('{"row": "WRITE_CMD", "value": "{}"}', "'WRITE_CMD' cannot be written this way"),
        ('{"row": "REQUEST_CMD", "value": "{}"}', "'REQUEST_CMD' cannot be written this way"),
        ('{"row": "OP", "value": "STOP", "reason": "%s"}' % ("x" * 201), "'reason' is a text of at most 200 bytes"),
    ],
)
def test_what_is_no_write_is_refused_with_what_would_be_one(value: str, says: str) -> None:
    with pytest.raises(RefusedError) as refused:
        unwrap(value)
    assert says in str(refused.value)
    with pytest.raises(RefusedError):
        parse("WRITE_CMD", value, "anna", VIEW)
