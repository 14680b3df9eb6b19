"""The child processes of the demo: what they say goes to a log file, how they end is told, none outlives the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from guardian.errors import ExpectedError
from guardian.worker.system_calls import die_with_parent

_LAST_LINES = 15
_TITLE = "guardian-worker "


class DemoProcess:
    """A child in a process group of its own, so that Ctrl-C in the terminal does not reach it.

    Parameters
    ----------
    log : file that takes its output; written anew.
    """

    def __init__(self, argv: Sequence[str], *, log: Path, cwd: Path, environ: Mapping[str, str]) -> None:
        self._log = log
        self._name = log.stem
        parent = os.getpid()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=lambda: die_with_parent(parent, signal.SIGTERM),  # noqa: PLW1509  # no threads here yet
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_said(self, beginning: str) -> bool:
        """Whether a line of its output begins like this."""
        return any(line.startswith(beginning) for line in self._lines())

    @property
    def ended(self) -> str:
        """How it has ended; "" while it runs."""
        if (code := self._process.poll()) is None:
            return ""
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def check(self) -> None:
        """Do nothing while it runs.

        Raises
        ------
        ExpectedError
            It has ended; the message has its last words.
        """
        if how := self.ended:
            raise ExpectedError(f"the {self._name} has ended ({how})\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its output, and where the rest is."""
        lines = self._lines()[-_LAST_LINES:]
        return "\n".join([f"it said, in {self._log}:", *(f"  {line}" for line in lines or ["nothing"])])

    def end(self, timeout_s: float) -> None:
        """SIGTERM, and after `timeout_s` SIGKILL. Harmless twice."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _lines(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()


def worker_pids(host: int) -> dict[str, int]:
    """Node -> process id of its worker, for the workers of this host, as ``ps`` shows them.

    The workers are children of the host's forkserver; a worker's title is ``guardian-worker NODE#GENERATION``.
    """
    found = {}
    for forkserver in _children(host):
        for pid in _children(forkserver):
            with contextlib.suppress(OSError):
                title = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
                if title.startswith(_TITLE):
                    found[title.removeprefix(_TITLE).partition("#")[0]] = pid
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in list(os.scandir(f"/proc/{pid}/task")):
            with contextlib.suppress(OSError):
                yield from map(int, Path(task.path, "children").read_bytes().split())
