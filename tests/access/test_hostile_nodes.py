"""Node objects under attack: interrupts at every point, odd names, threads, forks, garbage (section 7, R8, R13)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.access.asked import Client
from tests.access.test_plain_nodes import caproto_server
from tests.support.child import REPO, Child
from tests.support.net import ca_env, free_port, random_prefix

pytestmark = [pytest.mark.ca, pytest.mark.proc]

CHECKS = [
    "interrupt_the_making_of_a_node",
    "interrupt_a_request",
    "interrupt_a_taking",
]


@pytest.fixture
def attacker() -> Iterator[Client]:
    prefix, port = random_prefix(), free_port()
    argv = [sys.executable, "-m", "tests.access.hostile", prefix.rstrip(":")]
    with (
        caproto_server(prefix, port, "ours"),
        Child(argv, env=ca_env(port), cwd=REPO, stdin=True) as child,
    ):
        yield Client(child)


@pytest.mark.parametrize("check", CHECKS)
def test_an_attack(attacker: Client, check: str) -> None:
    print(attacker.check(check))
