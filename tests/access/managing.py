"""The process that manages plain nodes with real `Node` objects; it is asked for the functions below by their names.

It plays both sides: ``site`` has the Node objects, and ``play`` writes what an original Guardian would show, over
channels of its own.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager

from guardian.access import node as node_module
from guardian.access.channels import Channels
from guardian.access.manager import NodeManager
from guardian.access.node import Node
from guardian.access.subordinate import CONFIRM_S
from guardian.access.subordinates import Subordinates
from guardian.core.events import Bonds, Subnodes
from guardian.core.names import PV_TEMPLATE, pv_name
from guardian.errors import EzcaConnectError, EzcaError
from tests.access.asked import answer
from tests.access.original import LABELS, SUMMARY
from tests.support.waiting import eventually

ME = "TOP"


class Site:
    """The nodes of one system, as its worker makes them."""

    def __init__(self, ifo, bonds=()):
        self.ifo = ifo
        self.channels = Channels(ifo)
        self.puppet = Channels(ifo, timeout_s=20)
        self.said, self.reports = [], []
        self.home = Subordinates(
            ME,
            ifo=ifo,
            template=PV_TEMPLATE,
            channels=self.channels,
            bonds=bonds,
            notify=self.said.append,
            log=print,
            report=self.reports.append,
            changed=lambda: None,
        )
        node_module.settle(self.home)

    def pv(self, node, row):
        return pv_name(PV_TEMPLATE, ifo=self.ifo, node=node, name=row)

    def find(self, node, row):
        """The name for the puppet of a PV that is there, also after a restart of its server."""
        name = self.pv(node, row)
        eventually(lambda: not self.puppet.lost([name]), 30, name)
        return name.removeprefix(self.ifo)

    def read(self, node, row):
        return self.puppet.read(self.find(node, row), as_string=row in LABELS)

    def play(self, node="OLD", **values):
        """An original Guardian shows this."""
        for row, value in values.items():
            self.puppet.write(self.find(node, row), value)

    def fresh(self, name="OLD"):
        """A Node object of a node that rests in SAFE, managed by nobody."""
        self.play(
            name, STATE="SAFE", TARGET="SAFE", REQUEST="SAFE", STATUS="DONE", STALLED=0, OP="EXEC", MODE="AUTO",
            MANAGER="", ERROR=0, NOTIFICATION=0, OK=0,
        )  # fmt: skip
        node = Node(name)
        assert node.wait_connected(10)
        eventually(lambda: (node.STATE, node.REQUEST, node.OP, node.MODE) == ("SAFE", "SAFE", "EXEC", "AUTO"))
        return node

    def arrive(self, state, node="OLD"):
        self.play(node, TARGET=state, STATUS="EDGE")
        self.play(node, STATE=state, STATUS="RUN")
        self.play(node, STATUS="DONE")

    def faults(self, node):
        self.said.clear()
        assert node.check_fault() == any("USERMSG" not in line for line in self.said)
        return list(self.said)


@contextmanager
def raises(kind, *words):
    began = time.monotonic()
    try:
        yield
    except kind as error:
        assert type(error) is kind, type(error)
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{missing} not in: {error}"
        assert time.monotonic() - began < 5
    else:
        raise AssertionError(f"no {kind.__name__}")


# -- a node that is there ---------------------------------------------------------------------------------------------


def take_and_release(site):
    node = site.fresh()
    assert not node.managed and not node.i_manage
    node.set_managed()
    assert node.i_manage and node.managed and node.MANAGER == ME and node.MODE == "MANAGED"
    assert (site.read("OLD", "MANAGER"), site.read("OLD", "MODE")) == (ME, "MANAGED")
    eventually(lambda: any(one.mine for one in site.reports[-1].subnodes) if site.reports else False)
    assert site.faults(node) == []
    site.play(MANAGER="IMC")
    eventually(lambda: not node.i_manage)
    assert site.faults(node) == ["OLD: MANAGER is IMC, not TOP any more"]
    node.release()
    assert site.read("OLD", "MANAGER") == "IMC", "it is not ours to give back"
    node.set_managed()
    node.release()
    assert (node.MODE, node.MANAGER) == ("AUTO", "") and site.faults(node) == []
    assert (site.read("OLD", "MANAGER"), site.read("OLD", "MODE")) == ("", "AUTO")


def request_and_arrive(site):
    node = site.fresh()
    assert not node.arrived and not node.completed, "nobody has asked it for anything"
    node.set_request("ALIGNED")
    assert node.REQUEST == site.read("OLD", "REQUEST") == "ALIGNED" and not node.arrived
    site.play(TARGET="ALIGNED", STATUS="EDGE")
    site.play(STATE="ALIGNED", STATUS="RUN")
    eventually(lambda: node.arrived)
    assert not node.completed and node == "ALIGNED" and node.TARGET == "ALIGNED"
    site.play(STATUS="DONE", OK=1)
    eventually(lambda: node.completed and node.done and node.OK)
    site.play(REQUEST="SAFE")
    eventually(lambda: not node.arrived)
    assert site.faults(node) == ["OLD: REQUEST is SAFE, ALIGNED was asked for"]


def a_b_a(site):
    """It is in B while A is asked for again: that it was in A, and asked for it, counts for nothing."""
    node = site.fresh()
    for turn in range(15):
        node.set_request("ALIGNED")
        assert not node.arrived, turn
        site.arrive("ALIGNED")
        eventually(lambda: node.completed)
        node.set_request("SAFE")
        assert not node.arrived, turn
        if turn % 3:
            site.arrive("SAFE")
            if turn % 2:
                eventually(lambda: node.completed)
            node.set_request("ALIGNED")
            assert not node.arrived, turn
            site.arrive("ALIGNED")
        else:  # it never left
            node.set_request("ALIGNED")
        eventually(lambda: node.completed)
        node.set_request("SAFE")
        site.arrive("SAFE")
        eventually(lambda: node.completed)


def asks_once(site):
    node = site.fresh()
    before = int(site.read("OLD", "WRITES"))
    for _ in range(20):
        node.set_request("ALIGNED")
    assert int(site.read("OLD", "WRITES")) == before + 1


def stall_and_revive(site):
    node = site.fresh()
    nodes = NodeManager([node])
    nodes.set_managed()
    nodes["OLD"] = "ALIGNED"
    site.arrive("ALIGNED")
    eventually(lambda: nodes.completed)
    assert nodes.get_stalled_nodes() == []
    for revive in (nodes.revive_all, node.revive, lambda: node.set_request("ALIGNED")):
        site.play(STATE="TRIPPED", TARGET="TRIPPED", STALLED=1, STATUS="DONE")
        eventually(lambda: nodes.get_stalled_nodes() == [node])
        assert not nodes.arrived
        before = int(site.read("OLD", "WRITES"))
        revive()
        assert int(site.read("OLD", "WRITES")) == before + 1
        site.play(STALLED=0)
        site.arrive("ALIGNED")
        eventually(lambda: nodes.completed and not node.STALLED)
    other = Node("OLD")
    other.revive()  # has asked for nothing: its present REQUEST
    assert site.read("OLD", "REQUEST") == "ALIGNED" and other.arrived


def every_fault(site):
    node = site.fresh()
    node.set_managed()
    node.set_request("SAFE")
    assert node.arrived and site.faults(node) == []
    for changes, back, sentence in (
        ({"OP": "PAUSE"}, {"OP": "EXEC"}, "OP is PAUSE, not EXEC"),
        ({"ERROR": "True"}, {"ERROR": "False"}, "ERROR in SAFE"),
        ({"ERROR": "Connect"}, {"ERROR": "False"}, "waits for a channel"),
        ({"MODE": "AUTO"}, {"MODE": "MANAGED"}, "MODE is AUTO, not MANAGED any more"),
        ({"MANAGER": ""}, {"MANAGER": ME}, "MANAGER is empty, not TOP any more"),
        ({"REQUEST": "ALIGNED"}, {"REQUEST": "SAFE"}, "REQUEST is ALIGNED, SAFE was asked for"),
    ):
        site.play(**changes)
        eventually(lambda sentence=sentence: site.faults(node) == [f"OLD: {sentence}"], 10, sentence)
        site.play(**back)
        eventually(lambda: site.faults(node) == [], 10, f"no fault after {sentence}")
    site.play(NOTIFICATION=1)
    eventually(lambda: site.faults(node) == ["OLD: see its USERMSG"])
    assert not node.check_fault() and node.NOTIFICATION


def missing_rows(site):
    """A node with no more than STATE and REQUEST: what is missing counts as what is usual."""
    node = Node("BARE")
    assert node.wait_connected(10)
    site.play("BARE", STATE="SAFE", REQUEST="SAFE")
    eventually(lambda: (node.STATE, node.REQUEST) == ("SAFE", "SAFE"))
    began = time.monotonic()
    node.set_request("ALIGNED")
    assert time.monotonic() - began < 1.5, "what is missing is not waited for"
    assert (node.OP, node.MODE, node.MANAGER, node.STALLED, node.OK) == ("EXEC", "AUTO", "", False, False)
    site.play("BARE", STATE="ALIGNED")
    eventually(lambda: node.arrived)
    assert not node.completed, "it has no STATUS to tell that"
    site.said.clear()
    node.set_managed()
    assert [line for line in site.said if line.startswith("BARE: not taken: ")], site.said
    assert not node.i_manage


def refused(site):
    node = Node("STUBBORN")
    assert node.wait_connected(10)
    with raises(EzcaError, "REQUEST", "refused"):
        node.set_request("ALIGNED")
    eventually(lambda: node.REQUEST == "SAFE")
    assert not node.arrived
    assert site.faults(node) == ["STUBBORN: REQUEST=ALIGNED did not get through"]
    with raises(EzcaError, "REQUEST", "refused"):
        node.set_request("ALIGNED")  # and not taken for asked


def a_new_worker(site):
    """R21: it knows what the last one asked and took, but who asked since cannot be told: it asks again."""
    node = site.fresh()
    node.set_managed()
    node.set_request("ALIGNED")
    site.arrive("ALIGNED")
    eventually(lambda: node.completed)
    stored = [report for report in site.reports if isinstance(report, Bonds)][-1].bonds
    again = Site(site.ifo, [facts for facts in stored if facts.key == "OLD"])
    try:
        with again.home.importing():
            node = Node("OLD")
        assert node.wait_connected(10) and node.i_manage and not node.arrived and again.faults(node) == []
        before = int(site.read("OLD", "WRITES"))
        node.set_request("ALIGNED")
        assert node.completed and int(site.read("OLD", "WRITES")) == before + 1
        with again.home.importing():  # LOAD: the same process, which has seen what it asked
            node = Node("OLD")
        assert node.completed
    finally:
        node_module.settle(site.home)


def what_the_host_is_told(site):
    node = site.fresh()
    site.play(STATE="TRIPPED", TARGET="TRIPPED", STALLED=1, REQUEST="ALIGNED")

    def told():
        last = [report for report in site.reports if isinstance(report, Subnodes)][-1]
        return next(one for one in last.subnodes if one.node == "OLD")

    eventually(lambda: told().why == "STALLED in TRIPPED, request ALIGNED" and told().there and not told().ok)
    site.play(OK=1)
    eventually(lambda: told().ok and told().why == "")
    assert node.OK


def see_ours_come(site):
    """A node of ours that starts while it is looked for is never taken for one without SUMMARY."""
    Site(site.ifo)  # its nodes are made from now on
    try:
        node = Node("OLD")
        print("LOOKING", flush=True)
        peer = node._node.peer
        eventually(lambda: peer() is not None, 30, period_s=0.0005)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert not peer().plain
            time.sleep(0.0005)
    finally:
        node_module.settle(site.home)


def ask_what_it_cannot_take(site):
    """A node that does not let itself be managed answers to requests as quickly as any."""
    node = Node("OLD")
    assert node.wait_connected(10)
    node.set_managed()
    assert node.MODE == "MANAGED" and not site.faults(node), "until its echo is due"

    def answers():
        while not (text := bytes(site.read("OLD", "REQUEST_CMD")).split(b"\0")[0]):
            time.sleep(0.01)
        asked = json.loads(text)
        site.play(SUMMARY=json.dumps({**json.loads(SUMMARY), "request": asked["state"], "cmd": asked["id"]}))

    thread = threading.Thread(target=answers)
    thread.start()
    began = time.monotonic()
    node.set_request("SAFE")
    took_s = time.monotonic() - began
    thread.join()
    assert node.arrived and took_s < 0.9 * CONFIRM_S, took_s
    eventually(lambda: site.faults(node) == ["OLD: MODE is AUTO, not MANAGED any more"])


# -- a server that hangs, goes and comes: steps on one site -----------------------------------------------------------


def use(site):
    """Before the server goes."""
    site.node = site.fresh()
    site.bare = Node("BARE")
    site.late = Node("LATE")
    site.node.set_managed()
    site.node.set_request("ALIGNED")
    site.arrive("ALIGNED")
    site.bare.wait_connected(10)
    site.bare.set_request("ALIGNED")
    eventually(lambda: site.node.completed)


def ask_while_it_hangs(site):
    with raises(EzcaError, "not confirmed"):
        site.node.set_request("SAFE")
    assert not site.node.arrived


def see_it_awake(site):
    """What was not answered in time is known when it is."""
    eventually(lambda: site.node.STATE == "ALIGNED" and site.node.REQUEST == "SAFE", 10)
    site.arrive("SAFE")
    eventually(lambda: site.node.STATE == "SAFE")
    assert not site.node.arrived, "whose request that is nobody can tell"
    site.node.set_request("SAFE")
    eventually(lambda: site.node.completed and site.faults(site.node) == [])


def ask_and_be_lost(site):
    """The server is killed while it is asked."""
    with raises(EzcaConnectError, "OLD"):
        site.node.set_request("SAFE")


def see_it_gone(site):
    eventually(lambda: site.node.STATE is None, 10)
    assert not site.node.arrived and not site.node.completed and not site.node.i_manage
    assert site.faults(site.node) == ["OLD: not connected; is its host running?"]
    for node in (site.node, site.bare, site.late):
        with raises(EzcaConnectError, node.name, "not there"):
            node.set_request("ALIGNED")
    site.said.clear()
    site.late.set_managed()
    assert site.said == ["LATE: not taken: it is not there"]


def see_it_back(site):
    """As a plain node, with the values of a new server."""
    began = time.monotonic()
    eventually(lambda: site.node.STATE == "SAFE", 20)
    print(f"back after {time.monotonic() - began:.2f} s", flush=True)
    assert not site.node.arrived
    site.node.set_managed()
    site.node.set_request("ALIGNED")
    site.arrive("ALIGNED")
    eventually(lambda: site.node.completed and site.node.i_manage and site.faults(site.node) == [])


def see_late_ones(site):
    """One that was never there, and one that has more PVs than it had."""
    eventually(lambda: site.late.STATE == site.bare.STATE == "SAFE", 20)
    assert not site.bare.arrived
    for node in (site.late, site.bare):
        site.play(node.name, OP="EXEC", MODE="AUTO", MANAGER="", ERROR=0)
        node.set_managed()
        node.set_request("ALIGNED")
        site.arrive("ALIGNED", node.name)
        eventually(lambda node=node: node.completed and node.i_manage and site.faults(node) == [])


def see_it_as_ours(site):
    """It comes back with a SUMMARY: what was asked of it by plain PVs is not known to be ours."""
    summary = {"state": "ALIGNED", "request": "ALIGNED", "by": "anna", "cmd": "", "status": "DONE", "states": 3}
    site.play(SUMMARY=json.dumps(summary), STATE="ELSEWHERE", REQUEST="ELSEWHERE")
    eventually(lambda: site.node.STATE == "ALIGNED", 20)
    eventually(lambda: site.faults(site.node)[:1] == ["OLD: REQUEST=ALIGNED was asked for again by anna"], 20)
    assert not site.node.arrived
    before = int(site.read("OLD", "WRITES"))
    site.node.set_request("ALIGNED")
    asked = json.loads(bytes(site.read("OLD", "REQUEST_CMD")).split(b"\0")[0])
    assert (asked["state"], asked["manager"]) == ("ALIGNED", ME) and int(site.read("OLD", "WRITES")) == before
    assert not site.node.arrived
    site.play(SUMMARY=json.dumps({**summary, "cmd": asked["id"], "by": ME}))
    eventually(lambda: site.node.completed)


def see_it_plain_again(site):
    """It comes back without: what was asked by id does not count, and what is asked is asked by plain PVs."""
    eventually(lambda: site.node.STATE == "SAFE", 40)
    site.play(STATE="ALIGNED", REQUEST="ALIGNED", STATUS="DONE", OP="EXEC")
    eventually(lambda: site.node.STATE == site.node.REQUEST == "ALIGNED")
    assert not site.node.arrived
    before = int(site.read("OLD", "WRITES"))
    site.node.set_request("ALIGNED")
    assert site.node.completed and int(site.read("OLD", "WRITES")) == before + 1


if __name__ == "__main__":
    everything = Site(sys.argv[1])
    answer(lambda check: globals()[check](everything))
