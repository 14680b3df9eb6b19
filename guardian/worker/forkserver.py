"""The keeper of worker processes: ``python -m guardian.worker.forkserver``.

One light process with one thread. It imports once what every worker needs (numpy, and epics **without** a Channel
Access context: a context made before the fork gives children that never connect), then forks a worker when the host
asks, and sees to its end. The host itself never forks: it is large and has threads, and an event loop to keep turning.

Invariants
----------
* No worker outlives this process (parent-death signal), and this process does not outlive the host: the end of the
  control socket, or the host's pidfd, means that the host died. A host that is merely stopped does neither.
* ``exited`` is said once for each ``started``, after the worker was reaped **and** nothing that it started is left.
  A group is killed while the dead worker is still unreaped, so its number cannot belong to anybody else.
* This process adopts orphans (a child subreaper). A child of it that is no worker is a daemon that some worker made. It
  lives as long as that worker; one whose maker cannot be told (see `descendants`) goes when the next worker dies.
* What cannot be killed (another user's, stuck in the kernel) delays ``exited`` by `PATIENCE_S` at most, and is named.
* Idle means asleep: one poll() without a timeout on the socket, the pidfd and the pipe that SIGCHLD writes to.

Messages
--------
JSON objects, one a datagram, over an inherited SOCK_SEQPACKET pair; descriptors travel beside ``spawn`` (SCM_RIGHTS)::

    host -> here   {"op": "spawn", "key": K, "entry": "module:function", "spec": {...}, "nfds": N}
                   {"op": "kill", "key": K, "signal": N}       SIGKILL: the worker's group; others: the worker alone
                   {"op": "ping"}                              are you there?
                   {"op": "quit"}                              kill all, say so, exit
    here -> host   {"op": "ready", "pid": P, "missing": {module: reason}, "threads": N}
                   {"op": "broken", "reason": R}               and exit: it makes no sense to go on
                   {"op": "started", "key": K, "pid": P, "start_ticks": T}
                   {"op": "exited", "key": K, "pid": P, "code": N | "signal": N, "left": [P, ...]}
                   {"op": "failed", "key": K, "reason": R, "starved": S}   no process was made
                   {"op": "pong"}

Cost, with numpy and epics: 0.25 s to start, 5 to 8 ms a fork, 5 MB (PSS) for a worker that does nothing yet.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from guardian.worker import newborn, system_calls
from guardian.worker.descendants import MARK, Process, children, look, make_mark, mark_of
from guardian.worker.preload import HEAVY, preload

#: The largest message, and the most descriptors beside it.
MAX_MESSAGE = 128 * 1024
MAX_FDS = 32
#: How long ``exited`` waits for processes that do not die of SIGKILL.
PATIENCE_S = 5.0


@dataclass(slots=True, kw_only=True)
class _Worker:
    key: str
    pid: int
    mark: str
    outcome: dict[str, int] = field(default_factory=dict)  #: "code" or "signal", once it is reaped
    patience_ends: float = 0.0  #: time.monotonic; counts from its death


class Forkserver:
    """The loop. `control` is the socket to the host, `host_fd` a pidfd of it."""

    def __init__(self, control: socket.socket, host_fd: int, token: str) -> None:
        self._control = control
        self._host_fd = host_fd
        self._token = token
        self._serial = 0
        self._by_pid: dict[int, _Worker] = {}
        self._by_key: dict[str, _Worker] = {}
        self._dying: list[_Worker] = []  # reaped, but not all that they started is gone
        self._given_up: set[Process] = set()  # orphans that do not die; nobody waits for them again
        self._unsent: deque[bytes] = deque()
        self._closing_ends: float | None = None  # set: no more workers, kill everything, leave at that moment
        self._host_lives = True
        self._wake, wake_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        self._poller = select.poll()
        for fd in (self._wake, self._host_fd, self._control.fileno()):
            self._poller.register(fd, select.POLLIN)

    def say(self, **message: Any) -> None:
        """Queue a message to the host, and send what can be sent without waiting."""
        if self._host_lives:
            self._unsent.append(json.dumps(message).encode())
            self._send()

    def serve(self) -> None:
        """Run until the host has gone or says ``quit``."""
        while True:
            ready = {fd for fd, _ in self._poller.poll(self._timeout_ms())}
            if self._wake in ready:
                self._take_signals()
            if self._host_fd in ready:
                self._host_died()
            elif self._control.fileno() in ready:
                self._send()
                self._receive()
            some_left = self._reap()
            self._bury()
            if self._closing_ends is not None:
                self._kill_everybody()
                if not (some_left or self._unsent) or time.monotonic() >= self._closing_ends:
                    return

    # Asleep: how long, and what woke us.

    def _timeout_ms(self) -> float | None:
        ends = [worker.patience_ends for worker in self._dying]
        if self._closing_ends is not None:
            ends.append(self._closing_ends)
        return max(0.0, min(ends) - time.monotonic()) * 1000 + 1 if ends else None

    def _take_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            # Each byte is the number of a signal. SIGCHLD needs no more than having woken the loop.
            if signal.SIGTERM in os.read(self._wake, 4096):
                self._close()

    def _host_died(self) -> None:
        if self._host_lives:
            self._host_lives = False
            self._poller.unregister(self._host_fd)
            self._poller.unregister(self._control)
            self._unsent.clear()
            self._close()

    def _close(self) -> None:
        if self._closing_ends is None:
            self._closing_ends = time.monotonic() + PATIENCE_S
            for pid in self._by_pid:
                _kill_group(pid)
            self._kill_everybody()

    def _kill_everybody(self) -> None:
        for child in children(os.getpid()):
            _kill(child.pid)

    # The socket.

    def _send(self) -> None:
        while self._unsent:
            try:
                self._control.send(self._unsent[0])
            except BlockingIOError:
                break
            except OSError:
                self._host_died()
                return
            self._unsent.popleft()
        self._poller.modify(self._control, select.POLLIN | (select.POLLOUT if self._unsent else 0))

    def _receive(self) -> None:
        """Take one message, so that a hundred spawns in a row do not keep the dead waiting."""
        if not self._host_lives:
            return
        space = socket.CMSG_SPACE(MAX_FDS * 4)
        try:
            text, extra, flags, _ = self._control.recvmsg(MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            self._host_died()
            return
        fds = [fd for level, kind, data in extra for fd in _fds_in(level, kind, data)]
        try:
            if not text:
                self._host_died()
                return
            self._obey(json.loads(text), fds, cut=bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)))
        finally:
            for fd in fds:
                os.close(fd)

    def _obey(self, message: dict[str, Any], fds: list[int], cut: bool) -> None:
        match message["op"]:
            case "spawn":
                starved = cut or len(fds) != message.get("nfds")
                reason = self._why_not_spawn(message, fds, cut)
                if not reason:
                    reason, starved = self._spawn(message, fds), True
                if reason:
                    self.say(op="failed", key=str(message.get("key")), reason=reason, starved=starved)
            case "kill":
                worker = self._by_key.get(message["key"])
                if worker is not None and worker.pid in self._by_pid:
                    if message["signal"] == signal.SIGKILL:
                        _kill_group(worker.pid)
                    else:
                        _kill(worker.pid, message["signal"])
            case "ping":
                self.say(op="pong")
            case "quit":
                self._close()

    # Birth.

    def _why_not_spawn(self, message: dict[str, Any], fds: list[int], cut: bool) -> str | None:
        key, entry, spec = message.get("key"), message.get("entry"), message.get("spec")
        if self._closing_ends is not None:
            return "the forkserver is closing"
        if not isinstance(key, str) or not key:
            return f"the key must be a name, found {key!r}"
        if key in self._by_key:
            return f"{key} is running already (pid {self._by_key[key].pid}); wait for its exit or use another key"
        if not isinstance(entry, str) or not all(entry.partition(":")):
            return f"the entry must be 'module:function', found {entry!r}"
        if not isinstance(spec, dict):
            return f"the spec must be an object, found {type(spec).__name__}"
        env, cwd = spec.get("env") or {}, spec.get("cwd") or ""
        if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
            return f"spec['env'] must map names to strings, found {env!r}"
        if not isinstance(cwd, str):
            return f"spec['cwd'] must be a path, found {cwd!r}"
        if cut or len(fds) != message.get("nfds"):
            return f"{message.get('nfds')} descriptors were sent, {len(fds)} arrived; look at `ulimit -n`"
        return None

    def _spawn(self, message: dict[str, Any], fds: list[int]) -> str | None:
        """Fork a worker; the reason if that cannot be done."""
        self._serial += 1
        mark = make_mark(self._token, self._serial)
        birth = newborn.Birth(
            key=message["key"],
            entry=message["entry"],
            spec=message["spec"],
            fds=tuple(fds),
            mark=mark,
            keeper=os.getpid(),
            keeper_mark=make_mark(self._token, 0),
        )
        # Blocked, so that no handler of ours runs in the child and writes into the pipe it still shares with us.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return f"no process could be made: {error.strerror}; look at `ulimit -u`, the pids cgroup and free memory"
        if pid == 0:
            try:
                newborn.live(birth)
            finally:
                os._exit(newborn.EXIT_EXCEPTION)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        worker = _Worker(key=birth.key, pid=pid, mark=mark)
        self._by_pid[pid] = self._by_key[birth.key] = worker
        process = look(pid)
        self.say(op="started", key=birth.key, pid=pid, start_ticks=process.start_ticks if process else 0)
        return None

    # Death.

    def _reap(self) -> bool:
        """Reap all dead children. False when no child at all is left."""
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return False
            if dead is None:
                return True
            worker = self._by_pid.pop(dead.si_pid, None)
            if worker is not None:
                _kill_group(worker.pid)
                worker.outcome = {"code" if dead.si_code == os.CLD_EXITED else "signal": dead.si_status}
                worker.patience_ends = time.monotonic() + PATIENCE_S
                self._dying.append(worker)
            os.waitpid(dead.si_pid, 0)

    def _bury(self) -> None:
        """Kill what dead workers left behind; report those that left nothing (any more).

        A child that we kill here wakes the loop when it dies, and its own children are ours then: so generation after
        generation goes, without waiting.
        """
        if not self._dying:
            return
        known = {worker.pid: worker.mark for worker in (*self._by_pid.values(), *self._dying)}
        orphans = {child for child in children(os.getpid()) if child.pid not in self._by_pid and not child.dead}
        self._given_up &= orphans
        left: dict[str, list[Process]] = {worker.mark: [] for worker in self._dying}
        for orphan in orphans:
            maker = _maker(orphan, known)
            if maker is not None and maker not in left:
                continue  # its maker lives
            _kill(orphan.pid)
            if orphan not in self._given_up:
                for mark in [maker] if maker is not None else list(left):
                    left[mark].append(orphan)
        now = time.monotonic()
        for worker in self._dying[:]:
            stay = left[worker.mark]
            if not stay or now >= worker.patience_ends:
                self._given_up.update(stay)
                self._dying.remove(worker)
                del self._by_key[worker.key]
                pids = sorted(one.pid for one in stay)
                self.say(op="exited", key=worker.key, pid=worker.pid, left=pids, **worker.outcome)


def _maker(orphan: Process, known: dict[int, str]) -> str | None:
    """The mark of the worker that made `orphan`, of the `known` (pid -> mark); None when it cannot be told."""
    if orphan.session in known:
        return known[orphan.session]
    mark = mark_of(orphan.pid)
    return mark if mark in known.values() else None


def _fds_in(level: int, kind: int, data: bytes) -> list[int]:
    if (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
        return []
    whole = len(data) - len(data) % 4
    return [int.from_bytes(data[i : i + 4], sys.byteorder) for i in range(0, whole, 4)]


def _kill(pid: int, sig: int = signal.SIGKILL) -> None:
    # Another user's process stays; whoever waits for it runs out of patience.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, sig)


def _kill_group(pid: int) -> None:
    """Kill a worker that is not yet reaped, and its group. Just after the fork the group is not there yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    _kill(pid)


def _open_standard_streams() -> None:
    """Make sure that 0, 1 and 2 are taken: a worker's descriptors must not land there."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def main(argv: list[str] | None = None) -> int:
    """Preload, say ``ready``, serve. The host starts this with the control socket as an inherited descriptor."""
    parser = argparse.ArgumentParser(prog="guardian.worker.forkserver", description=main.__doc__)
    parser.add_argument("--control", type=int, required=True, help="descriptor of the SOCK_SEQPACKET socket")
    parser.add_argument("--host", type=int, required=True, help="process id of the host")
    parser.add_argument("--preload", action="append", default=[], metavar="MODULE", help="imported before any fork")
    args = parser.parse_args(argv)

    control = socket.socket(fileno=args.control)
    control.setblocking(False)
    control.set_inheritable(False)
    try:
        host_fd = os.pidfd_open(args.host)
    except ProcessLookupError:
        return 1
    if os.getppid() != args.host:  # the host died, and its number was given away
        return 1
    token = os.environ.get(MARK, "").partition(".")[0]
    if not token:
        sys.stderr.write(f"guardian.worker.forkserver: {MARK} is not set; it is started by guardhost, not by hand.\n")
        return 2

    _open_standard_streams()
    system_calls.adopt_orphans()
    system_calls.set_short_name("guardian-forks")
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the signal reaches the wakeup pipe
    signal.signal(signal.SIGTERM, lambda *_: None)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):  # they are the host's business
        signal.signal(ignored, signal.SIG_IGN)

    server = Forkserver(control, host_fd, token)
    loaded = preload((*HEAVY, *args.preload))
    if loaded.why_not_fork:
        server.say(op="broken", reason=loaded.why_not_fork)
        return newborn.EXIT_EXCEPTION
    server.say(op="ready", pid=os.getpid(), missing=loaded.missing, threads=loaded.threads)
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
