"""Nodes that manage nodes (section 7 of the design), over Channel Access between real workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

#: A device: SAFE, ALIGNED, and TRIPPED, where it jumps while a file says so.
SUS = """\
import os
from guardian import GuardState
request = nominal = 'ALIGNED'
class SAFE(GuardState):
    goto = True
class ALIGNED(GuardState):
    def run(self):
        if os.path.exists(os.path.join(os.path.dirname(__file__), 'trip_' + SYSTEM)):
            return 'TRIPPED'
        return True
class TRIPPED(GuardState):
    redirect = False
    def run(self):
        return not os.path.exists(os.path.join(os.path.dirname(__file__), 'trip_' + SYSTEM))
edges = [('INIT', 'SAFE'), ('SAFE', 'ALIGNED'), ('TRIPPED', 'SAFE')]
"""
MANAGER = """\
from guardian import GuardState, NodeManager
request = nominal = 'ALIGNED'
nodes = NodeManager(['SUS_1', 'SUS_2'])
class INIT(GuardState):
    request = False
    def main(self):
        nodes.set_managed()
    def run(self):
        return all([node.i_manage for node in nodes])
class SAFE(GuardState):
    goto = True
    def main(self):
        for node in nodes:
            node.set_request('SAFE')
    def run(self):
        return nodes.completed
class ALIGNED(GuardState):
    @nodes.checker()
    def main(self):
        for node in nodes:
            nodes[node.name] = 'ALIGNED'
    @nodes.checker()
    def run(self):
        for node in nodes.get_stalled_nodes():
            log('revive ' + node.name)
            node.revive()
        return nodes.completed
edges = [('INIT', 'SAFE'), ('SAFE', 'ALIGNED')]
"""
FILES = {"sus": SUS, "SUS_1": "from sus import *\n", "SUS_2": "from sus import *\n", "TOP": MANAGER}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Guardhost]:
    """A manager and two devices in one host, all where they are wanted."""
    with Guardhost(tmp_path, FILES, nodes=["SUS_1", "SUS_2", "TOP"]) as host:
        host.wait("TOP", "OK", "True")
        yield host


def summary(host: Guardhost, node: str) -> dict[str, object]:
    told: dict[str, object] = json.loads(host.get(node, "SUMMARY"))
    return told


def test_a_manager_takes_its_subordinates_and_asks_them_as_itself(tree: Guardhost) -> None:
    for node in ("SUS_1", "SUS_2"):
        told = summary(tree, node)
        assert (told["mode"], told["manager"], told["state"]) == ("MANAGED", "TOP", "ALIGNED")
        assert str(told["by"]).startswith("TOP, ") and str(told["cmd"]).startswith("TOP#")
    tree.wait("TOP", "SUBNODES_TOTAL", 2)
    tree.wait("TOP", "SUBNODES_NOT_OK", 0)


def test_a_tripped_device_stalls_is_told_in_WHY_and_is_revived(tree: Guardhost) -> None:
    trip = tree.folder / "trip_SUS_2"
    trip.touch()
    tree.wait("SUS_2", "STATE", "TRIPPED")
    eventually(lambda: "because SUS_2:" in tree.get("TOP", "WHY"), 30, "WHY to name SUS_2")
    assert "SUS_2" in tree.get("TOP", "WHY") and tree.get("TOP", "OK") == "False"
    trip.unlink()
    tree.wait("TOP", "OK", "True")
    assert tree.get("SUS_2", "STATE") == "ALIGNED"


def test_a_request_of_a_person_is_told_by_the_manager(tree: Guardhost) -> None:
    tree.put("SUS_1", "REQUEST", "SAFE")
    eventually(lambda: "REQUEST is SAFE by" in tree.get("TOP", "USERMSG"), 30, "the manager to say so")
    assert "SUS_1" in tree.get("TOP", "USERMSG")
    tree.wait("TOP", "STATUS", "RUN")
