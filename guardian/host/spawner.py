"""The host's handle on its worker processes. The host asks; a process of its own forks (`guardian.worker.forkserver`).

Why a process of its own: see ``docs/decisions/0002-own-forkserver.rst``.

Promises
--------
* Nothing here blocks the event loop. `spawn` and `kill` put a message into a socket, or into a queue when the socket is
  full; starting the forkserver and clearing up after it are done in a thread.
* Each `spawn` is answered by one `Started` or one `Failed`, and each `Started` is followed by one `Exited`: also when
  the forkserver dies, when it cannot be started, and when the spawner is stopped.
* `Exited` means that the worker is gone and that nothing that it started is left (or its sentence names what is left).
* A forkserver that dies takes its workers with it. They are told as exited once they and all that they started are
  gone; then a new one is started, and what was asked meanwhile goes to that one.
* A forkserver that does not answer, as it is stopped or hangs, is an alarm. It is not killed: its workers go on, and
  would die with it.

Cost: `spawn` takes about 50 us on the loop; an event about 20 us.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardian.core.ailments import Ailment
from guardian.core.standstill import Standstill
from guardian.enums import Severity
from guardian.errors import InternalError
from guardian.host import forkserver_process
from guardian.host.forkserver_process import ForkserverProcess
from guardian.worker.forkserver import MAX_FDS, MAX_MESSAGE
from guardian.worker.newborn import EXIT_UNLINKED

_log = logging.getLogger(__name__)

#: What a worker of a node needs beside numpy and epics.
PRELOAD = ("guardian.worker.process", "guardian.worker.extras")
_MEANINGS = {EXIT_UNLINKED: ", its link to the host is gone: does user code close descriptors that it did not open?"}
#: Messages taken in one turn of the loop.
_BATCH = 32
#: Pause before a forkserver that died young is started again: doubled each time, up to the second figure.
_PAUSE_S, _MAX_PAUSE_S = 0.1, 5.0
#: One that was ready for so long died of something new.
_GROWN_UP_S = 30.0
#: Between two questions whether it is there, and how long it may not answer.
_LOOK_S, _SILENT_S = 1.0, 10.0
#: A forkserver that has not preloaded by then hangs (a dead network disk) and is killed.
_PRELOAD_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker process exists; it is about to call its entry function."""

    key: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """A worker is gone, reaped, and all that it started is gone. One of `code` and `signal` is set."""

    key: str
    pid: int
    code: int | None
    signal: int | None
    reason: str  #: for people: "exit code 3", "killed by SIGSEGV"
    forkserver_died: bool = False  #: it was no fault of this worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No worker process was made. Nothing was left behind."""

    key: str
    reason: str
    forkserver_died: bool = False
    starved: bool = False  #: the machine had no descriptor or process for it


Event = Started | Exited | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A message that waits for the forkserver, with descriptors of our own to go with it."""

    key: str
    is_spawn: bool
    text: bytes
    fds: tuple[int, ...] = ()

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Living:
    pid: int
    start_ticks: int


class Spawner:
    """Starts worker processes and tells of their end.

    Parameters
    ----------
    preload : modules that are imported before the first fork, beside numpy and epics. One that cannot be imported is
        logged and left to the workers; one that opens Channel Access makes `start` fail.
    env : added to this process's environment for the forkserver, and so for all workers.
    on_event : called on the loop with each event, never from within `spawn` or `kill`. What it raises is logged.
    """

    def __init__(
        self,
        *,
        preload: Sequence[str] = PRELOAD,
        env: Mapping[str, str] | None = None,
        on_event: Callable[[Event], None],
    ) -> None:
        self._preload = tuple(preload)
        self._env = dict(env or {})
        self._on_event = on_event
        self._orders: deque[_Order] = deque()
        self._asked: dict[str, bool] = {}  # key of a spawn without an answer yet -> whether it was sent
        self._living: dict[str, _Living] = {}
        self._forkserver: ForkserverProcess | None = None
        self._writing = False
        self._answers = 0  # of the forkserver, of whatever kind
        self._pinged = False
        self._silence = Standstill(2 * _LOOK_S)
        self._broken = ""  # why the forkserver gave up, in its own words
        self._ready = asyncio.Event()
        self._eof = asyncio.Event()
        self._stop = asyncio.Event()
        self._first_start: asyncio.Future[str] | None = None  # "" once it is ready, else why it ended
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the forkserver; None while there is none."""
        if self._forkserver is None or self._eof.is_set():  # after its end the number may be anybody's
            return None
        return self._forkserver.process.pid

    async def start(self, timeout_s: float = 60.0) -> None:
        """Start the forkserver and wait until it has preloaded.

        Raises
        ------
        InternalError
            It ended, or was not ready within `timeout_s`. Nothing is left behind.
        """
        if self._keeper is not None:
            raise InternalError("the spawner was started twice; make a new one")
        self._first_start = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name="spawner")
        try:
            why = await asyncio.wait_for(self._first_start, timeout_s)
        except TimeoutError:
            why = f"it was not ready after {timeout_s:g} s"
        if why:
            await self.stop(timeout_s=0.0)
            raise InternalError(f"the forkserver did not start: {why}. What it said is on stderr")

    def spawn(self, key: str, entry: str, spec: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Ask for a worker, on the loop. Returns at once; `Started` or `Failed` follows.

        Parameters
        ----------
        key : its name here, as "SUS_MC1#3". Not to be used again before its `Exited`.
        entry : "module:function", called in the worker as ``function(spec, fds) -> int | None``.
        spec : JSON data for it. ``env`` (added to the environment) and ``cwd`` in it are used before `entry` is
            imported.
        fds : descriptors for it, at most 32. They are duplicated here: the caller may close its own at once.
        """
        reason = self._why_not_spawn(key, fds)
        mine: list[int] = []
        starved = False
        if reason is None:
            message = {"op": "spawn", "key": key, "entry": entry, "spec": dict(spec), "nfds": len(fds)}
            try:
                text = json.dumps(message).encode()
                mine.extend(os.dup(fd) for fd in fds)
            except (TypeError, ValueError) as error:
                reason = f"its spec is not JSON data: {error}"
            except OSError as error:
                reason = f"its descriptors could not be duplicated: {error.strerror}; look at `ulimit -n`"
                starved = True
            else:
                if len(text) > MAX_MESSAGE:
                    reason = (
                        f"its spec is too large: {len(text)} bytes, at most {MAX_MESSAGE}. Pass a file name instead"
                    )
        if reason is not None:
            for fd in mine:
                os.close(fd)
            failed = Failed(key=key, reason=reason, starved=starved)
            asyncio.get_running_loop().call_soon(self._tell, failed)
            return
        self._asked[key] = False
        self._order(_Order(key=key, is_spawn=True, text=text, fds=tuple(mine)))

    def kill(self, key: str, sig: int = signal.SIGKILL) -> None:
        """Signal a worker: SIGKILL goes to its whole group, any other signal to the worker alone.

        No error when the worker is gone already: its `Exited` is on the way, or was there.
        """
        if key in self._asked or key in self._living:
            text = json.dumps({"op": "kill", "key": key, "signal": int(sig)}).encode()
            self._order(_Order(key=key, is_spawn=False, text=text))

    def ailment(self) -> Ailment | None:
        """Whether the forkserver answers. To be asked once a second."""
        judged = self._ready.is_set() and self._channel() is not None
        if judged and not self._pinged:
            self._pinged = True
            self._order(_Order(key="", is_spawn=False, text=b'{"op": "ping"}'))
        silent_s = self._silence.look(self._answers if judged else object(), asyncio.get_running_loop().time())
        if silent_s < _SILENT_S:
            return None
        pid = self.pid
        return Ailment(
            what="workers",
            severity=Severity.MAJOR,
            text=f"the process that makes workers (pid {pid}) does not answer: a worker that dies is not replaced, and "
            "none can be stopped or started; those that live go on. If somebody has stopped it, "
            f"`kill -CONT {pid}`; if it hangs, `kill -9 {pid}`, and all workers of this host start anew",
        )

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Kill all workers and what they started, tell each as exited, and wait until the forkserver is gone.

        Takes `timeout_s` at most for the orderly way, then a few seconds for the hard one.
        """
        self._stop.set()
        self._fail_waiting("the host stops")
        if self._keeper is None:
            return
        self._ask_to_quit()
        done, _ = await asyncio.wait({self._keeper}, timeout=timeout_s)
        if not done and self._forkserver is not None:
            self._forkserver.process.kill()
        await asyncio.wait({self._keeper})

    # Orders: to the forkserver.

    def _why_not_spawn(self, key: str, fds: Sequence[int]) -> str | None:
        if self._stop.is_set():
            return "the host stops"
        if self._keeper is None:
            return "the spawner was not started"
        if key in self._asked or key in self._living:
            return f"{key} is there already; wait for its exit or use another key"
        if len(fds) > MAX_FDS:
            return f"{len(fds)} descriptors are too many, at most {MAX_FDS}"
        return None

    def _order(self, order: _Order) -> None:
        self._orders.append(order)
        if not self._writing:
            self._write()

    def _write(self) -> None:
        """Send what can be sent without waiting."""
        while self._orders and (channel := self._channel()) is not None:
            order = self._orders[0]
            try:
                socket.send_fds(channel, [order.text], list(order.fds))
            except BlockingIOError:
                self._want_to_write(True)
                return
            except ConnectionError:  # it died: the order stays for the next one
                break
            except OSError as error:
                self._orders.popleft().close()
                if order.is_spawn:
                    del self._asked[order.key]
                    reason = f"the forkserver could not be asked: {error.strerror}"
                    asyncio.get_running_loop().call_soon(self._tell, Failed(key=order.key, reason=reason))
                continue
            self._orders.popleft().close()
            if order.is_spawn and order.key in self._asked:
                self._asked[order.key] = True
        self._want_to_write(False)

    def _want_to_write(self, wanted: bool) -> None:
        if wanted == self._writing or self._forkserver is None:
            return
        self._writing = wanted
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_writer(self._forkserver.socket, self._write)
        else:
            loop.remove_writer(self._forkserver.socket)

    def _channel(self) -> socket.socket | None:
        """The socket to the forkserver; None while there is nobody at its other end."""
        return None if self._forkserver is None or self._eof.is_set() else self._forkserver.socket

    def _fail_waiting(self, reason: str) -> None:
        """Give up the orders that were not sent."""
        orders, self._orders = self._orders, deque()
        for order in orders:
            order.close()
            if order.is_spawn:
                del self._asked[order.key]
                self._tell(Failed(key=order.key, reason=reason, forkserver_died=True))

    # Events: from the forkserver.

    def _read(self) -> None:
        """Take some messages; the loop calls again while there are more."""
        for _ in range(_BATCH):
            channel = self._channel()
            if channel is None:
                return
            try:
                text = channel.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it died with orders unread; what it said before comes next
            if not text:
                asyncio.get_running_loop().remove_reader(channel)
                self._eof.set()
                return
            self._answers += 1
            self._take(json.loads(text))

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"op": "pong"}:
                self._pinged = False
            case {"op": "ready", "missing": missing, "threads": threads}:
                for module, why in missing.items():
                    _log.warning("not preloaded, each worker imports it by itself: %s (%s)", module, why)
                if threads > 1:
                    _log.warning("a preloaded module started %d threads; workers may hang at their start", threads - 1)
                self._ready.set()
                self._settle_first_start("")
            case {"op": "broken", "reason": reason}:
                self._broken = reason
            case {"op": "started", "key": key, "pid": pid, "start_ticks": ticks}:
                self._asked.pop(key, None)
                self._living[key] = _Living(pid=pid, start_ticks=ticks)
                self._tell(Started(key=key, pid=pid))
            case {"op": "exited", "key": key, "pid": pid, "left": left}:
                self._living.pop(key, None)
                code, sig = message.get("code"), message.get("signal")
                reason = sentence(code, sig) + _left_over(left)
                self._tell(Exited(key=key, pid=pid, code=code, signal=sig, reason=reason))
            case {"op": "failed", "key": key, "reason": reason}:
                self._asked.pop(key, None)
                self._tell(Failed(key=key, reason=reason, starved=message["starved"]))

    def _tell(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            _log.exception("the receiver of %r failed", event)

    # The life of the forkserver.

    async def _keep(self) -> None:
        """Keep a forkserver running until `stop`."""
        loop = asyncio.get_running_loop()
        pause_s = _PAUSE_S
        while not self._stop.is_set():
            self._eof.clear()
            self._ready.clear()
            self._pinged = False
            born = loop.time()
            try:
                await self._launch()
            except OSError as error:
                how = f"it could not be started: {error.strerror}"
            else:
                if self._stop.is_set():
                    self._ask_to_quit()
                too_slow = loop.call_later(_PRELOAD_S, self._kill_unless_ready)
                await self._eof.wait()
                too_slow.cancel()
                how = await self._clear_up()
            self._settle_first_start(self._broken or how)
            if self._stop.is_set():
                break
            _log.error("the forkserver died (%s); its workers are gone, a new one is started", self._broken or how)
            if not self._ready.is_set():  # it did not even come up: whoever waits for a worker must know
                self._fail_waiting(f"there is no forkserver: {self._broken or how}")
            is_young = not self._ready.is_set() or loop.time() - born < _GROWN_UP_S
            pause_s = min(2 * pause_s, _MAX_PAUSE_S) if is_young else _PAUSE_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)

    def _settle_first_start(self, why: str) -> None:
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_result(why)

    def _kill_unless_ready(self) -> None:
        if self._forkserver is not None and not self._ready.is_set():
            self._forkserver.process.kill()

    async def _launch(self) -> None:
        self._broken = ""
        self._forkserver = await forkserver_process.launch(self._preload, self._env)
        asyncio.get_running_loop().add_reader(self._forkserver.socket, self._read)
        self._write()

    def _ask_to_quit(self) -> None:
        """Ask the forkserver to end. When it cannot be asked it is dead, or will see that we closed the socket."""
        if self._channel() is not None:
            self._order(_Order(key="", is_spawn=False, text=b'{"op": "quit"}'))

    async def _clear_up(self) -> str:
        """After the end of the forkserver: see that it and all it had are gone, tell of the workers. How it ended."""
        gone = self._forkserver
        assert gone is not None
        self._want_to_write(False)
        gone.socket.close()
        workers = {living.pid: living.start_ticks for living in self._living.values()}
        end = await gone.clear_up(workers)
        how = sentence(end.code, None) if end.code >= 0 else sentence(None, -end.code)
        self._forkserver = None
        for key, sent in list(self._asked.items()):
            if sent:
                del self._asked[key]
                reason = f"the forkserver died before it answered ({how})"
                self._tell(Failed(key=key, reason=reason, forkserver_died=True))
        lost, self._living = self._living, {}
        for key, one in lost.items():
            reason = f"forkserver died ({how})" + _left_over(end.left)
            died = Exited(key=key, pid=one.pid, code=None, signal=signal.SIGKILL, reason=reason, forkserver_died=True)
            self._tell(died)
        return how


def sentence(code: int | None, sig: int | None) -> str:
    """How a process ended, for people: "exit code 3", "killed by SIGKILL"."""
    if sig is None:
        return f"exit code {code}{_MEANINGS.get(code or 0, '')}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(sig).name}"
    return f"killed by signal {sig}"


def _left_over(pids: Sequence[int]) -> str:
    return f"; started processes that do not die: {', '.join(map(str, pids))}" if pids else ""
