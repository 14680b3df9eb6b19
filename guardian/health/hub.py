"""`Hub`: watches processes from outside, by the heartbeats that they send and by PVs, and says what has changed.

It only judges and tells (see :mod:`guardian.core.hub` for how): whether somebody is called, a lamp goes red or a
program is restarted is up to the callbacks. Two threads: one looks, the other calls back, so that a callback that
writes a mail holds up nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from guardian.access.bells import Bell
from guardian.core.heartbeat import Heartbeat, read
from guardian.core.hub import SILENT_PERIODS, Change, Roll
from guardian.enums import Pulse

if TYPE_CHECKING:
    from guardian.health.pvs import PvWatch
    from guardian.health.receiver import Receiver

#: Where a hub listens, unless said otherwise.
PORT = 8090
#: Changes that wait to be told; if callbacks hang, the oldest are dropped.
MOST_WAITING = 10_000
#: How long PVs may take to be found before it is said that they are not there.
CONNECT_S = 5.0

_log = logging.getLogger("guardian.health")

Callback = Callable[[Change], object]


class Hub:
    """Watches from :meth:`start` to :meth:`stop`, or inside a ``with`` block.

    ::

        with Hub(lambda change: print(change.sentence)) as hub:
            hub.expect("camera", 30)
            hub.watch("X1:GRD-SUS_MC1_")
            hub.serve("127.0.0.1", 8090)
            ...

    Parameters
    ----------
    callbacks : called with each :class:`Change`, one after the other, in a thread of their own. None: changes go to the
        log.
    """

    def __init__(self, *callbacks: Callback) -> None:
        self._callbacks = callbacks or (_log_it,)
        self._roll = Roll()
        self._lock = threading.Lock()
        self._waiting: deque[Change] = deque(maxlen=MOST_WAITING)
        self._news, self._wake = Bell(), Bell()
        self._threads: list[threading.Thread] = []
        self._ended = False
        self._receivers: list[Receiver] = []
        self._pvs: PvWatch | None = None

    # -- who is watched --------------------------------------------------------------------------------------------

    def receive(self, said: bytes | str | Mapping[str, Any] | Heartbeat) -> None:
        """A heartbeat has come. From any thread; waits for nothing.

        Raises
        ------
        ExosError
            It is none; the message says what is wrong with it.
        """
        heartbeat = read(said)
        with self._lock:
            self._tell(self._roll.receive(heartbeat, time.monotonic()))
        self._wake.ring()

    def expect(self, name: str, silent_s: float) -> None:
        """This process is to be there: told as SILENT if no heartbeat of it comes for `silent_s`, from now on.

        Raises
        ------
        ExosError
            There can be no such process.
        """
        with self._lock:
            self._roll.expect(name, silent_s)
        self._wake.ring()

    def watch(self, prefix: str, name: str | None = None, *, period_s: float = 1.0, stall_s: float = 5.0) -> None:
        """Watch what has a PV ``{prefix}HEARTBEAT``: a node, a host, or any IOC with devIocStats.

        That PV is its counter. What the PVs beside it tell (PROC_PID, PROC_STATE, PROCESS_ID, STARTTOD, ...) is used if
        they are there. It is silent when there has been no connection for three `period_s`.

        Parameters
        ----------
        prefix : ``"X1:GRD-SUS_MC1_"``, ``"X1:GRD-HOST_ctrl7_"``, ``"IOC:"``. name : under which it is told; None: the
            prefix without what closes it. stall_s : how long the counter may stand.

        Raises
        ------
        ExosError
            There can be no such PV.
        """
        from guardian.health.pvs import PvWatch

        if self._pvs is None:
            self._pvs = PvWatch(self.receive)
        watched = self._pvs.add(prefix, name, period_s=period_s, stall_s=stall_s)
        self.expect(watched, max(SILENT_PERIODS * period_s, CONNECT_S))

    def serve(self, host: str = "127.0.0.1", port: int = PORT, *, token: str = "") -> Receiver:
        """Take heartbeats over HTTP; the receiver says its `url`. It is closed with the hub.

        Parameters
        ----------
        port : 0 takes a free one. token : what senders have to show; without one only this machine can be served.

        Raises
        ------
        ExosError
            The port is taken, or the address is not of this machine.
        """
        from guardian.health.receiver import Receiver

        receiver = Receiver(self.receive, host, port, token=token)
        self._receivers.append(receiver)
        return receiver

    def forget(self, name: str) -> None:
        """It is not watched any more, until its next heartbeat."""
        if self._pvs is not None:
            self._pvs.remove(name)
        with self._lock:
            self._roll.forget(name)

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def pulses(self) -> dict[str, Pulse | None]:
        """What each one is; None: nothing is known yet of one that is expected."""
        with self._lock:
            return self._roll.pulses

    @property
    def heartbeats(self) -> dict[str, Heartbeat]:
        """The last heartbeat of each."""
        with self._lock:
            return self._roll.heartbeats

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look, and call back, from now on. Harmless twice."""
        if not self._threads:
            self._ended = False
            for name, work in (("guardian-hub", self._look), ("guardian-hub-tells", self._call_back)):
                thread = threading.Thread(target=work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End it, with its receivers and its channels. Waits at most `timeout_s` for each callback under way."""
        self._ended = True
        self._wake.ring()
        self._news.ring()
        for receiver in self._receivers:
            receiver.close()
        self._receivers.clear()
        pvs, self._pvs = self._pvs, None
        if pvs is not None:
            pvs.close()
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(timeout_s)

    def __enter__(self) -> Hub:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        while not self._ended:
            with self._lock:
                self._tell(self._roll.look(time.monotonic()))
                pause_s = self._roll.look_s
            self._wake.wait(pause_s)

    def _tell(self, changes: tuple[Change, ...]) -> None:
        if changes:
            self._waiting.extend(changes)
            self._news.ring()

    def _call_back(self) -> None:
        while not self._ended:
            self._news.wait(None)
            while self._waiting and not self._ended:
                change = self._waiting.popleft()
                for callback in self._callbacks:
                    try:
                        callback(change)
                    except Exception:
                        _log.exception("a callback of a Hub failed over %s", change.name)


def _log_it(change: Change) -> None:
    _log.log(logging.INFO if change.pulse is Pulse.BEATING else logging.WARNING, "%s", change.sentence)
