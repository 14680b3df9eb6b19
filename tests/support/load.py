"""Servers under load and the clients that load them, each in a process of its own; for tests, the soak and the bench.

What is asked of a server is that nobody can silence it for others, so the pieces are: a :class:`Witness`, an honest
client that says what it got each second, and ways to misbehave (:data:`ATTACKS`), each a context manager.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ioc.cas import wire
from tests.ioc.cas.raw import Raw, subscription
from tests.support.child import REPO, Child
from tests.support.load_server import FANS, READY
from tests.support.net import ca_env, free_port

_HERE = Path(__file__).parent
PREFIX = "L:"
_TIME_DOUBLE = 20


class LoadServer(Child):
    """``load_server.py`` of a kind: cheap, plain, caproto or rsrv."""

    def __init__(self, kind: str, count: int = 100) -> None:
        self.kind = kind
        self.port = free_port()
        argv = [sys.executable, _HERE / "load_server.py", kind, PREFIX, str(count)]
        super().__init__(argv, env=ca_env(self.port), stdin=True)
        self.wait_for(READY, 60)

    def offer(self, rate: float) -> None:
        """Have so many updates a second written."""
        argv = [sys.executable, "-m", "guardian.cli.catools", "caput", f"{PREFIX}RATE", str(rate)]
        subprocess.run(argv, env=ca_env(self.port), cwd=REPO, check=True, capture_output=True, timeout=60)

    def client(self, verb: str, count: int) -> Child:
        """``load_client.py``, ready."""
        argv = [sys.executable, _HERE / "load_client.py", verb, PREFIX, str(count)]
        child = Child(argv, env=ca_env(self.port), stdin=True)
        try:
            child.wait_for("READY", 60)
        except AssertionError:
            child.close()
            raise
        return child

    @property
    def memory_mb(self) -> float:
        return float(psutil.Process(self.pid).memory_info().rss / 1e6)

    @property
    def files(self) -> int:
        """Open descriptors."""
        return int(psutil.Process(self.pid).num_fds())


@dataclass(frozen=True, slots=True)
class Got:
    """What a witness got: updates a second (median of the seconds), and the longest silence in seconds."""

    rate: float
    silence_s: float


class Witness:
    """An honest client that monitors all FANs; context manager."""

    def __init__(self, server: LoadServer) -> None:
        self._child = server.client("watch", FANS)

    def watch(self, seconds: float) -> Got:
        """What it gets from now on."""
        start = len(self._child.output)
        time.sleep(seconds + 2.1)  # the first second began before
        said = re.findall(r"^COUNTED (\d+) ([\d.]+)$", self._child.output[start:], re.MULTILINE)[1:]
        assert said, self._child.report()
        return Got(statistics.median(int(n) for n, _ in said), max(float(gap) for _, gap in said))

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()


# -- ways to misbehave -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Have a thread work until the end, which it is told by the event."""
    end = threading.Event()
    thread = threading.Thread(target=work, args=(end,))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextlib.contextmanager
def frozen(server: LoadServer) -> Iterator[None]:
    """A client that monitors everything is stopped (SIGSTOP)."""
    child = server.client("watch", FANS)
    os.kill(child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child.pid, signal.SIGCONT)
        child.close()


@contextlib.contextmanager
def slow_reader(server: LoadServer) -> Iterator[None]:
    """A client that monitors everything reads a byte a second."""
    with Raw(server.port, user="slow", receive_bytes=2048) as raw:
        sids = [raw.channel(f"{PREFIX}FAN{n}")[0] for n in range(FANS)]
        raw.send(*(subscription(sid, 1, _TIME_DOUBLE) for sid in sids))

        def read(end: threading.Event) -> None:
            with contextlib.suppress(OSError):
                while not end.wait(1):
                    raw.socket.recv(1)

        with meanwhile(read):
            yield


@contextlib.contextmanager
def idle_clients(server: LoadServer, count: int = 1000) -> Iterator[None]:
    """So many clients that are connected to a channel, and say nothing more."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(Raw(server.port)).channel(f"{PREFIX}BEAT")
        yield


@contextlib.contextmanager
def port_scan(server: LoadServer) -> Iterator[None]:
    """Connections that are opened, told nonsense or nothing, and dropped; as fast as one thread can."""

    def scan(end: threading.Event) -> None:
        number = 0
        while not end.is_set():
            with contextlib.suppress(OSError):
                sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
                number += 1
                if number % 3 == 1:
                    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                elif number % 3 == 2:
                    sock.sendall(os.urandom(300))
                sock.close()
            time.sleep(0.001)

    with meanwhile(scan):
        yield


@contextlib.contextmanager
def closing_monitors(server: LoadServer, count: int = 4000) -> Iterator[None]:
    """A client with so many monitors clears all of them at once."""
    child = server.client("clear", count)
    try:
        child.send("\n")
        child.wait_for("CLEARED", 60)
        yield
    finally:
        child.close()


@contextlib.contextmanager
def greedy_reader(server: LoadServer) -> Iterator[None]:
    """A client asks for values as fast as it can, and reads none of them."""
    with Raw(server.port, user="greedy", receive_bytes=2048) as raw:
        sid = raw.channel(f"{PREFIX}FAN0")[0]
        block = b"".join(wire.message(wire.READ_NOTIFY, _TIME_DOUBLE, 0, sid, n) for n in range(1000))
        raw.socket.setblocking(False)

        def ask(end: threading.Event) -> None:
            while not end.is_set():
                with contextlib.suppress(OSError):
                    raw.socket.send(block)
                time.sleep(0.001)

        with meanwhile(ask):
            yield


Attack = Callable[[LoadServer], AbstractContextManager[None]]
ATTACKS: dict[str, Attack] = {
    "a frozen client": frozen,
    "a reader at a byte a second": slow_reader,
    "1,000 idle clients": idle_clients,
    "a port scan": port_scan,
    "4,000 monitors closed at once": closing_monitors,
    "a client that asks and never reads": greedy_reader,
}
