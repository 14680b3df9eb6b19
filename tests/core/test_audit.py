"""The record of a write: what is kept of who wrote what, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.audit import VALUE_BYTES, WHY_BYTES, write_record
from guardian.core.interface import BY_NAME, ROWS
from guardian.core.request_cmd import Command
from guardian.core.view import View
from guardian.core.who import Who
from guardian.enums import Mode

ANNA = Who("anna", "ws3", "10.1.2.3")
MANAGED = View(event_id=7, mode=Mode.MANAGED, manager="IFO", request="SAFE")


def kept(row: str, value: Any, view: View = MANAGED, **more: Any) -> dict[str, Any]:
    return write_record(
        node="SUS", pv=f"X1:GRD-SUS_{row}", row=BY_NAME[row], value=value, who=ANNA, view=view, id=8, stamp=1.5, **more
    )


def test_a_write_that_was_taken() -> None:
    assert kept("MODE", 2) == {
        "id": 8,
        "stamp": 1.5,
        "kind": "write",
        "node": "SUS",
        "row": "MODE",
        "pv": "X1:GRD-SUS_MODE",
        "asg": "OPERATE",
        "user": "anna",
        "host": "ws3",
        "address": "10.1.2.3",
        "old": "MANAGED",
        "new": "MANUAL",
        "taken": True,
        "managed_by": "IFO",
    }


@pytest.mark.parametrize(
    ("row", "value", "old", "new"),
    [
        ("OP", "PAUSE", "EXEC", "PAUSE"),
        ("OP", " 1 ", "EXEC", "PAUSE"),
        ("OP", 9, "EXEC", "9"),
        ("OP", "FLY", "EXEC", "FLY"),
        ("MODE", 1.5, "MANAGED", "1.5"),
        ("LOAD", 1, "False", "True"),
        ("REENTER", "0", "False", "False"),
        ("MANAGER", "", "IFO", ""),
        ("REQUEST_N", -1, "-1", "-1"),
        ("REQUEST", " DOWN ", "SAFE", " DOWN "),
        ("REQUEST_CMD", '{"state": "DOWN"}', "SAFE", "DOWN"),
        ("REQUEST_CMD", "DOWN", "SAFE", "DOWN"),
        ("REQUEST_CMD", '{"state": "\\ud800"}', "SAFE", "?"),
        ("STATE", "DOWN", "INIT", "DOWN"),
        ("REQUEST", None, "SAFE", None),
    ],
)
def test_values_are_told_as_people_read_them(row: str, value: Any, old: str, new: str | None) -> None:
    assert (kept(row, value)["old"], kept(row, value)["new"]) == (old, new)


def test_a_command_says_who_is_behind_it_also_where_it_is_refused() -> None:
    asked = json.dumps({"state": "NOWHERE", "manager": "IFO", "person": "bob", "id": "IFO#1"})
    record = kept("REQUEST_CMD", asked, refused="no such state")
    assert (record["manager"], record["person"], record["cmd"], record["new"]) == ("IFO", "bob", "IFO#1", "NOWHERE")
    assert (record["taken"], record["why"]) == (False, "no such state")
    assert kept("REQUEST_CMD", '{"state": "DOWN", "by": "bob"}')["person"] == "bob"
    assert not {"manager", "person", "cmd", "why", "cut"} & set(kept("REQUEST", "DOWN"))


def test_a_command_says_why_it_was_given() -> None:
    asked = json.dumps({"state": "DOWN", "person": "bob", "reason": "the beam is lost"})
    assert kept("REQUEST_CMD", asked)["reason"] == "the beam is lost"
    assert "reason" not in kept("REQUEST_CMD", '{"state": "DOWN", "person": "bob"}')


def test_of_a_write_for_somebody_the_record_is_of_its_own_row() -> None:
    record = kept("OP", "PAUSE", behind=Command(state="", person="bob", reason="lunch"))
    assert (record["row"], record["new"], record["person"], record["reason"]) == ("OP", "PAUSE", "bob", "lunch")


def test_who_writes_MODE_is_not_guessed_but_whose_node_it_was_is_told() -> None:
    assert kept("MODE", 0)["managed_by"] == "IFO" and "manager" not in kept("MODE", 0)
    assert "managed_by" not in kept("MODE", 1, View())


def test_a_long_value_is_cut_and_the_record_says_so() -> None:
    record = kept("REQUEST", "é" * 100_000, refused="'" + "é" * 100_000)
    assert len(record["new"].encode()) <= VALUE_BYTES and record["new"].endswith("...") and record["cut"] == 200_000
    assert len(record["why"].encode()) <= WHY_BYTES


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_the_value_before_is_told_of_every_row_that_can_be_written(row: str) -> None:
    old = kept(row, "x", View(), refused="it is read only")["old"]
    assert old is None or (isinstance(old, str) and len(old.encode()) <= VALUE_BYTES)
    assert old is not None or not BY_NAME[row].writable


VALUES = st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.characters(codec=None))


@settings(max_examples=200)
@given(st.sampled_from(sorted(BY_NAME)), VALUES)
def test_whatever_is_written_its_record_is_short_and_JSON(row: str, value: Any) -> None:
    text = json.dumps(kept(row, value, refused=f"{value!r} it is"), allow_nan=False)
    assert len(text.encode()) < 4000
    assert json.loads(text)["row"] == row
