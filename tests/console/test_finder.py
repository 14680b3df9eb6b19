"""Which nodes come to the board and go from it, by what the network says."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from guardian.client.finding import Found
from guardian.client.names import Names
from guardian.console.board import Board
from guardian.console.finder import Finder
from tests.console.test_board import says


class Renewed:
    """Keeps which PVs are searched for anew."""

    def __init__(self) -> None:
        self.pvs: list[str] = []

    def renew(self, pvs: Iterable[str]) -> None:
        self.pvs = list(pvs)


@pytest.fixture
def board() -> Board:
    return Board(Names(ifo="X1"))


@pytest.fixture
def watch() -> Renewed:
    return Renewed()


@pytest.fixture
def finder(board: Board, watch: Renewed) -> Finder:
    return Finder(board, watch, board.names, ["NAMED"])  # type: ignore[arg-type]


def test_what_hosts_list_is_there_beside_what_was_named(board: Board, finder: Finder) -> None:
    finder.take(Found(hosts={"l1:5064": ["SUS", "IMC"]}))
    assert {*board.cells} == {"NAMED", "SUS", "IMC"}


def test_a_node_that_its_host_lists_no_more_goes_once_it_is_silent(board: Board, finder: Finder) -> None:
    finder.take(Found(hosts={"l1:5064": ["SUS", "IMC"]}))
    says(board, "SUS", state="SAFE")
    finder.take(Found(hosts={"l1:5064": []}))
    assert {*board.cells} == {"NAMED", "SUS"}, "one that still speaks is there, whatever a list says"


def test_a_node_whose_host_does_not_answer_stays(board: Board, finder: Finder) -> None:
    finder.take(Found(hosts={"l1:5064": ["SUS"], "l1:5066": ["IMC"]}))
    finder.take(Found(hosts={"l1:5066": ["IMC"]}))
    finder.take(Found(hosts={}, deaf=["l1:5064"]))
    assert {*board.cells} == {"NAMED", "SUS", "IMC"}
    finder.take(Found(hosts={"l1:5066": ["IMC", "SUS"]}))
    finder.take(Found(hosts={"l1:5064": [], "l1:5066": ["IMC"]}))
    assert {*board.cells} == {"NAMED", "IMC"}, "it had moved, and went from there"


def test_what_was_named_and_nobody_lists_is_looked_for_as_an_original_guardians(
    board: Board, finder: Finder, watch: Renewed
) -> None:
    finder.take(Found(hosts={"l1:5064": ["SUS"]}))
    assert "X1:GRD-NAMED_STATE_S" in board.pvs("NAMED") and "X1:GRD-SUS_STATE_S" not in board.pvs("SUS")
    assert {"X1:GRD-NAMED_STATE_S", "X1:GRD-NAMED_SUMMARY", "X1:GRD-SUS_SUMMARY"} <= {*watch.pvs}
    says(board, "SUS", state="SAFE")
    finder.take(Found(hosts={"l1:5064": ["SUS"]}))
    assert "X1:GRD-SUS_SUMMARY" not in watch.pvs
