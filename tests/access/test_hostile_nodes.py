"""Node objects under attack: interrupts at every point, odd names, threads, forks, garbage (section 7, R8, R13)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.access.asked import Client
from tests.support.child import REPO, Child
from tests.support.net import ca_env, free_port, random_prefix

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.timeout(300)]

CHECKS = [
    "interrupt_the_making_of_a_node",
    "interrupt_a_request",
    "interrupt_a_taking",
    "fork",
    "odd_names",
    "odd_states",
    "odd_summaries",
    "empty_arrays",
    "no_access",
    "who_hangs_is_waited_for_once",
    "told_in_the_middle_of_an_import",
    "thousands",
]


@pytest.fixture
def attacker() -> Iterator[Client]:
    prefix, port = random_prefix(), free_port()
    env, server = ca_env(port), [sys.executable, "-m", "tests.access.hostile_server", prefix]
    with (
        Child(server, env=env, cwd=REPO) as serving,
        Child(
            [sys.executable, "-m", "tests.access.hostile", prefix.rstrip(":")], env=env, cwd=REPO, stdin=True
        ) as child,
    ):
        serving.wait_for("SERVER READY", 60)
        yield Client(child)


@pytest.mark.parametrize("check", CHECKS)
def test_an_attack(attacker: Client, check: str) -> None:
    print(attacker.check(check))
