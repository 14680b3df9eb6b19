"""A small site for tests of pages, and an operator who looks at it with a real browser."""

from __future__ import annotations

import json
from pathlib import Path

from guardian.console.people import Role
from tests.console.consoling import GuardianConsole
from tests.console.visiting import enrol
from tests.support.browser import Browser
from tests.system.hosting import Guardhost

OVEN = """\
from guardian import GuardState
nominal = 'HOT'
request = 'COLD'
class DOWN(GuardState):
    'Everything off.'
    index = 5
    goto = True
class COLD(GuardState):
    'Nothing is heated.'
    index = 10
class WARM(GuardState):
    index = 20
    request = False
    def main(self):
        self.timer['heat'] = 0.5
    def run(self):
        return self.timer['heat']
class HOT(GuardState):
    'As it is used.'
    index = 30
edges = [('INIT', 'COLD'), ('DOWN', 'COLD'), ('COLD', 'WARM'), ('WARM', 'HOT'), ('HOT', 'COLD')]
"""
PUMP = """\
from guardian import GuardState
nominal = request = 'ON'
class ON(GuardState):
    pass
class OFF(GuardState):
    pass
edges = [('INIT', 'ON'), ('ON', 'OFF'), ('OFF', 'ON')]
"""
#: Fails, and says so.
VALVE = """\
from guardian import GuardState
nominal = request = 'OPEN'
class OPEN(GuardState):
    def run(self):
        return 1 / 0
edges = [('INIT', 'OPEN')]
"""
#: Has something to say.
GAUGE = """\
from guardian import GuardState
nominal = request = 'READING'
class READING(GuardState):
    def run(self):
        notify('the pressure is above 1e-6 mbar')
        return True
edges = [('INIT', 'READING')]
"""
LAB = """\
from guardian import GuardState, NodeManager
nodes = NodeManager(['PUMP', 'VALVE'])
nominal = request = 'WATCHING'
class WATCHING(GuardState):
    def main(self):
        nodes.set_managed()
    def run(self):
        return True
edges = [('INIT', 'WATCHING')]
"""
SITE = {"OVEN": OVEN, "PUMP": PUMP, "VALVE": VALVE, "GAUGE": GAUGE, "LAB": LAB}


class Site:
    """A host, and a console at which people may write.

    Parameters
    ----------
    port : of the console. tokens : of the people, by name.
    """

    def __init__(self, folder: Path, house: Guardhost, port: int) -> None:
        users = folder / "users"
        self.house = house
        self.tokens = enrol(users, ann=Role.OPERATOR, eve=Role.VIEWER, bob=Role.EXPERT)
        options = ("--allow-write", "--users", str(users), "--port", str(port))
        self.console = GuardianConsole(house, options=options)

    def url(self, path: str = "/") -> str:
        return f"http://{self.console.address}{path}"

    def visit(self, browser: Browser, path: str = "/") -> None:
        """Open a page, and wait until it is live."""
        browser.open(self.url(path))
        browser.wait_text("LIVE", ".link")

    def login(self, browser: Browser, name: str) -> None:
        """As a person does it."""
        browser.click("Log in", "button")
        browser.wait("document.activeElement?.name === 'user'")
        browser.type(name)
        browser.keys("Tab")
        browser.type(self.tokens[name])
        browser.keys("Enter")
        browser.wait_text(name, ".person")


def cell(node: str) -> str:
    """The script that finds the cell of a node on the wall."""
    return f"document.querySelector('.cell[data-node={json.dumps(node)}]')"
