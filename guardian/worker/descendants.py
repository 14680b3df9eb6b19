"""Whose child is that? Processes as /proc shows them, and the end of those that outlived their maker.

User code starts programs, and programs make daemons: a double fork and ``setsid`` take a process out of the group and
the session of its worker. Two things still tell whose it is:

* the **session**: a worker leads a session of its own, and nobody can join the session of another;
* the **mark**: each worker carries ``GUARDIAN_WORKER=<token>.<serial>`` in its environment, which children inherit. The
  token stands for one life of the forkserver, the serial for one worker in it.

A program that drops both (its own session and a clean environment) has no known owner.

A process id alone proves nothing: it may have been given to somebody else. Nothing here signals a number; a process is
first held by a pidfd, then looked at again, then signalled through the pidfd.

Cost: one pass over /proc, about 40 us a process.
"""

from __future__ import annotations

import os
import select
import signal
import site
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import guardian

#: The environment variable that carries a worker's mark.
MARK = "GUARDIAN_WORKER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A moment of a process. `start_ticks` (clock ticks since boot) and `pid` together name it for good."""

    pid: int
    parent: int
    session: int
    start_ticks: int
    stopped: bool  #: by SIGSTOP, Ctrl-Z or a debugger
    dead: bool  #: a zombie: nothing runs any more, only its exit status waits for its parent


def environment(token: str, more: Mapping[str, str]) -> dict[str, str]:
    """Of a Python of ours that is started with -P, which marks all that comes of it."""
    return importable({**os.environ, **more, MARK: make_mark(token, 0)})


def importable(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a Python of ours that is started with -P.

    -P keeps the directory we happen to be in, with its epics.py or random.py, out of the way; so where this package is
    not installed, it is said where it is.
    """
    env = dict(environ)
    home = str(Path(guardian.__file__).resolve().parent.parent)
    if home not in site.getsitepackages():
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (env.get("PYTHONPATH"), home)))
    return env


def make_mark(token: str, serial: int) -> str:
    """The mark of one worker; all marks of one token have the same length, so one can be written over another."""
    return f"{token}.{serial:010d}"


def look(pid: int) -> Process | None:
    """What /proc says of process `pid`, or None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the name in field 2 may hold spaces and brackets
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        stopped=fields[0] in (b"T", b"t"),
        dead=fields[0] in (b"Z", b"X"),
    )


def everyone() -> Iterator[Process]:
    """Every process of the machine that can be seen."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := look(int(name))) is not None:
            yield process


def children(parent: int) -> list[Process]:
    """The children of `parent`, zombies included."""
    return [process for process in everyone() if process.parent == parent]


def mark_of(pid: int) -> str:
    """The mark that process `pid` was started with, or "" when it has none or cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            text = file.read()
    except OSError:  # gone, or of another user
        return ""
    wanted = MARK.encode() + b"="
    for item in text.split(b"\0"):
        if item.startswith(wanted):
            return item[len(wanted) :].decode(errors="replace")
    return ""


def kill_family(token: str, workers: Mapping[int, int], *, timeout_s: float) -> tuple[int, ...]:
    """Kill all that a dead forkserver left behind, and wait until it is dead. Blocks: call it in a thread.

    Parameters
    ----------
    token : the token of that forkserver's life; whoever has it in its mark is killed.
    workers : pid -> start_ticks of the workers it had; whoever is in the session of one is killed.
    timeout_s : how long to wait, in seconds.

    Returns
    -------
    tuple of int
        Processes that are still there: of another user, or held by the kernel. Empty when all went well.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        family = [one for one in everyone() if not one.dead and _belongs(one, token, workers)]
        if not family:
            return ()
        if not _kill_and_wait(family, deadline) or time.monotonic() >= deadline:
            return tuple(one.pid for one in family if _lives(one))


def _belongs(process: Process, token: str, workers: Mapping[int, int]) -> bool:
    if mark_of(process.pid).startswith(f"{token}."):
        return True
    born = workers.get(process.session)
    if born is None:
        return False
    leader = look(process.session)
    # A leader born at another time means that the number was given away, and with it the session.
    return leader is None or leader.start_ticks == born


def _lives(process: Process) -> bool:
    now = look(process.pid)
    return now is not None and not now.dead and now.start_ticks == process.start_ticks


def _kill_and_wait(family: list[Process], deadline: float) -> bool:
    """Kill each of `family`; return when all are dead, or at `deadline` (time.monotonic). False: none may be killed."""
    with ExitStack() as held:
        poller = select.poll()
        waiting = set()
        for one in family:
            with suppress(ProcessLookupError, PermissionError):
                fd = os.pidfd_open(one.pid)
                held.callback(os.close, fd)
                if not _lives(one):
                    continue
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                poller.register(fd, select.POLLIN)
                waiting.add(fd)
        any_killed = bool(waiting)
        while waiting and (left_s := deadline - time.monotonic()) > 0:
            for fd, _ in poller.poll(left_s * 1000):
                poller.unregister(fd)
                waiting.discard(fd)
        return any_killed
