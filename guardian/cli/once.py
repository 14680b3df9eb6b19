"""``guardian NODE STATE [REQUEST]``: runs one state, or the path from STATE to REQUEST, and ends. No server, no host.

The loop is that of a node (`guardian.worker.loop`), so main() and run() are called when a node would call them, a
return value means what it means there, and a channel that is lost is waited for. Instead of a host there is a
:class:`_Walk`: it hears what came of each call and enters the next state of the path. It ends

* when the last state completes: exit code 0;
* when user code raises (its traceback is in the log), or a state jumps: a jump leaves the path, and is not followed: 1;
* at Ctrl-C, SIGTERM or SIGHUP: 1. A method in progress is interrupted, and gets the second that STOP gives it (R10).

User code runs in the main thread. A signal is noticed by a thread of its own, through the wake-up descriptor, which
works also while the main thread is held up in C code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from guardian.cli.foreground import Log, Place, complain_of, settle
from guardian.cli.output import FAILED, OK, complain
from guardian.core.events import Connected, Enter, Raised, Report, Returned, Stop
from guardian.core.graph import Graph
from guardian.enums import ErrorKind, OnComplete
from guardian.errors import ExpectedError, Interrupted, SystemLoadError
from guardian.worker.beat import BeatWriter, create_page
from guardian.worker.faults import PYTHONS, is_ours
from guardian.worker.interrupt import Interrupter
from guardian.worker.logs import message
from guardian.worker.inbox import Inbox
from guardian.worker.loop import Loop
from guardian.worker.notices import Notices
from guardian.worker.system import System, load

STOP_S = 1.0
_AGAIN_S = 0.25
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Walk:
    """Hears the reports of the loop, and says what comes next: the next state of `path`, or the end."""

    def __init__(self, node: str, graph: Graph, path: Sequence[str], inbox: Inbox, log: Log) -> None:
        self.why = ""  #: why it did not complete
        self.completed = False
        self._node = node
        self._graph = graph
        self._path = path
        self._inbox = inbox
        self._log = log
        self._at = 0

    @property
    def state(self) -> str:
        """The present state."""
        return self._path[self._at]

    def enter(self, why: str = "start") -> None:
        """Enter the present state."""
        came = f"EDGE: {self._path[self._at - 1]} -> " if self._at else ""
        target = self._path[min(self._at + 1, len(self._path) - 1)]
        self._log.line(f"{came}{self.state} ({self._graph.index(self.state)}), target {target}: {why}")
        self._inbox.put(Enter(entry=self._at + 1, state=self.state, on_complete=OnComplete.WAIT))

    def hear(self, report: Report) -> None:
        """A word of the loop."""
        if isinstance(report, Returned) and isinstance(report.outcome, str):
            self._end(self._jump(f"{self.state}.{report.call.value}()", report.outcome))
        elif isinstance(report, Returned) and report.outcome:
            self._complete(f"{self.state}.{report.call.value}() completed")
        elif isinstance(report, Raised) and report.kind is ErrorKind.CONNECT:
            self._log.line(f"{self.state}.{report.call.value}(): {report.message}", "WARNING")
        elif isinstance(report, Raised):
            self._end(report.message)
        elif isinstance(report, Connected):
            self._log.line("the channels are back")

    def notify(self, texts: tuple[str, ...]) -> None:
        """The notifications that stand now."""
        self._log.line(f"notify: {'; '.join(texts)}" if texts else "notifications cleared")

    def _complete(self, why: str) -> None:
        if self._at + 1 < len(self._path):
            self._at += 1
            self.enter(why)
        else:
            self._log.line(why)
            self.completed = True
            self._inbox.put(Stop())

    def _jump(self, where: str, to: str) -> str:
        if to in self._graph:
            return f"{where} jumps to {to}, and ends here; to go on from there: guardian {self._node} {to}"
        source = f" ({self._graph[self.state].source})" if self._graph[self.state].source else ""
        return f"{where}{source} returned {to!r}: {_no_state(self._node, self._graph, to)}"

    def _end(self, why: str) -> None:
        self.why = why
        self._inbox.put(Stop())


class _Signals(threading.Thread):
    """Turns the first signal that ends a program into Stop, and sees to it that Stop is obeyed."""

    def __init__(self, node: str, inbox: Inbox, interrupter: Interrupter) -> None:
        super().__init__(name="guardian-signals", daemon=True)
        self.came: signal.Signals | None = None
        self._node = node
        self._inbox = inbox
        self._interrupter = interrupter
        self._reads, writes = os.pipe()
        os.set_blocking(writes, False)
        self._taken = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]  # else: nohup
        for number in self._taken:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self.give_back)

    def give_back(self) -> None:
        """Signals end the process again: for what comes after user code, and for the children it forks."""
        signal.set_wakeup_fd(-1)
        for number in self._taken:
            signal.signal(number, signal.SIG_DFL)

    def run(self) -> None:
        while (number := os.read(self._reads, 1)[0]) not in self._taken:
            pass
        self.came = signal.Signals(number)
        self._inbox.put(Stop())
        deadline = time.monotonic() + STOP_S
        call = self._interrupter.shoot()
        while call and self._interrupter.shoot_again(call):
            if time.monotonic() >= deadline:
                self._cut_off()
            time.sleep(_AGAIN_S)

    def _cut_off(self) -> None:
        complain("guardian", f"{self._node}: {self.came.name}: cut off after {STOP_S:g} s{_where()}")  # type: ignore[union-attr]
        os._exit(FAILED)


def run_once(place: Place, state: str, request: str) -> int:
    """Run the path from `state` to `request`, which may be one state. Returns the exit code.

    Raises
    ------
    ExpectedError
        There is no such state, or no path.
    """
    log, inbox, interrupter = Log(place.node), Inbox(), Interrupter()
    walk: _Walk | None = None
    notices = Notices(lambda texts: walk.notify(texts) if walk else None, time.monotonic)

    def notify(text: object, *args: object) -> None:
        with interrupter.shield():
            notices.give(message(text, args))

    ezca = settle(place, log, notify)
    signals = _Signals(place.node, inbox, interrupter)
    signals.start()
    try:
        system = interrupter.call(partial(_load, place, inbox))
        ezca.use_prefix(system.facts.prefix)
        for warning in system.facts.warnings:
            log.line(warning, "WARNING")
        graph = Graph.build(system.facts.states, system.facts.edges)
        walk = _Walk(place.node, graph, _path(place.node, graph, state, request), inbox, log)
        walk.enter()
        _loop(system, walk, inbox, interrupter, notices, ezca, log)
    except SystemLoadError as error:
        return complain_of(error)
    except Interrupted:
        complain("guardian", f"{place.node}: ended by {_name(signals)} while it was loaded")
        return FAILED
    finally:
        signals.give_back()
    if not walk.completed:
        complain("guardian", f"{place.node}: {walk.why or f'ended by {_name(signals)} in {walk.state}'}")
    return _leave(place.node, OK if walk.completed else FAILED)
