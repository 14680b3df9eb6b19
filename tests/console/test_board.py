"""What the board makes of what it hears, and which of it is new to whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardian.client.ca import CHAR, STRING, Reading
from guardian.client.names import Names
from guardian.client.watch import Heard
from guardian.console.board import Board
from guardian.core.documents import as_json, summary
from guardian.core.view import View
from guardian.enums import Mode

NAMES = Names(ifo="X1")


def heard(text: str, *, kind: int = CHAR, severity: int = 0, where: str = "l1:5064") -> Heard:
    values = tuple(text.encode()) if kind == CHAR else (text,)
    reading = Reading(values=values, kind=kind, severity=severity, status=0, stamp_utc=5.0, nanoseconds=0)
    return Heard(reading=reading, where=where)


LOST = Heard()


def says(board: Board, node: str, **changes: Any) -> None:
    told = summary(View()) | changes
    board.hear({NAMES.pv(node, "SUMMARY"): heard(as_json(told))})


def lists(board: Board, node: str, **taken: bool) -> None:
    rows = [{"node": name, "taken": one} for name, one in taken.items()]
    board.hear({NAMES.pv(node, "SUBNODES"): heard(json.dumps(rows))})


def cell(board: Board, node: str) -> dict[str, Any]:
    """As pages get it."""
    told: dict[str, Any] = json.loads(board.cells[node].text)
    return told


@pytest.fixture
def board() -> Board:
    made = Board(NAMES)
    made.place(["SUS", "IMC"])
    return made


def test_a_node_is_there_before_it_answers_and_says_so(board: Board) -> None:
    told = cell(board, "SUS")
    assert (told["there"], told["severity"], told["why"]) == (False, "INVALID", "does not answer")
    assert board.silent == ["SUS", "IMC"]
    says(board, "SUS", state="SAFE", request="SAFE", severity="NO_ALARM", ok=True)
    told = cell(board, "SUS")
    assert (told["there"], told["ours"], told["state"], told["why"]) == (True, True, "SAFE", "OK")
    assert board.silent == ["IMC"]


def test_each_change_has_a_number_of_its_own_and_what_says_nothing_new_has_none(board: Board) -> None:
    says(board, "SUS", state="SAFE")
    first = board.cells["SUS"].seq
    says(board, "IMC", state="DOWN")
    assert board.cells["IMC"].seq > first == board.cells["SUS"].seq
    says(board, "SUS", state="SAFE")
    assert board.cells["SUS"].seq == first
    says(board, "SUS", state="ALIGNED")
    assert board.cells["SUS"].seq > board.cells["IMC"].seq


def test_a_node_that_is_lost_stays_and_nothing_old_of_it_is_shown(board: Board) -> None:
    says(board, "SUS", state="SAFE", ok=True)
    board.hear({NAMES.pv("SUS", "SUMMARY"): LOST})
    told = cell(board, "SUS")
    assert (told["there"], told["state"], told["ok"], told["severity"]) == (False, "?", False, "INVALID")


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "3", '{"state": 3}', "[" * 5000])
def test_a_summary_that_is_none_is_told_and_breaks_nothing(board: Board, text: str) -> None:
    board.hear({NAMES.pv("SUS", "SUMMARY"): heard(text)})
    told = cell(board, "SUS")
    assert (told["there"], told["ok"]) == (True, False) and "SUMMARY" in told["why"]
    says(board, "SUS", state="SAFE")
    assert cell(board, "SUS")["state"] == "SAFE"


@pytest.mark.parametrize(
    "odd",
    [{"connect": ["\ud800"]}, {"why": "\ud800"}, {"state": "\ud800"}, {"id": 10**30}, {"since": float("nan")}],
    ids=str,
)
def test_a_summary_with_what_cannot_be_sent_is_sent_without_it(board: Board, odd: dict[str, Any]) -> None:
    told = summary(View()) | {"ok": False, "says": "hello"} | odd
    board.hear({NAMES.pv("SUS", "SUMMARY"): heard(json.dumps(told))})
    assert cell(board, "SUS")["says"] == "hello"


@pytest.mark.parametrize("text", ["", "nonsense", "3", "[3]", '[{"node": "SUS"}]', '["SUS"]', "[" * 100_000])
def test_a_list_of_nodes_that_is_none_costs_the_others_nothing(board: Board, text: str) -> None:
    told = as_json(summary(View()) | {"state": "SAFE"})
    board.hear({NAMES.pv("IMC", "SUBNODES"): heard(text), NAMES.pv("SUS", "SUMMARY"): heard(told)})
    assert cell(board, "SUS")["state"] == "SAFE" and cell(board, "IMC")["there"] is False


def test_pvs_that_nobody_follows_are_passed_over(board: Board) -> None:
    board.hear({"X1:GRD-OTHER_SUMMARY": heard("{}"), "X1:GRD-SUS_STATE": heard("SAFE", kind=STRING)})
    assert cell(board, "SUS")["there"] is False


def test_an_original_guardians_node_is_known_by_its_plain_pvs(board: Board) -> None:
    board.seek_plain(["SUS"])
    for row, text in (("STATE_S", "SAFE"), ("REQUEST_S", "SAFE"), ("MODE", "0"), ("OP", "2"), ("OK", "True")):
        board.hear({NAMES.pv("SUS", row): heard(text, kind=STRING)})
    told = cell(board, "SUS")
    assert (told["there"], told["ours"], told["state"], told["op"], told["mode"]) == (
        True,
        False,
        "SAFE",
        "EXEC",
        "AUTO",
    )
    board.hear({NAMES.pv("SUS", row): LOST for row in ("STATE_S", "REQUEST_S", "MODE", "OP", "OK")})
    assert not cell(board, "SUS")["there"]


def test_a_node_of_ours_that_was_taken_for_an_original_guardians_leaves_nothing_old_behind(board: Board) -> None:
    board.seek_plain(["SUS"])
    plain = {NAMES.pv("SUS", "STATE_S"): "SAFE", NAMES.pv("SUS", "MODE"): "MANUAL"}
    board.hear({pv: heard(text, kind=STRING) for pv, text in plain.items()})
    says(board, "SUS", state="SAFE")
    assert cell(board, "SUS")["ours"]
    board.hear({**dict.fromkeys(plain, LOST), NAMES.pv("SUS", "SUMMARY"): LOST})
    assert not cell(board, "SUS")["there"]
    board.hear({NAMES.pv("SUS", "STATE_S"): heard("DOWN", kind=STRING)})
    assert (cell(board, "SUS")["state"], cell(board, "SUS")["mode"]) == ("DOWN", "?")


def test_the_tree_is_made_of_what_managers_list_and_nodes_say_and_moves_cells(board: Board) -> None:
    says(board, "IMC", state="LOCKED")
    says(board, "SUS", mode=Mode.MANAGED.name, manager="IMC")
    assert (cell(board, "SUS")["under"], [place.facts.node for place in board.tree()]) == ("IMC", ["IMC"])
    says(board, "SUS", mode="AUTO", manager="")
    assert cell(board, "SUS")["under"] == ""
    before = board.cells["SUS"].seq
    lists(board, "IMC", SUS=True, ELSEWHERE=True)
    assert cell(board, "SUS")["under"] == "IMC" and board.cells["SUS"].seq > before
    assert cell(board, "SUS")["flags"] == {"UNMANAGED": "IMC took it, and its MODE is AUTO"}


def test_a_node_that_is_taken_away_goes_with_a_number_and_may_come_back(board: Board) -> None:
    says(board, "IMC", state="LOCKED")
    lists(board, "IMC", SUS=True)
    seen = board.seq
    board.take_away("SUS")
    assert "SUS" not in board.cells and board.gone["SUS"] > seen
    assert [place.facts.node for place in board.tree()] == ["IMC"]
    board.take_away("SUS")
    board.place(["SUS"])
    assert "SUS" not in board.gone and board.cells["SUS"].seq > seen
    assert not board.cells["SUS"].facts.there


def test_rows_are_kept_for_as_long_as_a_page_shows_the_node(board: Board) -> None:
    pv = NAMES.pv("SUS", "USERMSG")
    board.hear({pv: heard("before")})
    assert board.rows("SUS") == {}
    with board.showing("SUS"):
        board.hear({pv: heard("waiting", severity=1)})
        seen = board.seq
        with board.showing("SUS"):
            assert board.rows("SUS")["USERMSG"].text == "waiting"
        board.hear({pv: LOST})
        assert board.rows("SUS", since=seen)["USERMSG"].severity == 3
        assert board.rows("SUS", since=board.seq) == {}
    assert board.rows("SUS") == {} and pv not in board.pvs("SUS")
    assert NAMES.pv("SUS", "SUMMARY") in board.pvs("SUS"), "the cell is still followed"


def test_a_page_that_shows_a_node_keeps_its_rows_while_the_node_is_away(board: Board) -> None:
    pv = NAMES.pv("SUS", "USERMSG")
    with board.showing("SUS"):
        board.hear({pv: heard("waiting")})
        board.take_away("SUS")
        board.place(["SUS"])
        board.hear({pv: heard("again")})
        assert board.rows("SUS")["USERMSG"].text == "again"
    board.take_away("SUS")
    assert board.pvs("SUS") == []


def test_who_waits_is_told_of_each_change(board: Board) -> None:
    with board.waiting() as event:
        says(board, "SUS", state="SAFE")
        assert event.is_set()


def test_a_node_that_two_hosts_run_is_an_alarm_and_names_them(board: Board) -> None:
    says(board, "SUS", state="SAFE", request="SAFE", severity="NO_ALARM", ok=True)
    before = board.seq
    board.run_by({"SUS": ["l1:5064", "l2:5064"]})
    told = cell(board, "SUS")
    assert (told["ok"], told["severity"]) == (False, "MAJOR") and board.cells["SUS"].seq > before
    assert told["why"] == told["flags"]["TWICE"] == "is run by l1:5064 and l2:5064: remove it from all but one"
    board.run_by({})
    told = cell(board, "SUS")
    assert (told["ok"], told["severity"], told["flags"]) == (True, "NO_ALARM", {})


def test_a_summary_that_is_none_is_no_node_that_is_well(board: Board) -> None:
    board.hear({NAMES.pv("SUS", "SUMMARY"): heard("what is this?")})
    told = cell(board, "SUS")
    assert (told["there"], told["ok"], told["severity"]) == (True, False, "INVALID") and "what is this?" in told["why"]
