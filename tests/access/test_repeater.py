"""No process of ours starts a CA repeater, however many of them start at once."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Child, ca_env, free_port

pytestmark = [pytest.mark.ca, pytest.mark.proc]

CLIENT = """\
import sys, time
import epics.ca
while time.time() < float(sys.argv[1]):
    pass
from guardian.access.libca import Library
Library()
time.sleep(0.5)     # a repeater is started by a thread
"""


@pytest.fixture
def repeater(tmp_path: Path) -> dict[str, str]:
    """An environment in which whoever starts a repeater is heard."""
    (tmp_path / "caRepeater").write_text("#!/bin/sh\necho a repeater was started\n")
    (tmp_path / "caRepeater").chmod(0o755)
    return ca_env(free_port(), EPICS_CA_REPEATER_PORT=str(free_port()), PATH=f"{tmp_path}:/usr/bin:/bin")


def _start(environ: dict[str, str], child: Callable[..., Child], count: int) -> str:
    at = time.time() + 2
    clients = [child([sys.executable, "-c", CLIENT, str(at)], env=environ) for _ in range(count)]
    assert [client.wait(60) for client in clients] == [0] * count
    return "".join(client.output for client in clients)


def test_clients_that_start_at_the_same_moment_start_no_repeater(
    repeater: dict[str, str], child: Callable[..., Child]
) -> None:
    assert _start(repeater, child, 6) == ""


def test_beside_a_repeater_that_runs_no_other_is_started(repeater: dict[str, str], child: Callable[..., Child]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as running:
        running.bind(("", int(repeater["EPICS_CA_REPEATER_PORT"])))
        assert _start(repeater, child, 2) == ""
