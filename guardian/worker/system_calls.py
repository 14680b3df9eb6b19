"""The few Linux calls that Python lacks, by name. Nothing here decides anything.

Three of them are ``prctl(2)``: die with the parent, adopt orphans, and the short name that ``ps -o comm`` and ``top``
show. Two more write into memory that the kernel reads from outside: the argument and environment strings a process was
started with, as ``/proc/PID/cmdline`` and ``/proc/PID/environ`` show them. A forked process keeps those of its parent,
whatever it does to ``os.environ``; so without this all workers look alike to ``ps``, and nobody could tell whose child
a daemon is. Both write in place and never beyond what was there (the limits are fields 48 to 51 of
``/proc/self/stat``, see proc(5)); where the kernel hides the limits they change nothing and return False.
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_libc.prctl.restype = ctypes.c_int


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int, sig: signal.Signals = signal.SIGKILL) -> bool:
    """Ask the kernel for `sig` when the parent dies. False when process `parent` is not the parent (any more).

    The question comes after the call: a parent that died before it would never send the signal.
    """
    _prctl(_PR_SET_PDEATHSIG, sig)
    return os.getppid() == parent


def set_short_name(name: str) -> None:
    """Set the name that ``top`` and ``ps -o comm`` show; the kernel keeps its first 15 bytes."""
    text = ctypes.create_string_buffer(name.encode()[:15])
    _prctl(_PR_SET_NAME, ctypes.addressof(text))


def set_title(title: str) -> bool:
    """Show `title` as the command line of this process. Cut to the room that the present command line has."""
    start, end = _area(48)
    room = end - start
    if room < 2:
        return False
    # The last byte stays NUL: else the kernel takes what follows, the environment, for more of the command line.
    ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)
    return True


def replace_in_environment(old: str, new: str) -> bool:
    """Replace `old` by `new` (as long as it) in the environment strings that ``/proc/PID/environ`` shows."""
    was, now = old.encode(), new.encode()
    if len(was) != len(now):
        raise ValueError(f"{new!r} has {len(now)} bytes, {old!r} has {len(was)}: only equal lengths fit in place")
    start, end = _area(50)
    place = ctypes.string_at(start, end - start).find(was) if end > start else -1
    if place < 0:
        return False
    ctypes.memmove(start + place, now, len(now))
    return True


def flush_c_streams() -> None:
    """Write out what C code has buffered in stdio; ``os._exit`` would lose it."""
    _libc.fflush(None)


def _area(field: int) -> tuple[int, int]:
    """The addresses in fields `field` and `field` + 1 of /proc/self/stat; (0, 0) when they are hidden."""
    with open("/proc/self/stat", "rb") as file:
        text = file.read()
    fields = text[text.rindex(b")") + 2 :].split()  # the name in field 2 may hold spaces; field 3 comes first here
    return int(fields[field - 3]), int(fields[field - 2])
