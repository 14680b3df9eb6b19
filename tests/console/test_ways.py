"""The way of a node whose documents are slow, missing or damaged: its PVs say here what a test wants."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from guardian.client.names import Names
from guardian.client.watch import Watch
from guardian.console.board import Board, Cell
from guardian.console.console import Console
from guardian.console.documents import Documents
from guardian.console.orders import why_not_now
from guardian.console.ways import way_of
from guardian.core.documents import graph_facts
from guardian.core.facts import Facts
from guardian.core.graph import Graph
from guardian.core.names import PV_TEMPLATE
from guardian.errors import ExpectedError
from tests.core.driver import system

_SYSTEM = system("INIT>COLD COLD>WARM WARM>HOT")
GRAPH = json.dumps(graph_facts(Graph.build(_SYSTEM.states, _SYSTEM.edges)))
OVEN = Facts(node="OVEN", where="x:1", ours=True, state="COLD", target="COLD", request="COLD", status="DONE",
             op="EXEC", mode="AUTO", error="NONE", request_id=7)  # fmt: skip


class Texts:
    """What the PVs of the node say; those of which nothing is said do not answer."""

    def __init__(self, **rows: str) -> None:
        self._rows = {"LOAD_TIME": "1.5", **rows}

    async def read(self, pv: str) -> str:
        row = pv.partition("OVEN_")[2]
        if row not in self._rows:
            raise ExpectedError(f"{pv} did not answer within 3 s")
        return self._rows[row]


def console(**rows: str) -> Console:
    names = Names(ifo="X1", template=PV_TEMPLATE)
    board, watch = Board(names), cast(Watch, Texts(**rows))
    board.cells["OVEN"] = Cell("OVEN", OVEN)
    documents = Documents(board, watch)
    return Console(title="X1", names=names, board=board, watch=watch, documents=documents, folders=list)


async def way(state: str, **rows: str) -> dict[str, Any]:
    return (await way_of(console(**rows), "OVEN", state)).encode()


@pytest.mark.parametrize("times", [{}, {"DURATIONS": ""}, {"DURATIONS": "nonsense"}], ids=str)
async def test_a_node_that_does_not_say_how_long_it_takes_can_be_asked_all_the_same(times: dict[str, str]) -> None:
    told = await way("HOT", GRAPH=GRAPH, **times)
    assert told["states"] == ("COLD", "WARM", "HOT") and not told["dangerous"]
    assert told["times"] == {} and told["word"] == "Request HOT (2 states)"


@pytest.mark.parametrize(
    "text", [GRAPH[:-40], "nonsense", "[]", "3", "null", '{"states": 3}', "[" * 100_000], ids=lambda text: text[:12]
)
async def test_a_graph_that_cannot_be_read_is_a_danger_that_takes_the_name_of_the_node(text: str) -> None:
    shown = await way_of(console(GRAPH=text, DURATIONS=""), "OVEN", "HOT")
    told = shown.encode()
    assert told["states"] == () and told["dangerous"]
    assert told["warnings"][-1].startswith("its GRAPH cannot be read, so the way may pass any state")
    assert "confirm it by the name" in (why_not_now(shown, {"basis": told["basis"]}) or "")
    assert why_not_now(shown, {"basis": told["basis"], "confirm": "OVEN"}) is None


async def test_a_graph_that_can_be_read_no_more_is_another_look() -> None:
    seen = (await way_of(console(GRAPH=GRAPH), "OVEN", "HOT")).encode()
    now = await way_of(console(GRAPH=GRAPH[:-40]), "OVEN", "HOT")
    why = why_not_now(now, {"basis": seen["basis"], "confirm": "OVEN"})
    assert why is not None and "meanwhile its GRAPH cannot be read" in why


@pytest.mark.parametrize("text", ["", '{"states": [], "edges": []}'])
async def test_a_node_without_code_has_no_graph_and_no_danger(text: str) -> None:
    told = await way("HOT", GRAPH=text)
    assert told["states"] == () and not told["dangerous"]
