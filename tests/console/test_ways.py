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
