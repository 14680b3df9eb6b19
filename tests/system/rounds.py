"""A manager that asks a device at random, over a slow line, and tells each time that it believes to have arrived.

A program: ``python -m tests.system.rounds IFO NODE FOLDER ROUNDS SEED``. It has real `Node` objects in two sites, TOP1
and TOP2, and asks for A, B and A again in quick succession, while people ask in between, the device trips and is
revived, and the manager or the device is restarted. ``CLAIM {json}`` is a claim: which site, how often that one has
asked, what it claims of which event of the device, and when. ``DONE`` ends it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from guardian.access import node as node_module
from guardian.access.channels import Channels
from guardian.access.node import Node
from guardian.access.subordinates import Subordinates
from guardian.core.events import Bonds
from guardian.core.names import PV_TEMPLATE, pv_name
from guardian.errors import EzcaConnectError

STATES = ("SAFE", "HALF", "FULL")
#: The device: every state is a goto, and takes as long as it likes. It notes when a state completes.
DEVICE = """\
import os, random, time
from guardian import GuardState
HERE = os.path.dirname(__file__)
def note():
    with open(os.path.join(HERE, SYSTEM + '.notes'), 'a') as file:
        file.write('%r %s\\n' % (time.time(), STATE_NOW[0]))
STATE_NOW = ['']
class Quick(GuardState):
    goto = True
    def main(self):
        STATE_NOW[0] = type(self).__name__
        self.left = random.choice((0, 0, 0, 1, 2))
        return self.completes()
    def run(self):
        trip = os.path.join(HERE, SYSTEM + '.trip')
        if os.path.exists(trip):
            os.unlink(trip)
            return 'TRIPPED'
        return self.completes()
    def completes(self):
        self.left -= 1
        if self.left < 0:
            note()
        return self.left < 0
class SAFE(Quick): pass
class HALF(Quick): pass
class FULL(Quick):
    redirect = False
class TRIPPED(GuardState):
    def main(self):
        return True
    def run(self):
        return True
edges = [('INIT', 'SAFE'), ('TRIPPED', 'SAFE')]
request = 'SAFE'
"""


class Site:
    """One manager: its Node object, and what it remembers."""

    def __init__(self, me: str, ifo: str, name: str) -> None:
        self.me, self.ifo, self.name = me, ifo, name
        self.channels = Channels(ifo)
        self.bonds: tuple[Any, ...] = ()
        self.asked = 0
        self.start()

    def start(self) -> None:
        """A new worker, which knows what was stored."""
        home = Subordinates(
            self.me,
            ifo=self.ifo,
            template=PV_TEMPLATE,
            channels=self.channels,
            bonds=self.bonds,
            notify=lambda text: None,
            log=lambda text: None,
            report=self.hears,
            changed=lambda: None,
        )
        node_module.settle(home)
        with home.importing():
            self.node = Node(self.name)
        assert self.node.wait_connected(30)

    def hears(self, report: Any) -> None:
        if isinstance(report, Bonds):
            self.bonds = report.bonds

    def ask(self, state: str, *, again: bool) -> None:
        before = self.node._bond.cmd
        try:
            if again:
                self.node.revive()
            else:
                self.node.set_request(state)
        except EzcaConnectError:
            if not again and self.node._bond.cmd != before:
                raise  # it may have got through, which nobody here can count
        self.asked += self.node._bond.cmd != before

    def claim(self) -> None:
        """Tell what is claimed, and of which event of the device."""
        assert self.node._node is not None
        before = self.node._node.peer()
        arrived, completed = self.node.arrived, self.node.completed
        if before is None or self.node._node.peer() is not before or not (arrived or completed):
            return
        told = {
            "me": self.me,
            "asked": self.asked,
            "event": before.id,
            "state": self.node._bond.state,
            "completed": completed,
            "at": time.time(),
        }
        print("CLAIM", json.dumps(told), flush=True)


class Rounds:
    """The rounds."""

    def __init__(self, ifo: str, name: str, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.ifo, self.name, self.folder = ifo, name, folder
        self.sites = [Site(me, ifo, name) for me in ("TOP1", "TOP2")]
        self.person = Channels(ifo, timeout_s=20)
        node_module.settle(None)

    def write(self, row: str, value: Any) -> None:
        name = pv_name(PV_TEMPLATE, ifo=self.ifo, node=self.name, name=row).removeprefix(self.ifo)
        self.person.write(name, value, wait=False)

    def round(self) -> None:
        dice = self.dice
        site = dice.choice(self.sites)
        a, b = dice.sample(STATES, 2)
        for state in dice.choice(((a,), (a, b), (a, b, a), (a, b, a), (a, a))):
            site.ask(state, again=dice.random() < 0.1)
            self.look(dice.choice((1, 1, 3)))
            self.happens()
        self.look(dice.choice((1, 10, 20)))

    def happens(self) -> None:
        fate = self.dice.random()
        if fate < 0.06:
            self.write("REQUEST", self.dice.choice(STATES))
        elif fate < 0.09:
            (self.folder / f"{self.name}.trip").touch()
        elif fate < 0.10:
            self.write("MODE", self.dice.choice((0, 1, 1)))
        elif fate < 0.104:
            self.dice.choice(self.sites).start()
        elif fate < 0.107:
            self.write("OP", "STOP")
            self.write("OP", "EXEC")

    def look(self, times: int) -> None:
        for _ in range(times):
            for site in self.sites:
                site.claim()
            time.sleep(self.dice.choice((0.0, 0.001, 0.01)))


def main(ifo: str, name: str, folder: Path, rounds: int, seed: int) -> None:
    all_rounds = Rounds(ifo, name, folder, seed)
    for _ in range(rounds):
        all_rounds.round()
    for site in all_rounds.sites:
        print("ASKED", site.me, site.asked)
    print("DONE", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
