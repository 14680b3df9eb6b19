"""All who misbehave at once, for as long as SOAK_S says (600 s by default), and an honest client. ``make soak``."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import ExitStack

import pytest

from tests.support import eventually
from tests.support.load import (
    LoadServer,
    Witness,
    closing_monitors,
    frozen,
    greedy_reader,
    idle_clients,
    port_scan,
    slow_reader,
)

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.soak, pytest.mark.timeout(7200)]

SOAK_S = float(os.environ.get("SOAK_S", "600"))
OFFERED = 5000
KEPT = 0.95
SILENCE_S = 0.3


def test_nobody_can_silence_the_server() -> None:
    """The rate is kept and no silence is long, whatever happens; memory and descriptors stay what they were."""
    with LoadServer("cheap", 4000) as server, Witness(server) as witness:
        server.offer(OFFERED)
        witness.watch(5)
        files = server.files
        memories, rates, silences = [], [], []
        until = time.monotonic() + SOAK_S
        with idle_clients(server):
            for attack in itertools.cycle((port_scan, closing_monitors, greedy_reader)):
                with ExitStack() as stack:
                    for bad in (frozen, frozen, slow_reader, attack):  # frozen ones are closed after a while: new ones
                        stack.enter_context(bad(server))
                    got = witness.watch(45)
                memories.append(server.memory_mb)
                rates.append(got.rate)
                silences.append(got.silence_s)
                print(f"{attack.__name__:17} {got.rate:.0f}/s, silent {got.silence_s:.3f} s, {memories[-1]:.0f} MB")
                if time.monotonic() > until:
                    break
        eventually(lambda: server.files <= files, what=f"{files} descriptors again")
        assert min(rates) > KEPT * OFFERED
        assert max(silences) < SILENCE_S
        assert memories[-1] - memories[0] < 20
        assert "disconnected" in server.output  # those who never read were closed, and it was said
