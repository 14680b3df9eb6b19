"""``guardian NODE STATE [REQUEST]``: runs one state, or the path from STATE to REQUEST, and ends. No server, no host.

User code runs in a worker as every node has, so it finds and does here what it finds and does there, but the terminal
is its own (`foreground`). The command is all the host that this worker has: it enters one state of the path after the
other. It ends

* when the last state completes: exit code 0;
* when user code raises (its traceback is in the log), when a state jumps (a jump leaves the path, and is not followed),
  when the worker dies, and at Ctrl-C, SIGTERM or SIGHUP: 1, and one line says why.

A channel that is lost is waited for, as in a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from guardian.cli.foreground import STOP_S, Log, Worker
from guardian.cli.output import FAILED, OK, WRONG_CALL, complain
from guardian.core.events import (
    Connected,
    Enter,
    Loaded,
    LoadFailed,
    Notifications,
    Raised,
    Report,
    Returned,
    Stop,
)
from guardian.core.graph import LISTED, Graph, SystemFacts
from guardian.enums import ErrorKind, OnComplete
from guardian.errors import LinkError
from guardian.host.spawner import sentence
from guardian.worker.link import Load


def run_once(load: Load, start: str, end: str) -> int:
    """Run the path from `start` to `end`, which may be one state. Returns the exit code."""
    log = Log(load.node)
    walk = _Walk(load.node, start, end, log)
    try:
        with Worker(load, log) as worker:
            for report in worker.reports():
                if worker.signal is None and (command := walk.hear(report)) is not None:
                    worker.tell(command)
    except LinkError as error:  # user code wrote where it should not
        walk.why, walk.code = str(error), FAILED
    if walk.code != OK:
        complain("guardian", f"{load.node}: {walk.why or _how_it_ended(worker, walk.state)}")
    return walk.code


def _how_it_ended(worker: Worker, state: str) -> str:
    """The sentence about a worker that has not come to the end of the path."""
    where = f"in {state}" if state else "while the module was loaded"
    if worker.method is not None:
        where += f".{worker.method.value}()"
    line = f" ({worker.line})" if worker.line else ""
    if worker.signal is None:
        how = sentence(worker.code, None) if worker.code >= 0 else sentence(None, -worker.code)
        return f"the worker died {where}{line}: {how}"
    cut_off = f", cut off after {STOP_S:g} s" if worker.cut_off else ""
    return f"ended by {worker.signal.name} {where}{cut_off}{line}"


class _Walk:
    """Hears what the worker says, and says what comes next."""

    def __init__(self, node: str, start: str, end: str, log: Log) -> None:
        self.state = ""  #: the present one; "" while the module is loaded
        self.code = FAILED
        self.why = ""  #: it came to no good end
        self._node = node
        self._ends = (start, end)
        self._log = log
        self._facts: SystemFacts
        self._graph: Graph
        self._path: Sequence[str] = ()
        self._entry = 0

    def hear(self, report: Report) -> Enter | Stop | None:
        """What to tell the worker now."""
        match report:
            case LoadFailed():
                return self._fail(report.reason.removeprefix(f"{self._node}: "), WRONG_CALL)
            case Loaded():
                return self._begin(report.facts)
            case Returned(outcome=str(to)):
                return self._fail(self._jump(f"{self.state}.{report.call.value}()", to))
            case Returned(outcome=True):
                return self._go_on(f"{self.state}.{report.call.value}() completed")
            case Raised(kind=ErrorKind.CONNECT):
                self._log.log(f"{self.state}.{report.call.value}(): {report.message}", level="WARNING")
            case Raised():
                return self._fail(report.message)
            case Connected():
                self._log.log("the channels are back")
            case Notifications(texts=()):
                self._log.log("notifications cleared")
            case Notifications():
                self._log.log(f"notify: {'; '.join(report.texts)}", level="WARNING")
        return None

    def _begin(self, facts: SystemFacts) -> Enter | Stop:
        loaded = f"loaded {facts.module}: {len(facts.states)} states"
        self._log.log("; ".join((loaded, *facts.warnings)))
        self._facts = facts
        self._graph = graph = Graph.build(facts.states, facts.edges)
        for name in self._ends:
            if name not in graph:
                return self._fail(f"no state {name!r}; {self._near(name)}", WRONG_CALL)
        self._path = graph.path(*self._ends) or ()
        if not self._path:
            return self._fail(graph.why_no_path(*self._ends), WRONG_CALL)
        return self._enter("start")

    def _near(self, name: str) -> str:
        names = [state.name for state in self._facts.states]
        if near := get_close_matches(name.upper(), names):
            return f"is {' or '.join(near)} meant?"
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        return f"it has {', '.join(names[:LISTED])}{more}"

    def _enter(self, why: str) -> Enter:
        """The next state of the path."""
        came = f"EDGE: {self.state} -> " if self.state else ""
        self.state = self._path[self._entry]
        self._entry += 1
        target = self._path[min(self._entry, len(self._path) - 1)]
        self._log.log(f"{came}{self.state} ({self._graph.index(self.state)}), target {target}: {why}")
        return Enter(entry=self._entry, state=self.state, on_complete=OnComplete.WAIT)

    def _go_on(self, why: str) -> Enter | Stop:
        if self._entry < len(self._path):
            return self._enter(why)
        self._log.log(why)
        self.code = OK
        return Stop()

    def _fail(self, why: str, code: int = FAILED) -> Stop:
        self.why, self.code = why, code
        return Stop()

    def _jump(self, where: str, to: str) -> str:
        if to in self._graph:
            return f"{where} jumps to {to}, which is not followed; `guardian {self._node} {to}` goes on there"
        source = self._graph[self.state].source
        at = f" ({source})" if source else ""
        return f"{where}{at} returned {to!r}, which is no state of {self._node}; {self._near(to)}"
