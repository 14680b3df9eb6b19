"""User code in the very process of a command: what ``guardian NODE STATE`` and ``guardian -i`` have in common.

User code finds what it finds in a node (ezca, log, notify, SYSTEM, IFO, SITE, its folders on ``sys.path``), with one
difference: the terminal is its own. What it prints goes there as it is, and it may read from it, so ``breakpoint()``
works. The lines of ``log`` are those of a host's log.

A line is one write to descriptor 1, without a lock and without a buffer: threads and forked children of user code never
mix theirs, and whoever reads a pipe has all that was said before the end. That nobody reads is no fault of user code.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guardian.access.channels import Channels
from guardian.cli.output import WRONG_CALL, complain
from guardian.errors import SystemLoadError
from guardian.host.logsink import LogLine
from guardian.worker import logs, namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What user code is run as: the node, its machine and site, and the folders that are searched."""

    node: str
    ifo: str
    site: str
    paths: tuple[str, ...]


class Log:
    """What user code calls ``log``. ``context`` is shown with its lines: "STATE.method" during a call, else ""."""

    def __init__(self, node: str) -> None:
        self.context = ""
        self._node = node

    def __call__(self, text: object, *args: object, level: str = "INFO") -> None:
        """Write a line to standard output: ``log('text')`` or ``log('x is %s', x)``."""
        self.line(logs.message(text, args), level, self.context)

    def line(self, text: str, level: str = "INFO", context: str = "") -> None:
        """Write one line for each line of `text`; without `context` it is a line of the node itself."""
        stamp_us = time.time_ns() // 1000
        level = level if level in logs.LEVELS else "INFO"
        with contextlib.suppress(Exception):
            sys.stdout.flush()  # what user code has printed comes first
        for part in text.removesuffix("\n").split("\n"):
            shown = "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in logs.cut(part))
            line = LogLine(stamp_us=stamp_us, node=self._node, text=shown, level=level, context=context)
            with contextlib.suppress(OSError):
                os.write(1, f"{line}\n".encode(errors="backslashreplace"))


class _Handler(logging.Handler):
    """Python's logging into the same lines."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log(self.format(record), level=record.levelname)


def settle(place: Place, log: Log, notify: Callable[..., None]) -> Channels:
    """Make this process a place for user code. Returns what is called ``ezca`` there, still without a prefix."""
    if isinstance(reconfigure := getattr(sys.stdout, "reconfigure", None), Callable):
        reconfigure(line_buffering=True)
    logging.basicConfig(level=logging.INFO, handlers=[_Handler(log)], force=True)
    ezca = Channels(place.ifo, log=log)
    namespace.inject(node=place.node, ifo=place.ifo, site=place.site, ezca=ezca, log=log, notify=notify)
    sys.dont_write_bytecode = True
    sys.path[:0] = place.paths
    return ezca


def complain_of(error: SystemLoadError) -> int:
    """Tell why a module does not load: the traceback of the user's code, then one line. Returns the exit code."""
    if error.details:
        with contextlib.suppress(OSError):
            print(error.details, file=sys.stderr)
    complain("guardian", str(error))
    return WRONG_CALL
