"""Screens of PyDM, shown without a monitor: they show what real nodes are, and their buttons ask them for states."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardian.core.screens.colours import PALETTE, Role
from tests.plants import CaprotoPlant
from tests.support import REPO, ca_env, eventually, free_port
from tests.support.screens import Shown, why_not
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.slow]

ODD = r"""
from guardian import GuardState
request = nominal = 'A"B'
for place, name in enumerate(['A"B', 'UP & <B>AWAY</B>', '$(IFO)', 'C\\D', 'ÄÖ', 'A' * 39]):
    globals()[name] = type('S', (GuardState,), {'index': 10 * place + 10})
class BAD(GuardState):
    index = 400
    def main(self):
        notify('<b>it is bad</b>')
        return 1 / 0
class WAITS(GuardState):
    index = 500
    def main(self):
        return ezca['NOT_THERE'] == 1
edges = [('INIT', 'A"B')]
"""
LARGE = """
from guardian import GuardState
request = nominal = 'STATE_007_OF_A_LONG_CHAIN'
for number in range(150):
    globals()['STATE_%03d_OF_A_LONG_CHAIN' % number] = type('S', (GuardState,), {'index': 10 * number + 1})
edges = [('INIT', 'STATE_007_OF_A_LONG_CHAIN')]
"""


def export(host: Guardhost, *nodes: str, path: Path) -> Path:
    """The screens of these nodes."""
    folder = host.folder / "screens"
    words = ["export", *nodes, "--pydm", "-o", str(folder), "--ifo", host.ifo, "--path", str(path)]
    command = [sys.executable, "-m", "guardian.cli.guardutil", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def colour(screen: Shown, x: int, y: int, wanted: Role) -> None:
    """Until it is that there."""
    wait(screen, lambda: screen.ask("pixel", x, y) == f"#{PALETTE[wanted]}", f"{wanted.name} at {x}, {y}")


def text(screen: Shown, pv: str, wanted: str) -> None:
    """Until it is read there."""
    wait(screen, lambda: wanted in screen.texts().get(pv, ""), f"{wanted!r} to be read at {pv}")


def press(screen: Shown, button: str) -> None:
    """As soon as it can be pressed."""
    wait(screen, lambda: screen.ask("click", button), f"{button} to be pressed")


def wait(screen: Shown, condition: Callable[[], Any], what: str) -> None:
    try:
        eventually(condition, 60, what, period_s=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}; it shows {screen.texts()}\n{screen.child.report()}") from None


@pytest.fixture(autouse=True)
def _can_be_shown() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Guardhost]:
    with Guardhost(tmp_path, {"ODD": ODD, "LARGE": LARGE}) as host:
        for node in ("ODD", "LARGE"):
            host.wait(node, "OK", "True", 60)
        yield host


#: Of the bar of a node's screen, of the first strip of the wall (its right end), and of the fourth lamp on it.
BAR, STRIP, OK_LAMP = (4, 50), (267, 47), (254, 47)


def test_the_demo_is_seen_on_the_wall_and_on_the_screens_of_its_nodes(tmp_path: Path):
    nodes = ("IFO", "ALIGN", "IMC_LOCK", "SUS_MC1", "SUS_MC2", "SUS_MC3")
    with CaprotoPlant() as plant:
        options = ("--path", str(REPO / "nodes"))
        env = {"EPICS_CA_ADDR_LIST": ""}
        host = Guardhost(tmp_path, {}, nodes=list(nodes), options=options, ifo=plant.prefix.rstrip(":"), env=env)
        servers = f"127.0.0.1:{plant.port} 127.0.0.1:{host.port}"
        host.env = {**ca_env(free_port()), **ca_env(host.port), "EPICS_CA_ADDR_LIST": servers}
        folder = export(host, *nodes, path=REPO / "nodes")
        with (
            host,
            Shown(folder / f"{host.ifo}-wall.ui", host.env) as wall,
            Shown(folder / f"{host.ifo}-SUS_MC1.ui", host.env) as mirror,
        ):
            host.wait("IFO", "OK", "True", 90)
            text(wall, host.pv("IFO", "STATE_S"), "LOCKED")
            colour(wall, *STRIP, Role.AUTO)
            colour(wall, *OK_LAMP, Role.GOOD)
            colour(wall, STRIP[0] + 12, STRIP[1] + 18, Role.MANAGED)  # ALIGN, one step to the right
            colour(mirror, *BAR, Role.MANAGED)
            text(mirror, host.pv("SUS_MC1", "MANAGER"), "ALIGN")
            press(mirror, "MISALIGNED")
            host.wait("SUS_MC1", "STATE", "MISALIGNED")
            text(mirror, host.pv("SUS_MC1", "STATE_S"), "MISALIGNED")
            text(mirror, host.pv("SUS_MC1", "WHY"), "REQUEST is MISALIGNED by")
            colour(wall, *OK_LAMP, Role.AWAY)


def test_buttons_ask_for_every_state_whatever_its_name_is(host: Guardhost):
    folder = export(host, "ODD", path=host.folder)
    with Shown(folder / f"{host.ifo}-ODD_states.ui", host.env) as screen:
        press(screen, "UP & <B>AWAY</B>")
        host.wait("ODD", "REQUEST", "UP & <B>AWAY</B>")
        for shown, name in (("?(IFO)", "$(IFO)"), ("C?D", "C\\D"), ("ÄÖ", "ÄÖ"), ("A" * 39, "A" * 39), ("A?B", 'A"B')):
            press(screen, shown)
            host.wait("ODD", "REQUEST", name)


def test_op_mode_and_load_are_pressed_on_the_screen_of_a_node(host: Guardhost):
    folder = export(host, "ODD", path=host.folder)
    with Shown(folder / f"{host.ifo}-ODD.ui", host.env) as screen:
        press(screen, "PAUSE")
        host.wait("ODD", "OP", "PAUSE")
        colour(screen, *BAR, Role.PAUSE)
        press(screen, "STOP")
        colour(screen, *BAR, Role.STOP)
        press(screen, "EXEC")
        press(screen, "MANUAL")
        host.wait("ODD", "MODE", "MANUAL")
        colour(screen, *BAR, Role.MANUAL)
        loaded = host.get("ODD", "LOAD_TIME")
        press(screen, "load")
        eventually(lambda: host.get("ODD", "LOAD_TIME") != loaded, 60, "the code to be loaded")
        press(screen, "AUTO")
        colour(screen, *BAR, Role.AUTO)


def test_what_is_wrong_is_seen_by_colour_and_in_words_and_a_lost_host_is_never_taken_for_a_good_one(host: Guardhost):
    folder = export(host, "ODD", "LARGE", path=host.folder)
    with (
        Shown(folder / f"{host.ifo}-ODD.ui", host.env) as screen,
        Shown(folder / f"{host.ifo}-wall.ui", host.env) as wall,
    ):
        second = (STRIP[0], STRIP[1] + 18)  # ODD is below LARGE
        colour(wall, *second, Role.AUTO)
        host.put("ODD", "MODE", "MANUAL")
        host.put("ODD", "REQUEST", "WAITS")
        colour(wall, *second, Role.CONNECT)
        text(screen, host.pv("ODD", "CONNECT_S"), f"{host.ifo}:NOT_THERE")
        host.put("ODD", "REQUEST", "BAD")
        colour(wall, *second, Role.ERROR)
        colour(screen, *BAR, Role.ERROR)
        text(screen, host.pv("ODD", "WHY"), "ZeroDivisionError")
        text(screen, host.pv("ODD", "USERMSG"), "<b>it is bad</b>")
        host.kill9()
        colour(screen, *BAR, Role.UNKNOWN)
        for lamp in range(5):
            colour(wall, OK_LAMP[0] - 27 + 9 * lamp, OK_LAMP[1] + 18, Role.UNKNOWN)
        text(screen, host.pv("ODD", "STATE_S"), "no link")
        assert not screen.ask("click", "STOP"), "a button that cannot write is none"
        assert host.child is not None
        host.child.close()
        host.options = ("--fresh",)
        host.start()
        host.wait("ODD", "OK", "True", 60)
        colour(screen, *BAR, Role.AUTO)
        colour(wall, *second, Role.AUTO)
        colour(wall, OK_LAMP[0], OK_LAMP[1] + 18, Role.GOOD)


def test_the_strip_is_embedded_by_any_screen_with_the_macros_that_sites_know(host: Guardhost):
    folder = export(host, "ODD", path=host.folder)
    macros = {"IFO": host.ifo, "SYSTEM": "ODD"}
    with Shown(folder / f"{host.ifo}-strip.ui", host.env, macros) as screen:
        text(screen, host.pv("ODD", "STATE_S"), 'A"B')
        colour(screen, 257, 7, Role.AUTO)


def test_a_hundred_and_fifty_states_are_shown_and_the_rings_are_full_where_the_node_is(host: Guardhost):
    folder = export(host, "LARGE", path=host.folder)
    with Shown(folder / f"{host.ifo}-LARGE_states.ui", host.env) as screen:
        x, y = 10 + 8 * 25 + 16 + 4, 78 + 8 * 24  # of the rings of the eighth state, below INIT
        colour(screen, x + 10, y + 10, Role.IS_STATE)
        colour(screen, x + 5, y + 10, Role.IS_REQUEST)
        colour(screen, x + 2, y + 10, Role.IS_NOMINAL)
        colour(screen, x + 10, y + 24 + 10, Role.FIELD)
        press(screen, "STATE_149_OF_A_LONG_CHAIN")
        host.wait("LARGE", "REQUEST", "STATE_149_OF_A_LONG_CHAIN")
        colour(screen, x + 5, y + 10, Role.FIELD)
