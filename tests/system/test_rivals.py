"""One node name, one server: hosts that start at the same instant. ``make soak`` lets PAIRS of each kind do so (200).

See :mod:`guardian.host.claims` for why exactly one of them has the node, and :mod:`tests.system.rivals` for how it is
seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.support.netns import why_not
from tests.system.rivals import Rivals, kept_hosts, on_one_machine, on_two_machines, rounds

pytestmark = [pytest.mark.ca, pytest.mark.proc]

PAIRS = int(os.environ.get("PAIRS", "200"))
#: In the suite.
FEW = 5
Where = Callable[[Path], AbstractContextManager[Rivals]]
NEED_A_CABLE = ("two machines", "two machines with wrong clocks")
WHERE: dict[str, Where] = {
    "one machine": partial(on_one_machine, locks=("locks", "locks")),
    "only the network decides": partial(on_one_machine, locks=("locks-A", "locks-B")),
    "one datagram of a hundred lost": partial(on_one_machine, locks=("locks-A", "locks-B"), lost=0.01),
    "three at once": partial(on_one_machine, locks=("locks-A", "locks-B", "locks-C")),
    "two on one machine and one on another": partial(on_one_machine, locks=("locks-A", "locks-A", "locks-C")),
    "two machines": on_two_machines,
    "two machines with wrong clocks": partial(on_two_machines, clocks_s=(4.0, -3.0)),
}


def _compete(kind: str, folder: Path, number: int) -> None:
    if kind in NEED_A_CABLE and (reason := why_not()):
        pytest.skip(reason)
    with WHERE[kind](folder) as rivals:
        print(f"{kind}: {rounds(rivals, number)}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", WHERE)
def test_of_hosts_that_start_at_the_same_instant_exactly_one_has_the_node(kind: str, tmp_path: Path) -> None:
    _compete(kind, tmp_path, FEW)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", WHERE)
def test_so_it_is_each_of_very_many_times(kind: str, tmp_path: Path) -> None:
    _compete(kind, tmp_path, PAIRS)


def _restart_together(folder: Path, locks: tuple[str, str], number: int) -> None:
    with kept_hosts(folder, locks) as kept:
        for _ in range(number):
            kept.killed_at_once()
        print(kept.report())


ONE_OR_TWO = pytest.mark.parametrize("locks", [("locks", "locks"), ("locks-A", "locks-B")], ids=["lock", "network"])


@pytest.mark.slow
@ONE_OR_TWO
def test_hosts_that_die_together_are_back_and_one_has_the_node(locks: tuple[str, str], tmp_path: Path) -> None:
    _restart_together(tmp_path, locks, 3)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@ONE_OR_TWO
def test_and_so_it_is_each_time_that_they_die(locks: tuple[str, str], tmp_path: Path) -> None:
    _restart_together(tmp_path, locks, PAIRS)
