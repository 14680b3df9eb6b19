"""Looks at a system module without running it as a node: its facts, and what its source says.

Importing a module runs user code, and user code may do anything: end the process, crash it, never come to an end,
print whatever it likes wherever it likes. So it is done in a process of its own (`examine_process.py`), which loads the
module offline and answers on a pipe of its own. In there faulthandler writes to the same pipe when the process
crashes, so that even the end of a process is told with the line of user code that it was in. When its time is over it
gets SIGABRT, which is such a crash: the main thread itself says where it is, wherever it is.

Invariants
----------
* Nothing is imported here of what the module imports, neither numpy nor epics: the caller stays as light as it was.
* The caller waits no longer than ``timeout_s`` and some seconds. Afterwards nothing is left of the process, nor of what
  it started: it dies with the caller, and its family is killed, those that left its session included.
* What it prints comes out on the stderr of the caller, whose own stdout is for facts; a flood is cut off.

Cost: a Python with numpy, 0.3 s and what the module takes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from guardian.core.advice import SourceFacts
from guardian.core.graph import SystemFacts
from guardian.errors import InternalError, SystemLoadError
from guardian.worker.descendants import environment, kill_family, look
from guardian.worker.faults import frames_in_dump, where_in_dump
from guardian.worker.newborn import EXIT_UNLINKED
from guardian.worker.preload import ONE_THREAD

#: From its start to its first word, and from SIGABRT to SIGKILL.
START_S = 60.0
GRACE_S = 5.0
_CLEAR_S = 2.0
#: Bytes of what a module prints that are shown.
MOST_SHOWN = 1_000_000
_PIPE_SIZE = 1 << 20
#: The process could not go on after the import, because of what it did to Python.
EXIT_RUINED = 88
#: The first word of the process, before it touches user code.
READY = b"ready\n"
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is known of a system that is not running: the facts of its graph, and those of its source."""

    facts: SystemFacts
    source: SourceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """To the process, on its stdin: what to look at. ``parent`` is the process that waits for the answer."""

    node: str
    ifo: str
    site: str
    paths: tuple[str, ...]
    parent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """From the process: `examined`, or a `fault` of the module with the user's traceback, or a `bug` of ours."""

    examined: Examined | None = None
    fault: str = ""
    details: str = ""
    bug: str = ""


def examine(node: str, paths: Sequence[str], *, ifo: str = "", site: str = "", timeout_s: float = 60.0) -> Examined:
    """Load the module of a node in a process of its own, offline, and read it.

    Parameters
    ----------
    paths : folders that are searched, absolute, in order.
    ifo, site : as user code sees them.
    timeout_s : how long the import may take.

    Raises
    ------
    SystemLoadError
        The module cannot be found, imported, or used; ``details`` holds the user's traceback.
    """
    order = Order(node=node, ifo=ifo, site=site, paths=tuple(paths), parent=os.getpid())
    said, code = _run(msgspec.json.encode(order), timeout_s)
    if not said.startswith(READY):
        raise InternalError(f"{node}: the process that was to load it did not start (code {code}); please report it")
    said = said.removeprefix(READY)
    if not said.startswith(b"{"):
        raise _died(node, said.decode(errors="replace"), code, timeout_s)
    try:
        answer = msgspec.json.decode(said.split(b"\n", 1)[0], type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InternalError(f"{node}: {said[:200]!r} is no answer ({error}); please report it") from error
    if answer.bug:
        raise InternalError(f"{node}: it loads, but cannot be examined: {answer.bug}; please report it")
    if answer.examined is None:
        raise SystemLoadError(answer.fault, answer.details)
    return answer.examined


def _run(order: bytes, timeout_s: float) -> tuple[bytes, int | None]:
    """All that the process said on its pipe, and its return code as of Popen; None: its time was over."""
    token = secrets.token_hex(8)
    with _Pipe() as answers, _Pipe() as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "guardian.worker.examine_process", str(answers.theirs)],
            stdin=subprocess.PIPE,
            stdout=output.theirs,
            stderr=output.theirs,
            pass_fds=(answers.theirs,),
            env=environment(token, ONE_THREAD),
            start_new_session=True,
        )
        born, ears = look(process.pid), _Ears(process.pid, answers, output)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(order)
            ended = ears.listen(START_S, READY) or ears.listen(timeout_s)
            if not ended:
                process.send_signal(signal.SIGABRT)
                ears.listen(GRACE_S)
        finally:
            kill_family(token, {process.pid: born.start_ticks} if born else {}, timeout_s=_CLEAR_S)
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel holds it
                process.wait(_CLEAR_S)
    return bytes(ears.said), process.returncode if ended else None


class _Pipe:
    """``theirs`` is the end that the process gets. What comes is never waited for."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.pipe()
        os.set_blocking(self.ours, False)

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.ours)
        os.close(self.theirs)

    def read(self) -> bytes:
        """All that is in it, which may be nothing."""
        try:
            return os.read(self.ours, _PIPE_SIZE)
        except BlockingIOError:
            return b""


class _Ears:
    """Hears what the process answers, and shows what it prints."""

    def __init__(self, pid: int, answers: _Pipe, output: _Pipe) -> None:
        self.said = bytearray()
        self._shown = 0
        self._pid = pid
        self._answers = answers
        self._output = output

    def listen(self, timeout_s: float, word: bytes = b"") -> bool:
        """Until the process ends, or has said this first word if one is given; whether it ended."""
        deadline = time.monotonic() + timeout_s
        ended, end = False, os.pidfd_open(self._pid)
        try:
            poller = select.poll()
            for fd in (self._answers.ours, self._output.ours, end):
                poller.register(fd, select.POLLIN)
            while not (ended or (word and word in self.said)) and (left_s := deadline - time.monotonic()) > 0:
                ended = end in [fd for fd, _ in poller.poll(left_s * 1000)]
                self.said += self._answers.read()
                self._show(self._output.read())
        finally:
            os.close(end)
        return ended

    def _show(self, data: bytes) -> None:
        part = data[: max(0, MOST_SHOWN - self._shown)]
        if len(part) < len(data) and self._shown <= MOST_SHOWN:
            part += b"\n... it prints more than that, the rest is not shown\n"
        self._shown += len(data)
        with contextlib.suppress(OSError):  # nobody takes it
            while part:
                part = part[os.write(2, part) :]


def _died(node: str, trace: str, code: int | None, timeout_s: float) -> SystemLoadError:
    """How the process ended instead of giving an answer, and where; `trace` is what faulthandler wrote."""
    theirs = [frame for frame in frames_in_dump(trace) if frame[0][0] != "<"]
    at = f" ({place})" if (place := where_in_dump(trace)) else ""
    if code is None:
        what = f"its import is not over after {timeout_s:g} s{at}; what waits or loops belongs in a state"
    elif code == EXIT_UNLINKED:
        what = "the module closed the pipe on which it was to be told of; does it close descriptors it did not open?"
    elif code == EXIT_RUINED:
        what = "Python does not work any more after its import; does it replace builtins, or parts of sys?"
    elif code < 0:
        hint = (
            "look at the C code it calls there" if -code in _CRASHES else "was memory short, or did somebody kill it?"
        )
        what = f"the process ended at import by {_signal(-code)}{at}; {hint}"
    else:
        what = f"the module ended the process at import with exit code {code}{at}; an import must come to its end"
    lines = [f'  File "{file}", line {line}, in {name}' for file, line, name in reversed(theirs)]
    details = ["It was here (most recent call last):", *lines] if lines else []
    return SystemLoadError(f"{node}: {what}", "\n".join(details))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
