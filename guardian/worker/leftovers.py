"""What code leaves behind in its process when it is exchanged: threads that still run it, and files that it holds open.

They stay until the worker ends, and they are the usual reason why a device is busy after a LOAD; so they are named. A
thread counts if it is executing a function of a module that was exchanged, or will call one (`threading.Timer`). A file
counts if it was open before and is still open after everything unused has been collected, unless the living instance
holds it. Nothing here changes anything, and nothing here raises: the new code runs already, and the host waits to hear
of it.
"""

from __future__ import annotations

import gc
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

from guardian.health import process as health
from guardian.worker import source
from guardian.worker.faults import describe

#: Things that are named; a system that leaves more needs a new worker, not a longer list.
MOST_NAMED = 8
_NULL = os.stat(os.devnull).st_rdev

#: Open files: descriptor and inode.
Files = frozenset[tuple[int, int]]


def open_files() -> Files:
    """The open files and devices of user code in this process. Neither sockets nor pipes: libca has those, too.

    None where this takes a descriptor more than there are.
    """
    found = set()
    try:
        listed = os.listdir("/proc/self/fd")
    except OSError:
        return frozenset()
    ours = health.process.files
    for fd in map(int, listed):
        if fd in ours:
            continue
        try:
            what = os.fstat(fd)
        except OSError:
            continue  # the listing's own
        is_device = stat.S_ISCHR(what.st_mode) and what.st_rdev != _NULL and fd > 2
        if (stat.S_ISREG(what.st_mode) and what.st_nlink) or is_device:
            found.add((fd, what.st_ino))
    return frozenset(found)


def left_behind(instance: object, before: Files) -> tuple[str, ...]:
    """What code that was exchanged has left here, a phrase each.

    Parameters
    ----------
    instance : the living instance; what it holds it keeps. before : the files that were open at the old code's time.
    """
    try:
        gc.collect()
        phrases = [*_threads(), *_files(open_files() & before - _held(instance))]
    except BaseException as error:  # what is looked at is user code, and so are signal handlers
        return (f"what cannot be told ({describe(error)})",)
    more = len(phrases) - MOST_NAMED
    return (*phrases[:MOST_NAMED], *([f"and {more} more"] if more > 0 else []))


def _held(instance: object) -> Files:
    held = set()
    for value in list(object.__getattribute__(instance, "__dict__").values()) if instance is not None else ():
        try:
            fd = value.fileno()
            held.add((fd, os.fstat(fd).st_ino))
        except Exception:
            continue  # no file
    return frozenset(held)


def _files(found: Files) -> Iterator[str]:
    for fd, _ in sorted(found):
        try:
            yield f"open file {os.readlink(f'/proc/self/fd/{fd}')}"
        except OSError:
            continue  # a thread has closed it


def _threads() -> Iterator[str]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        place = _place(frames.get(thread.ident or 0))
        if place or any(map(_is_old, _functions(thread))):
            yield f"thread {thread.name!r}" + (f" ({place})" if place else "")


def _place(frame: FrameType | None) -> str:
    """The innermost line of old code that is being executed, "" if none is."""
    while frame is not None:
        if _is_old(frame.f_globals):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _functions(thread: threading.Thread) -> Iterator[dict[str, Any]]:
    """The globals of what the thread was made to call."""
    for name in ("run", "_target", "function"):
        try:
            function = getattr(thread, name, None)
            function = getattr(function, "__func__", function)
        except Exception:
            continue  # an attribute of user code may do what it likes
        if isinstance(function, FunctionType):
            yield function.__globals__


def _is_old(names: dict[str, Any]) -> bool:
    """Whether these are the globals of a user's module that is not the one of its name any more."""
    file, present = names.get("__file__"), sys.modules.get(str(names.get("__name__")))
    is_users = isinstance(file, str) and source.is_user_path(file)
    return is_users and (present is None or vars(present) is not names)
