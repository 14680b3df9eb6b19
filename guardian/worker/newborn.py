"""The first moments of a worker: from the fork to its entry function, and its end.

Runs in the forked child only. What a worker gets from the forkserver is the imports and nothing else: not its
descriptors, its signal handlers, its session or its random numbers. The order matters in two places. First of all the
child ties its life to the forkserver's, so that nothing it does later can leave it behind. And it ends in ``os._exit``
whatever happens: a child that returned into the forkserver's loop would be a second forkserver.

=====  ============================================================================
exit   meaning
=====  ============================================================================
0      the entry function returned None
n      it returned n, or raised SystemExit(n)
70     it raised something else, or could not be imported; the traceback is on fd 2
74     its link to the host does not work any more, although the host did not close it
=====  ============================================================================
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from guardian.worker import system_calls
from guardian.worker.descendants import MARK

#: EX_SOFTWARE of sysexits.h.
EXIT_EXCEPTION = 70
#: EX_IOERR. Most likely user code has closed descriptors, and with them the log: only this number can tell.
EXIT_UNLINKED = 74

Entry = Callable[[dict[str, Any], list[int]], int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a worker is born with."""

    key: str  #: its name to the host, as "SUS_MC1#3"
    entry: str  #: "package.module:function"
    spec: dict[str, Any]  #: handed to the entry function; "env" and "cwd" in it are used here already
    fds: tuple[int, ...]  #: the descriptors that are its own, beside 0, 1 and 2
    mark: str  #: how its descendants are known
    keeper: int  #: process id of the forkserver
    keeper_mark: str  #: the mark in the inherited environment, which `mark` replaces


def live(birth: Birth) -> NoReturn:
    """Be the worker."""

    def life() -> int | None:
        if not system_calls.die_with_parent(birth.keeper):
            os._exit(EXIT_EXCEPTION)  # the forkserver died before the call: nobody is left to tell
        _leave_home(birth)
        return _call(birth)

    end_with(life)


def end_with(call: Callable[[], int | None]) -> NoReturn:
    """Make this call and end the process, whatever threads there are. The exit code is the table above."""
    code = EXIT_EXCEPTION
    try:
        code = call() or 0
    except SystemExit as reason:
        code = _code_of(reason)
    except BaseException:
        _complain(traceback.format_exc())
    finally:
        try:
            _flush()
        finally:
            os._exit(code & 0xFF)


def _leave_home(birth: Birth) -> None:
    """Become a process of its own: session, descriptors, signals, names, random numbers, environment, directory."""
    os.setsid()
    _close_all_but((0, 1, 2, *birth.fds))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    system_calls.set_short_name(birth.key.partition("#")[0])
    system_calls.set_title(f"guardian-worker {birth.key}")
    system_calls.replace_in_environment(birth.keeper_mark, birth.mark)
    os.environ[MARK] = birth.mark
    sys.argv = ["guardian-worker", birth.key]
    _default_signals()
    # `random` seeds itself anew after a fork, numpy does not: all workers would draw the same numbers.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    os.environ.update(birth.spec.get("env") or {})
    if birth.spec.get("cwd"):
        os.chdir(birth.spec["cwd"])
    gc.enable()


def _call(birth: Birth) -> int | None:
    module, _, function = birth.entry.partition(":")
    entry: Entry = getattr(importlib.import_module(module), function)
    return entry(birth.spec, list(birth.fds))


def _close_all_but(keep: Iterable[int]) -> None:
    kept = set(keep)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
                os.close(int(name))


def _default_signals() -> None:
    """Signals as in any Python program that just started: nothing blocked, Python's own three, else the default."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _code_of(reason: SystemExit) -> int:
    """The exit code that Python itself would give."""
    if reason.code is None:
        return 0
    if isinstance(reason.code, int):
        return reason.code
    _complain(f"{reason.code}\n")
    return 1


def _complain(text: str) -> None:
    # Not sys.stderr: user code may have replaced it.
    with contextlib.suppress(OSError):
        os.write(2, text.encode(errors="replace"))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    system_calls.flush_c_streams()
