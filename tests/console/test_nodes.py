"""What pages are told of single nodes, of their graphs, and of the tree: a real console beside a real host."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.console.consoling import GuardianConsole
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
OVEN = """\
from guardian import GuardState
nominal = 'HOT'
request = 'COLD'
class DOWN(GuardState):
    goto = True
class COLD(GuardState):
    "Nothing is heated."
class WARM(GuardState):
    request = False
class HOT(GuardState):
    pass
edges = [('INIT', 'COLD'), ('DOWN', 'COLD'), ('COLD', 'WARM'), ('WARM', 'HOT'), ('HOT', 'COLD')]
"""
LONG = """\
from guardian import GuardState
request = 'S50'
def state(n):
    class State(GuardState):
        index = n + 1
    return State
for n in range(60):
    globals()[f'S{n}'] = state(n)
edges = [('INIT', 'S50')] + [(f'S{n}', f'S{n + 1}') for n in range(59)]
"""
MANAGER = """\
from guardian import GuardState, NodeManager
nodes = NodeManager(['OVEN'])
class WATCHING(GuardState):
    request = True
    def main(self):
        nodes.set_managed()
        return True
edges = [('INIT', 'WATCHING')]
request = nominal = 'WATCHING'
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    modules = {"OVEN": OVEN, "LONG": LONG, "LAB": MANAGER}
    with Guardhost(tmp_path_factory.mktemp("nodes"), modules) as host:
        host.wait("OVEN", "STATE", "COLD")
        host.wait("LONG", "STATE", "S50")
        yield host


@pytest.fixture(scope="module")
def console(house: Guardhost) -> Iterator[GuardianConsole]:
    with GuardianConsole(house) as one:
        one.wait("/api/about", lambda about: about["nodes"] == 3)
        one.wait("/api/nodes/OVEN", lambda node: node["graph"])
        yield one


def test_a_page_is_told_the_pvs_of_a_node_its_graph_and_how_long_its_states_take(
    house: Guardhost, console: GuardianConsole
) -> None:
    told = console.wait("/api/nodes/OVEN", lambda node: "COLD" in node["durations"])
    pvs = {one["row"]: one for one in told["pvs"]}
    assert pvs["OP"] == {
        "row": "OP",
        "pv": house.pv("OVEN", "OP"),
        "text": "stop, pause or run the node",
        "kind": "enum",
        "units": "",
        "asg": "OPERATE",
        "writable": True,
        "labels": ["STOP", "PAUSE", "EXEC"],
    }
    assert (pvs["STATE_TIME"]["units"], pvs["STATE_TIME"]["writable"]) == ("s", False)
    states = {state["name"]: state for state in told["graph"]["states"]}
    assert set(states) == {"INIT", "DOWN", "COLD", "WARM", "HOT"}
    assert (
        states["DOWN"]["goto"] == 1 and states["COLD"]["doc"] == "Nothing is heated." and not states["WARM"]["request"]
    )
    assert ["COLD", "WARM", 1] in told["graph"]["edges"]
    assert told["nominal"] == "HOT"
    assert set(told["durations"]["COLD"]) == {"usual", "p90", "most", "last", "count"}


def test_a_node_that_is_not_there_is_answered_with_those_that_are_called_alike(console: GuardianConsole) -> None:
    answer = console.get("/api/nodes/OVNE")
    assert answer.status == 404
    assert answer.error == "OVNE is none of the 3 nodes known here; did you mean OVEN?"


def test_new_code_brings_a_new_graph_at_once(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"OVEN": OVEN}) as host, GuardianConsole(host) as console:
        console.wait("/api/nodes/OVEN", lambda node: node["graph"])
        host.write("OVEN", OVEN.replace("HOT", "BOILING"))
        before = host.get("OVEN", "LOAD_TIME")
        host.put("OVEN", "LOAD", 1)
        host.wait("OVEN", "LOAD_STATUS", "DONE")
        assert host.get("OVEN", "LOAD_TIME") != before
        told = console.told("/api/nodes/OVEN")
        assert "BOILING" in [state["name"] for state in told["graph"]["states"]]


def test_the_tree_says_who_manages_whom(console: GuardianConsole) -> None:
    tree = console.wait("/api/tree", lambda tree: any(place["below"] for place in tree))
    assert [place["node"] for place in tree] == ["LAB", "LONG"]
    below = tree[0]["below"]
    assert below == [{"node": "OVEN", "flags": {}, "watched": False, "again": False, "below": []}]


def _ids(svg: bytes) -> set[str]:
    """Of states and edges."""
    ids = {group.get("id", "") for group in ElementTree.fromstring(svg).iter()}
    return {one for one in ids if one.startswith(("s-", "e-"))}


@needs_dot
def test_the_picture_of_a_small_graph_is_the_whole_of_it(console: GuardianConsole) -> None:
    answer = console.get("/api/nodes/OVEN/graph.svg")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert {"s-INIT", "s-DOWN", "s-COLD", "s-WARM", "s-HOT", "e-COLD--WARM", "e-HOT--COLD"} <= _ids(answer.body)
    again = console.get("/api/nodes/OVEN/graph.svg", **{"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@needs_dot
def test_of_a_large_graph_the_focus_is_shown_first(console: GuardianConsole) -> None:
    states = {one for one in _ids(console.get("/api/nodes/LONG/graph.svg").body) if one.startswith("s-")}
    assert states == {"s-INIT", "s-S49", "s-S50", "s-S51"}
    assert (
        len([one for one in _ids(console.get("/api/nodes/LONG/graph.svg?view=whole").body) if one.startswith("s-S")])
        == 60
    )


def test_where_there_is_no_dot_the_page_is_told_what_to_do(house: Guardhost, tmp_path: Path) -> None:
    with GuardianConsole(house, env={"PATH": str(tmp_path)}) as console:
        console.wait("/api/nodes/OVEN", lambda node: node["graph"])
        answer = console.get("/api/nodes/OVEN/graph.svg")
        assert answer.status == 503 and "install Graphviz" in answer.error
        assert "is none of whole, focus" in console.get("/api/nodes/OVEN/graph.svg?view=half").error
