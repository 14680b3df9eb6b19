"""When a service manager may go on trusting a host: judged on a host whose threads and rounds the test sets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guardian.core.host_rows import HostFacts
from guardian.core.threads import Seen, Watched
from guardian.enums import Recovery
from guardian.host import service
from guardian.host.notify import Notify
from guardian.host.service import Service


class FakeHost(dict[str, Any]):
    """As much of a host as is looked at. The real one is in tests/system/test_service.py."""

    def __init__(self) -> None:
        super().__init__()
        self.facts = HostFacts(beats=1)
        self.troubles = SimpleNamespace(now=())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(manager: socket.socket) -> str:
    said = []
    while True:
        try:
            said.append(manager.recv(65536).decode())
        except BlockingIOError:
            return "\n".join(said)


def late(recovery: Recovery) -> HostFacts:
    thread = Watched(slot=0, serial=1, name="camera", period_s=1.0, recovery=recovery)
    return HostFacts(beats=1, threads=(Seen(thread=thread, age_s=60.0),))


def made(manager: socket.socket, told: list[str]) -> tuple[FakeHost, Service]:
    host = FakeHost()
    to = Notify(manager.getsockname(), watchdog_s=0.4)
    return host, Service(host, to, lambda text, _: told.append(text))  # type: ignore[arg-type]


async def test_a_disk_that_hangs_ends_no_host_and_a_late_thread_does(manager: socket.socket):
    told: list[str] = []
    host, to = made(manager, told)
    to.open()
    to.ready()
    host.facts = late(Recovery.REPORT)
    heard(manager)
    await asyncio.sleep(0.5)
    assert "WATCHDOG=1" in heard(manager) and told == []
    host.facts = late(Recovery.PROCESS)
    await asyncio.sleep(0.2)
    heard(manager)
    await asyncio.sleep(0.5)
    assert "WATCHDOG=1" not in heard(manager)
    assert len(told) == 1 and "the thread camera is late" in told[0], told
    host.facts = HostFacts(beats=2)
    await asyncio.sleep(0.5)
    assert "WATCHDOG=1" in heard(manager) and len(told) == 2
    await to.close()


async def test_rounds_that_stand_still_are_not_vouched_for(manager: socket.socket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service, "ROUNDS_S", 0.2)
    told: list[str] = []
    _, to = made(manager, told)
    to.open()
    to.ready()
    await asyncio.sleep(0.7)
    heard(manager)
    await asyncio.sleep(0.5)
    said = heard(manager)
    assert "WATCHDOG=1" not in said
    assert "the rounds of the host stand still" in told[0]
    await to.close()


async def test_each_step_asks_for_time_and_reading_anew_is_told(manager: socket.socket):
    _, to = made(manager, [])
    to.starts("takes 3 nodes")
    assert heard(manager).splitlines()[0].startswith("EXTEND_TIMEOUT_USEC=")
    to.starts("takes 3 nodes")
    assert "EXTEND_TIMEOUT_USEC" not in heard(manager)  # it has not come further
    to.ready()
    assert heard(manager).startswith("READY=1\n")
    with to.reloading():
        assert heard(manager).startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert heard(manager).startswith("READY=1\n")
    to.stops()
    said = heard(manager)
    assert said.startswith("STOPPING=1\nEXTEND_TIMEOUT_USEC=") and "READY" not in said
    await to.close()


def fill(manager: socket.socket, fillers: contextlib.ExitStack) -> None:
    """Send until nobody can send any more: each sender has bounds of its own, too."""
    for _ in range(100):
        filler = fillers.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        filler.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.sendto(b"x", manager.getsockname())
                sent += 1
        if not sent:
            return


async def test_a_manager_that_never_reads_is_owed_no_more_with_each_reading_of_the_site_file(tmp_path: Path):
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        _, speaks = made(manager, told)
        with contextlib.ExitStack() as fillers:
            fill(manager, fillers)
        for _ in range(1000):
            with speaks.reloading():
                pass
        manager.setblocking(False)
        assert set(heard(manager).split()) == {"x"}
        with speaks.reloading():
            pass
        said = heard(manager)
        assert said.count("RELOADING=1") == said.count("READY=1") == 1, said[:2000]
