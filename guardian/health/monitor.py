"""`HealthMonitor`: tells hubs outside that this process lives, and that its loop moves.

Two things are told apart on purpose. The heartbeats are sent by a thread, so they come also while the loop hangs; the
counter in them is moved by the loop alone, with :meth:`HealthMonitor.beat`. So a hub sees whether a process is gone
(nothing comes) or hangs (the counter stands), and judges; nothing is judged here.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from guardian.core.heartbeat import STALL_PERIODS, Fact, Heartbeat, check_facts, check_name, check_period
from guardian.enums import ProcessState
from guardian.errors import ExosError
from guardian.health import measure, process, watcher

if TYPE_CHECKING:
    from guardian.health.webhook import Webhook

#: How often heartbeats are sent unless said otherwise.
PERIOD_S = 10.0

_log = logging.getLogger("guardian.health")

Receiver = Callable[[Heartbeat], object]


class HealthMonitor:
    """Sends the heartbeats of this process.

    ::

        with HealthMonitor("camera", webhook="http://hub:8090/") as health:
            while True:
                take_a_picture()
                health.beat()

    Parameters
    ----------
    name : under which it is known to hubs; None: the name of the process.
    period_s : how often a heartbeat is sent. stall_s : how long the loop may take between two beats; None: three
        periods.
    receivers : functions that are called with each heartbeat, in the thread that sends: they must not take long.
    webhook : address of a hub, ``http://`` or ``https://``. token : sent along as ``Authorization: Bearer``.
    facts : gives what else the process says of itself; called in the thread that sends.
    state, late : give the state of the process and the names of its late threads; None: what `guardian.health` knows.

    Raises
    ------
    ExosError
        A name, a time or an address that cannot be.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        period_s: float = PERIOD_S,
        stall_s: float | None = None,
        receivers: Iterable[Receiver] = (),
        webhook: str = "",
        token: str = "",
        facts: Callable[[], Mapping[str, Fact]] | None = None,
        state: Callable[[], ProcessState] | None = None,
        late: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._name = None if name is None else check_name(name)
        self.period_s = check_period("period_s", period_s)
        self.stall_s = check_period("stall_s", STALL_PERIODS * self.period_s if stall_s is None else stall_s)
        self._receivers = tuple(receivers)
        self._webhook = _webhook(webhook, token) if webhook else None
        self._facts, self._state, self._late = facts, state, late
        self._host = platform.node()
        self._pid = os.getpid()
        measure.run_id()  # while there are descriptors
        self._beats = self._seq = 0
        self._sending = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: set[object] = set()

    @property
    def name(self) -> str:
        """Under which it is known to hubs."""
        return process.get_process_name() if self._name is None else self._name

    def beat(self) -> None:
        """The loop of this process moves. Call it from that loop, as often as you like: it costs next to nothing."""
        self._beats += 1

    def send_heartbeat(self, *, state: ProcessState | None = None) -> Heartbeat:
        """Send one now, and return it. Never waits for a hub.

        Raises
        ------
        ExosError
            This process was forked from the one whose monitor it is.
        """
        if os.getpid() != self._pid:
            raise ExosError(
                f"this HealthMonitor is of process {self._pid}, and this is {os.getpid()}, its child; "
                "make another one here, with a name of its own"
            )
        with self._sending:
            self._seq += 1
            heartbeat = Heartbeat(
                name=self.name,
                beat=self._beats,
                host=self._host,
                pid=self._pid,
                run=measure.run_id(),
                state=state if state is not None else (self._state or process.get_process_state)(),
                uptime_s=measure.uptime_s(),
                mem_bytes=measure.mem_bytes(),
                late=tuple((self._late or watcher.late)()),
                sent=time.time(),
                seq=self._seq,
                period_s=self.period_s,
                stall_s=self.stall_s,
                facts=self._more_facts(),
            )
            for receiver in self._receivers:
                self._guarded(receiver, lambda receiver=receiver: receiver(heartbeat))  # type: ignore[misc]
            if self._webhook is not None:
                self._webhook.send(heartbeat)
        return heartbeat

    def start(self) -> None:
        """Send one now and each period, from a thread. Harmless twice."""
        if self._thread is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._work, args=(self._stop,), name="guardian-heartbeat", daemon=True
            )
            self._thread.start()

    def stop(self, timeout_s: float = 1.0, *, state: ProcessState = ProcessState.STOPPED) -> None:
        """Say that it stops, or that it has failed, and send no more. Waits about `timeout_s` at most for a hub."""
        if os.getpid() != self._pid:
            return
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join(timeout_s)
            if not thread.is_alive():  # else a receiver holds it up
                self.send_heartbeat(state=state)
        if self._webhook is not None:
            self._webhook.close(timeout_s)

    def __enter__(self) -> HealthMonitor:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop(state=ProcessState.FAIL if isinstance(error, Exception) else ProcessState.STOPPED)

    def _work(self, stop: threading.Event) -> None:
        while True:
            self._guarded(self, self.send_heartbeat)
            if stop.wait(self.period_s):
                return

    def _more_facts(self) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        if self._facts is not None:
            facts = self._facts
            self._guarded(facts, lambda: found.update(check_facts(facts())))
        return found

    def _guarded(self, what: object, call: Callable[[], object]) -> None:
        """Call what others gave; that it fails is told once, and does not end the sending."""
        try:
            call()
        except Exception as error:
            if what not in self._told:
                self._told.add(what)
                _log.warning("heartbeats: %r failed (this is told once): %r", what, error)
        else:
            self._told.discard(what)


def _webhook(url: str, token: str) -> Webhook:
    from guardian.health.webhook import Webhook  # it brings TLS along

    return Webhook(url, token)
