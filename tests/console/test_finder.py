"""Which nodes come to the board and go from it, by what the network says."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Iterable

import pytest

from guardian.client.finding import Found, _names, find_nodes
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


def test_a_host_that_has_taken_the_port_of_another_has_removed_none_of_its_nodes(board: Board, finder: Finder) -> None:
    finder.take(Found(hosts={"l1:5064": ["SUS"], "l1:5066": ["IMC"]}))
    finder.take(Found(hosts={"l1:5064": ["IMC"]}))
    assert {*board.cells} == {"NAMED", "SUS", "IMC"}, "the host of SUS has died, and nobody has removed it"


def test_a_node_in_two_hosts_is_told(board: Board, finder: Finder) -> None:
    finder.take(Found(hosts={"l1:5064": ["SUS"], "l1:5066": ["SUS"]}))
    assert board.cells["SUS"].hosts == ("l1:5064", "l1:5066")


@pytest.mark.parametrize("listed", ['["\\ud800", "lower", 7, "SUS"]', '["SUS"]'])
def test_what_can_be_no_node_is_none(listed: str) -> None:
    assert _names(json.loads(listed)) == ["SUS"]


@pytest.mark.parametrize("listed", ['"SUS"', '{"SUS": 1}', "7", "null"])
def test_what_is_no_list_lists_nothing(listed: str) -> None:
    with pytest.raises(ValueError, match="none"):
        _names(json.loads(listed))


async def test_a_search_that_fails_is_tried_again(
    board: Board, finder: Finder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    async def fails(*_: object) -> Found:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("no way")
        return Found(hosts={"l1:5064": ["SUS"]})

    monkeypatch.setattr("guardian.console.finder.find_nodes", fails)
    monkeypatch.setattr("guardian.console.finder.EVERY_S", 0.01)
    running = asyncio.create_task(finder.run())
    with board.waiting() as changed:
        await asyncio.wait_for(changed.wait(), 30)
    assert "SUS" in board.cells
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "tried again" in caplog.text


async def test_a_process_without_descriptors_is_told_so_and_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("ioc.cas.ask.socket.socket", none)
    found = await find_nodes(Names(ifo="X1"), 0.1)
    assert not found.hosts and "Too many open files" in found.troubles[0]
