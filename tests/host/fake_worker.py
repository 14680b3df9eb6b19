"""Workers without user code and without processes, at the far end of the real link.

:class:`FakeSpawner` stands where the host has its spawner; each spawn makes a :class:`FakeWorker` that holds the far
ends of the real socketpair, log pipe and beat page. Left alone a worker is obedient: it loads, enters what it is told,
returns what ``outcomes`` says and ends on Stop. A test makes it misbehave: ``mute`` what it is not to answer, or take
it by the hand with `say`, `raw`, `close_link` and `die`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from guardian.core import events
from guardian.core.events import (
    Began,
    Enter,
    Judge,
    Leave,
    Left,
    Loaded,
    Policy,
    Reached,
    Reload,
    Reloaded,
    Report,
    Returned,
    Stop,
)
from guardian.core.graph import SystemFacts
from guardian.enums import Call, OnComplete, ProcessState
from guardian.host.spawner import Event, Exited, Failed, Started, sentence
from guardian.worker import link
from guardian.worker.link import Load
from tests.core.driver import system

#: A small suspension: SAFE is a goto state, SLOW may not be left before it completes, no edge leads to ISLAND.
FACTS = system(
    "INIT>SAFE SAFE>DAMPED DAMPED>ALIGNED ALIGNED>DAMPED SAFE>SLOW SLOW>DAMPED",
    states="ISLAND",
    goto="SAFE",
    stay="SLOW",
    request="ALIGNED",
    nominal="ALIGNED",
)


class FakeWorker:
    """One worker. ``heard`` is every message from the host, in order."""

    def __init__(self, spawner: FakeSpawner, key: str, fds: Sequence[int]) -> None:
        self.spawner = spawner
        self.key = key
        self.gen = int(key.rpartition("#")[2].removeprefix("check"))
        self.pid = 1_000_000 + len(spawner.workers)
        self.alive = True
        self.heard: list[Any] = []
        self.entry = 0
        self.state = ""
        self.policy = OnComplete.KEEP
        link_fd, self.log_fd, self.beat_fd = (os.dup(fd) for fd in fds)
        self.sock = socket.socket(fileno=link_fd)
        self.sock.setblocking(False)
        self._lines = link.Lines()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.sock, self._readable)

    def commands(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def say(self, *reports: Report, gen: int | None = None) -> None:
        """Send reports in one packet, of another generation if one is given."""
        self.raw(b"".join(link.encode(self.gen if gen is None else gen, report) for report in reports))

    def raw(self, data: bytes) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(data)
        self.sock.setblocking(False)

    def returns(self, outcome: bool | str, *, call: Call = Call.RUN, entry: int | None = None, seq: int = 0) -> None:
        self.say(Returned(entry=self.entry if entry is None else entry, call=call, outcome=outcome, seq=seq))

    def stop_reading(self) -> None:
        self._loop.remove_reader(self.sock)

    def close_link(self) -> None:
        if self.sock.fileno() >= 0:
            self._loop.remove_reader(self.sock)
            self.sock.close()

    def die(self, *, code: int | None = None, sig: int | None = None) -> None:
        """End now: the spawner tells of it later, what was said before is still in the socket then."""
        if not self.alive:
            return
        self.alive = False
        self.close_link()
        os.close(self.log_fd)
        os.close(self.beat_fd)
        code = 0 if code is None and sig is None else code
        self.spawner.tell(Exited(key=self.key, pid=self.pid, code=code, signal=sig, reason=sentence(code, sig)))

    def _readable(self) -> None:
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # as the real one: without a host there is no reason to live
            self.die()
            return
        for line in self._lines.feed(data):
            gen, message = link.decode(line)
            assert gen == self.gen, (gen, message)
            self.heard.append(message)
            if type(message) not in self.spawner.mute and self.alive:
                self._obey(message)

    def _obey(self, message: Any) -> None:
        match message:
            case Load():
                if self.spawner.facts is None:
                    self.say(events.LoadFailed(reason="SUS: SyntaxError: invalid syntax (SUS.py:3)"))
                    self.die(code=0)
                elif message.check:
                    self.say(Loaded(facts=self.spawner.facts))
                    self.die(code=0)
                else:
                    self.say(Reached(state=ProcessState.LOADCFG), Loaded(facts=self.spawner.facts))
                    self.say(Reached(state=ProcessState.READY))
            case Reload() if self.spawner.facts is not None:
                self.say(Reloaded(facts=self.spawner.facts))
            case Enter(entry=self.entry):
                raise AssertionError(f"entry {self.entry} twice")
            case Enter():
                self.entry, self.state, self.policy = message.entry, message.state, message.on_complete
                outcome = self.spawner.outcomes.get(self.state, True)
                self.say(Began(entry=self.entry))
                if outcome is not None:
                    self.returns(outcome, call=Call.MAIN)
            case Policy(entry=self.entry):
                self.policy = message.on_complete
            case Judge(entry=self.entry):
                outcome = self.spawner.outcomes.get(self.state, True)
                if outcome is not None:
                    self.returns(outcome, seq=message.seq)
            case Leave():
                self.say(Left(entry=message.entry))
            case Stop():
                self.die(code=0)
            case _:
                pass


class FakeSpawner:
    """Stands for :class:`guardian.host.spawner.Spawner`.

    Attributes
    ----------
    mute : kinds of messages no worker answers. outcomes : what main() and run() of a state return, None: they hang.
    facts : what a load gives; None: it fails. fail : the reason why the next spawns fail. hold : tell no events.
    unkillable : SIGKILL does nothing (a process stuck in the kernel).
    """

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self.workers: list[FakeWorker] = []
        self.kills: list[tuple[str, int]] = []
        self.mute: set[type] = set()
        self.outcomes: dict[str, bool | str | None] = {}
        self.facts: SystemFacts | None = FACTS
        self.fail = ""
        self.hold = False
        self.held: list[Event] = []
        self.unkillable = False

    async def start(self, timeout_s: float = 60.0) -> None:
        pass

    def ailment(self) -> None:
        pass

    async def stop(self, timeout_s: float = 10.0) -> None:
        self.unkillable = self.hold = False
        for worker in self.workers:
            worker.die(sig=signal.SIGKILL)
        await asyncio.sleep(0)

    def spawn(self, key: str, entry: str, spec: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        assert not any(w.key == key and w.alive for w in self.workers), f"{key} is there twice"
        of_node = [w.key for w in self.workers if w.alive and w.key.startswith(key.rpartition("#")[0] + "#")]
        assert "#check" in key or all("#check" in other for other in of_node), f"{key} beside {of_node}"
        if self.fail:
            self.tell(Failed(key=key, reason=self.fail))
            return
        self.workers.append(FakeWorker(self, key, fds))
        self.tell(Started(key=key, pid=self.workers[-1].pid))

    def kill(self, key: str, sig: int = signal.SIGKILL) -> None:
        self.kills.append((key, int(sig)))
        for worker in self.workers:
            if worker.key == key and sig == signal.SIGKILL and not self.unkillable:
                worker.die(sig=int(sig))

    def tell(self, event: Event) -> None:
        if self.hold:
            self.held.append(event)
        else:
            self._loop.call_soon(self._on_event, event)

    def release(self) -> None:
        """Tell what was held back."""
        self.hold = False
        held, self.held = self.held, []
        for event in held:
            self._on_event(event)

    @property
    def worker(self) -> FakeWorker:
        """The newest."""
        return self.workers[-1]

    def alive(self) -> list[str]:
        return [worker.key for worker in self.workers if worker.alive]
