"""Looking at processes and threads, and finding what a test left behind.

The session makes itself the *subreaper* of its descendants (prctl): a grandchild whose parent was killed becomes a
child of pytest instead of a child of init. So a worker that outlives its host is seen as a leak like any other.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36

# Python's own helpers live as long as the process that first needed them.
_LIFELONG = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")


def become_subreaper() -> None:
    """Adopt orphaned grandchildren. Where the kernel does not know it, they go to init and stay unseen."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[psutil.Process]:
    """All living processes below ``pid``, nearest first."""
    try:
        return [proc for proc in psutil.Process(pid).children(recursive=True) if alive(proc.pid)]
    except psutil.NoSuchProcess:
        return []


def processes_named(text: str) -> list[psutil.Process]:
    """Living processes whose command line contains ``text``, without this one."""
    return [
        proc
        for proc in psutil.process_iter()
        if proc.pid != os.getpid() and text in command_line(proc.pid) and alive(proc.pid)
    ]


def command_line(pid: int) -> str:
    """What was started, in one line; "" once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def session_members(sid: int) -> list[int]:
    """Living processes of the session ``sid``: also those whose parent is gone."""
    found = []
    for proc in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getsid(proc.pid) == sid and alive(proc.pid):
                found.append(proc.pid)
    return found


def children_now() -> set[int]:
    """Direct children of this process, zombies included. Reads the kernel's own list: tens of microseconds."""
    found: set[int] = set()
    try:
        for task in os.scandir("/proc/self/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.update(int(word) for word in Path(task.path, "children").read_bytes().split())
    except FileNotFoundError:
        return {proc.pid for proc in psutil.Process().children()}
    return found


def stray_children(before: Iterable[int] = ()) -> dict[int, str]:
    """Living children that were not there before, by pid, with their command line. Reaps adopted zombies on the way."""
    strays = {}
    for pid in children_now() - set(before):
        if not alive(pid):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            continue
        line = command_line(pid)
        if not any(word in line for word in _LIFELONG):
            strays[pid] = line
    return strays


def kill(pids: Iterable[int]) -> None:
    """SIGKILL, and reap what is ours."""
    pids = list(pids)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 9)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def stray_threads(before: Iterable[threading.Thread]) -> list[str]:
    """Names of living non-daemon threads that were not there before."""
    known = set(before)
    return [t.name for t in threading.enumerate() if t not in known and not t.daemon and t.is_alive()]
