"""A real process under a test: everything it says is kept, every wait is bounded, nothing of it survives.

The process leads a session of its own. That gives its whole family one name: on exit every member of the session is
killed, also those that were orphaned.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support import procs


class Child:
    """Context manager round a process; its stdout and stderr are collected together, in the order they came.

    Parameters
    ----------
    argv : what to run.
    env : the whole environment, e.g. from :func:`tests.support.ca_env`; None inherits.
    cwd : working directory.
    stdin : True opens a pipe for :meth:`send`; else stdin is empty.
    on_output : called with every block as it comes, in the thread that collects the output.
    """

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: bool = False,
        on_output: Callable[[bytes], None] | None = None,
    ) -> None:
        self.argv = [os.fspath(word) for word in argv]
        self._output = bytearray()
        self._more = threading.Condition()
        self._at_end = False
        self._on_output = on_output
        self._process = subprocess.Popen(
            self.argv,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._collect, name=f"output of {self.pid}", daemon=True)
        self._reader.start()

    # -- what it is and says ---------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative is the number of the signal that ended it."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """All it said so far."""
        with self._more:
            return self._output.decode(errors="replace")

    def send(self, text: str) -> None:
        """Write to its stdin."""
        assert self._process.stdin is not None, "made without stdin=True"
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    # -- waiting ---------------------------------------------------------------------------------------------------

    def wait_for(self, pattern: str, timeout_s: float = 30, *, start: int = 0) -> re.Match[str]:
        """Wait until its output matches ``pattern`` (a regular expression, ``^`` and ``$`` match at lines).

        Parameters
        ----------
        start : look only behind this many characters of output; ``match.end()`` of the match before.

        Raises
        ------
        AssertionError : on the deadline or when it ended without saying so; with all that it said.
        """
        regex = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout_s
        with self._more:
            while True:
                if match := regex.search(self._output.decode(errors="replace"), start):
                    return match
                if self._at_end:
                    break
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{timeout_s:g} s passed without {pattern!r}\n{self.report()}")
                self._more.wait(left)
        raise AssertionError(f"it ended without {pattern!r}\n{self.report()}")

    def wait(self, timeout_s: float = 30) -> int:
        """Wait for its end and return the exit code."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it still runs after {timeout_s:g} s\n{self.report()}") from None
        self._reader.join(2)  # not longer: a grandchild may hold the pipe
        return code

    def report(self) -> str:
        """What it was, how it ended and all it said: the text of every failure."""
        code = self._process.poll()
        end = "still running" if code is None else f"exit code {code}"
        return f"--- {shlex.join(self.argv)}\n--- pid {self.pid}, {end}; it said:\n{self.output}\n---"

    # -- ending ----------------------------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def stop(self, timeout_s: float = 15) -> int:
        """SIGTERM to the process; what is left of its session after ``timeout_s`` is killed. Returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.close()

    def kill9(self) -> None:
        """SIGKILL to the process alone: its family must end by itself, and the test may watch that."""
        self._process.kill()
        self._process.wait(30)

    def close(self) -> int:
        """End the whole session at once. Harmless twice. Returns the exit code."""
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            left = procs.session_members(self.pid)
            procs.kill(pid for pid in left if pid != self.pid)
            self._process.wait(30)
            if not left:
                break
            assert time.monotonic() < deadline, f"cannot be killed: {left}\n{self.report()}"
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return self._process.returncode

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
        if error is not None:
            error.add_note(self.report())

    def _collect(self) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while True:
            try:
                block = os.read(descriptor, 65536)
            except OSError:
                block = b""
            with self._more:
                self._output += block
                self._at_end = not block
                self._more.notify_all()
            if self._on_output is not None:
                self._on_output(block)
            if not block:
                return


REPO = Path(__file__).resolve().parents[2]
