"""What user code and bad luck can do to `Node` objects; asked for the functions below by their names.

The nodes are those of `tests.access.hostile_server`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress

import numpy as np

from guardian.access import node as node_module
from guardian.access import subordinates
from guardian.access.manager import NodeManager
from guardian.access.node import Node
from guardian.core.events import Bonds
from guardian.core.peer import ECHO_S, BondFacts
from guardian.errors import EzcaError
from tests.access.asked import answer
from tests.access.interrupting import interrupted
from tests.access.managing import ME, Site, raises
from tests.access.original import SUMMARY
from tests.support.waiting import eventually

#: More points than any of these calls has.
POINTS = 5000


def in_time(what, *, within_s=5.0):
    """What a user thread gets from `what`, which must not hang."""
    got = []
    thread = threading.Thread(target=lambda: got.append(what()), daemon=True)
    thread.start()
    thread.join(within_s)
    assert got, "it hangs"
    return got[0]


def fresh_home(site, bonds=()):
    """A system of its own, on the channels of `site`."""
    home = Site(site.ifo, bonds).home
    home._channels = site.channels
    return home


def interrupt_the_making_of_a_node(site):
    """Wherever it hits, the next Node is made, and looked after."""
    site.find("OLD", "SUMMARY")
    Node("OLD").wait_connected(10)
    for at in range(POINTS):
        home = fresh_home(site)
        where = interrupted(at, lambda: Node("OLD"))
        node = in_time(lambda: Node("OLD"))
        in_time(lambda home=home: home._news() or True)  # what libca does when something changes
        try:
            eventually(lambda node=node: node._node.peer() is not None, 10)
            eventually(lambda home=home: home._told, 10, "the host to be told")
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from None
        if not where:
            print(f"{at} points", flush=True)
            return
    raise AssertionError("it never ended")


def interrupt_a_request(site):
    """Where it hits, what is asked once more is written, or was."""
    node_module.CONFIRM_S = 0.01
    for at in range(0, POINTS, 2):  # every other point, for the time it takes
        fresh_home(site)
        node = Node("OLD")
        assert node.wait_connected(10)
        where = interrupted(at, lambda node=node: node.set_request("SAFE"))
        node.set_request("SAFE")
        site.puppet.read(site.find("OLD", "REQUEST_CMD"))

        def heard(node=node):
            text = bytes(site.read("OLD", "REQUEST_CMD")).split(b"\0")[0]
            return text and json.loads(text)["id"] == node._bond.cmd

        eventually(heard, 5, f"the request to be written; interrupted at {where}")
        if not where:
            print(f"{at} points", flush=True)
            return
    raise AssertionError("it never ended")


def interrupt_a_taking(site):
    """Where it hits, a node that was not taken does not count as ours."""
    node_module.CONFIRM_S = 0.01
    for at in range(0, POINTS, 4):  # each point takes a quarter of a second
        fresh_home(site)
        site.play("OLD", MANAGER="", MODE="AUTO")
        node = Node("OLD")
        assert node.wait_connected(10)
        where = interrupted(at, lambda node=node: node.set_managed())
        if node.i_manage:
            eventually(lambda: (site.read("OLD", "MANAGER"), site.read("OLD", "MODE")) == (ME, "MANAGED"), 2, where)
        if not where:
            assert node.i_manage
            print(f"{at} points", flush=True)
            return
    raise AssertionError("it never ended")


def fork(site):
    """A child of user code reads nothing and writes nothing, and does not hang on a lock that nobody will open."""
    Node("OLD").wait_connected(10)
    nodes = NodeManager(["OLD", "AWAY"])
    for _ in range(20):
        Node("OLD")  # the keeper is at work
        pid = os.fork()
        if not pid:
            with suppress(BaseException):
                signal.alarm(10)
                unknown = (nodes["OLD"].STATE, nodes["OLD"].arrived, nodes.not_ok(), Node("OLD").STATE, Node("NEW").OK)
                assert unknown == (None, False, {"OLD", "AWAY"}, None, None)
                for write in (nodes.set_managed, nodes.release, nodes["OLD"].revive, lambda: Node("NEW").set_managed()):
                    with raises(EzcaError, "forked"):
                        write()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
    assert nodes["OLD"].STATE == "SAFE"


def odd_names(_site):
    for name in (" ", "SUS 1", "SUS_1 ", "SUS/2", "SUS.VAL", "SUS\0", "SÜS", "\ud800", "A" * 61, "A" * 100_000):
        with raises(ValueError, "names no node"):
            Node(name)
    for name in ("", None, 3, b"OLD", ["OLD"], object()):
        with raises(TypeError, "named by a text"):
            Node(name)
    with raises(TypeError, "list of names"):
        NodeManager("OLD")
    nodes = NodeManager(np.array(["OLD", "OLD", "AWAY"]))
    assert [type(node.name) for node in nodes] == [str, str] and np.str_("OLD") in nodes
    assert nodes[np.str_("OLD")] is nodes["OLD"]


def odd_states(site):
    node = Node("OLD")
    assert node.wait_connected(10)
    for state in ("", None, 3, b"SAFE", Node):
        with raises(TypeError, "named by a text"):
            node.set_request(state)
    with raises(EzcaError, "100000 bytes"):
        node.set_request("A" * 100_000)
    node.set_request(np.str_(" SAFE\n"))
    asked = json.loads(bytes(site.read("OLD", "REQUEST_CMD")).split(b"\0")[0])
    assert asked["state"] == "SAFE"
    site.play(SUMMARY=json.dumps({**json.loads(SUMMARY), "cmd": asked["id"], "worker": "RUN"}))
    eventually(lambda: node.arrived)
    site.play(SUMMARY=SUMMARY)


def odd_summaries(site):
    """Reading never raises, and what a node tells of itself cannot fill the reports of its manager."""
    node = Node("OLD")
    assert node.wait_connected(10)
    for text in (" ", "{", "[]", "null", "\\ud800", '{"state": {}}', "[" * 1900):
        site.play(SUMMARY=text)
        eventually(lambda: node.STATE is None)
        assert not node.arrived and node.check_fault()
    site.play(
        SUMMARY=json.dumps({"state": "\ud800", "why": "y" * 1800, "connect": [[], 3, "X"], "ok": 1, "states": -1})
    )
    eventually(lambda: node.STATE == "\ud800")
    eventually(lambda: any(0 < len(one.why) <= 300 for one in site.home._told if one.node == "OLD"))
    site.play(SUMMARY=SUMMARY)
    eventually(lambda: node.STATE == "SAFE")


def empty_arrays(site):
    """SUMMARY or STATE may be anything on a foreign server: an array of numbers that has none, for instance."""
    nodes = [Node("NUMBERS"), Node("NOTHING"), Node("OLD")]
    assert nodes[2].wait_connected(10)
    time.sleep(1.5)  # until plain PVs are believed
    for node in nodes[:2]:
        assert node.check_fault() in (True, False) and not node.arrived and node.STATE in (None, "")
    site.play(STATE="SAFE")
    third = Node("OLD")
    eventually(lambda: third._node in site.home._nodes.values() and site.home._keeping.locked())
    eventually(lambda: {"NUMBERS", "NOTHING", "OLD"} <= {one.node for one in site.home._told})


def no_access(site):
    """What could not be written does not count as ours, not even for two seconds."""
    node = Node("CLOSED")
    assert node.wait_connected(10)
    site.said.clear()
    node.set_managed()
    assert [line for line in site.said if line.startswith("CLOSED: not taken: ") and "no write access" in line]
    assert not node.i_manage and not node.managed
    with raises(EzcaError, "no write access"):
        node.set_request("SAFE")
    assert not node.arrived


def who_hangs_is_waited_for_once(site):
    node = Node("OLD")
    assert node.wait_connected(10)
    node.set_request("SAFE")
    node._bond.asked_at -= ECHO_S
    began = time.monotonic()
    for turn in range(10):
        node.set_request("SAFE")
        node._bond.asked_at -= ECHO_S
        node.set_request(f"ALIGNED{turn}")
    assert time.monotonic() - began < 1.0
    others = [Node("OLD") for _ in range(20)]
    for other in others:
        other.set_request("SAFE")
    assert time.monotonic() - began < 2.5, "a host that hangs has many nodes"
    fault = "no answer to REQUEST"
    node._bond.asked_at -= ECHO_S
    assert fault in site.faults(node)[0]


def told_in_the_middle_of_an_import(site):
    """What the last worker had asked is not forgotten by the host because new code asks before it has named all."""
    bonds = [
        BondFacts(key="OLD", state="SAFE", cmd="X#1", managed=True),
        BondFacts(key="AWAY", state="A", managed=True),
    ]
    again = Site(site.ifo, bonds)
    try:
        with suppress(ZeroDivisionError), again.home.importing():
            node = Node("OLD")
            assert node.wait_connected(10)
            node.set_request("ALIGNED")
            told = {one.key: one.state for one in [r for r in again.reports if isinstance(r, Bonds)][-1].bonds}
            assert told == {"OLD": "ALIGNED", "AWAY": "A"}, told
            raise ZeroDivisionError
    finally:
        node_module.settle(site.home)


def thousands(site):
    """Made and thrown away: nothing stays, neither channels nor bonds, and what lives on is looked after."""
    kept = Node("OLD")
    assert kept.wait_connected(10)
    kept.set_request("SAFE")
    subordinates.LINGER_S = 0.5
    began = time.monotonic()
    for turn in range(3000):
        [Node("OLD"), Node(f"T{turn % 100}")]
    assert time.monotonic() - began < 20
    eventually(lambda: set(site.home._nodes) == {"OLD"}, 20)
    eventually(lambda: len(site.channels._apart) < 5, 20)
    assert {bond.node for bond in site.home._bonds.values()} == {"OLD"}
    many = [Node("OLD") for _ in range(1000)]
    assert kept.STATE == many[-1].STATE == "SAFE" and not many[0].arrived


if __name__ == "__main__":
    everything = Site(sys.argv[1])
    answer(lambda check: globals()[check](everything))
