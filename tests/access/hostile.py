"""What user code and bad luck can do to `Node` objects; asked for the functions below by their names.

The node OLD is of the set ``ours`` (`tests.access.original`): it shows what a test plays, and answers to nothing.
"""

from __future__ import annotations

import json
import sys
import threading

from guardian.access import node as node_module
from guardian.access.node import Node
from tests.access.asked import answer
from tests.access.interrupting import interrupted
from tests.access.managing import ME, Site
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
    """Wherever it hits, what is asked once more is written, or was."""
    node_module.CONFIRM_S = 0.01
    for at in range(POINTS):
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
    """Wherever it hits, a node that was not taken does not count as ours."""
    node_module.CONFIRM_S = 0.01
    for at in range(POINTS):
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


if __name__ == "__main__":
    everything = Site(sys.argv[1])
    answer(lambda check: globals()[check](everything))
