"""Systems for tests of managers: a device, a manager that drives two of them, and one that does what a test says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.system.hosting import Guardhost

#: A device: SAFE, ALIGNED, and TRIPPED, where it jumps while the file trip_NODE is there.
DEVICE = """\
import os
from guardian import GuardState
TRIP = os.path.join(os.path.dirname(__file__), 'trip_' + SYSTEM)
request = nominal = 'ALIGNED'
class SAFE(GuardState):
    goto = True
class ALIGNED(GuardState):
    def run(self):
        return 'TRIPPED' if os.path.exists(TRIP) else True
class TRIPPED(GuardState):
    redirect = False
    def run(self):
        return not os.path.exists(TRIP)
edges = [('INIT', 'SAFE'), ('SAFE', 'ALIGNED'), ('TRIPPED', 'SAFE')]
"""
#: Takes its nodes as they come, aligns them, and revives those that stall.
MANAGER = """\
from guardian import GuardState, NodeManager
request = nominal = 'ALIGNED'
nodes = NodeManager(['SUS_1', 'SUS_2'])
class INIT(GuardState):
    request = False
    def run(self):
        nodes.set_managed([node.name for node in nodes if not node.i_manage])
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
            node.revive()
        return nodes.completed
edges = [('INIT', 'SAFE'), ('SAFE', 'ALIGNED')]
"""
#: Evaluates the lines of NODE.do, once each, and shows what it sees in NODE.saw.
PUPPET = """\
import json, os, time
from guardian import GuardState, Node, NodeManager
HERE = os.path.dirname(__file__)
request = nominal = 'UP'
nodes = NodeManager({nodes})
class UP(GuardState):
    def main(self):
        self.done, self.runs, self.began, self.said = 0, 0, time.time(), None
    def run(self):
        self.runs += 1
        try:
            lines = open(os.path.join(HERE, SYSTEM + '.do')).read().split('\\n')[:-1]
        except FileNotFoundError:
            lines = []
        for line in lines[self.done:]:
            self.said = repr(eval(line, globals(), {{'self': self}}))
            self.done += 1
        saw = dict(
            arrived=nodes.arrived, completed=nodes.completed, not_ok=sorted(nodes.not_ok()), done=self.done,
            states={{node.name: node.STATE for node in nodes}}, fault=nodes.check_fault(), said=self.said,
            runs=self.runs, since=self.began, mine={{node.name: node.i_manage for node in nodes}},
        )
        with open(os.path.join(HERE, SYSTEM + '.new'), 'w') as file:
            json.dump(saw, file)
        os.replace(file.name, os.path.join(HERE, SYSTEM + '.saw'))
        return True
edges = [('INIT', 'UP')]
"""
DEVICES = {"device": DEVICE, "SUS_1": "from device import *\n", "SUS_2": "from device import *\n"}


def puppet(*nodes: str) -> str:
    """A manager of these nodes that does what a test says."""
    return PUPPET.format(nodes=list(nodes))


class Puppet:
    """The strings of a puppet that runs in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._do = folder / f"{name}.do"
        self._saw = folder / f"{name}.saw"
        self.name = name

    def saw(self) -> dict[str, Any]:
        """What it saw in its last run(); {} if there was none yet."""
        try:
            seen: dict[str, Any] = json.loads(self._saw.read_text())
        except FileNotFoundError:
            return {}
        return seen

    def do(self, line: str) -> None:
        """Evaluate this expression in its next run(), which may take its time."""
        before = self._do.read_text() if self._do.exists() else ""
        self._do.with_suffix(".next").write_text(f"{before}{line}\n")
        os.replace(self._do.with_suffix(".next"), self._do)

    def forget(self) -> None:
        """Nothing is to be done by a state that is entered from now on; what was seen is forgotten."""
        self._do.unlink(missing_ok=True)
        self._saw.unlink(missing_ok=True)


def summary(host: Guardhost, node: str) -> dict[str, Any]:
    """SUMMARY of a node."""
    told: dict[str, Any] = json.loads(host.get(node, "SUMMARY"))
    return told


#: A manager that holds on: it takes what it has not got, and asks again whoever is not where it is wanted.
HOLDS_ON = """\
from guardian import GuardState, NodeManager
request = nominal = 'ALIGNED'
nodes = NodeManager({nodes})
def take():
    missing = [node.name for node in nodes if not node.i_manage]
    if missing:
        nodes.set_managed(missing)
    return not missing
class INIT(GuardState):
    request = False
    def run(self):
        return take()
class ALIGNED(GuardState):
    @nodes.checker()
    def run(self):
        if not take():
            return False
        for node in nodes:
            node.set_request('ALIGNED')
        return nodes.completed
edges = [('INIT', 'ALIGNED')]
"""


def tree(managers: int, devices: int) -> tuple[dict[str, str], dict[str, list[str]]]:
    """One TOP, so many managers below it, and so many devices in all.

    Returns
    -------
    dict
        The source of each module, ``device`` among them, which is no node.
    dict
        The nodes below each manager, by its name.
    """
    middle = [f"M{n}" for n in range(managers)]
    below = {name: [f"D{n}" for n in range(devices) if n % managers == at] for at, name in enumerate(middle)}
    below = {"TOP": middle, **below}
    files = {name: HOLDS_ON.format(nodes=nodes) for name, nodes in below.items()}
    files |= {f"D{n}": "from device import *\n" for n in range(devices)}
    return {"device": DEVICE, **files}, below
