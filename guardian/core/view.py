"""All that one node shows, as one frozen value: the only thing the automaton publishes.

A view is complete and consistent in itself (R23): PVs, SUMMARY, alarms and the sentence of WHY are functions of it
(``interface.py``, ``explain.py``), so they cannot disagree.

It is a struct of msgspec, not a dataclass: each change is a new view, and copies are what a step costs most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from guardian.core.graph import Graph
from guardian.enums import INIT_STATE, NONE_STATE, ErrorKind, LoadStatus, LogLevel, Mode, Op, Status, Worker

#: Channels that a sentence names.
NAMED = 5


def some(names: tuple[str, ...]) -> str:
    """The first few names, for a sentence."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnode:
    """A node that this one manages or watches, as this one sees it.

    Parameters
    ----------
    there : whether it answers. mine : whether this node manages it. taken : whether it means to: it has taken it, and
    not released it. why : what is wrong with it, "" if it is OK.
    """

    node: str
    there: bool = False
    ok: bool = False
    mine: bool = False
    taken: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongCall:
    """A call of user code that takes long, see `Limits.slow_after_s`.

    Parameters
    ----------
    method : "LOCKING.main()". seconds : for which it was running when it was told last. since : epoch seconds at which
    it began.
    """

    method: str
    seconds: float
    since: float

    def __str__(self) -> str:
        """True for as long as it lasts, although nobody says it anew each second."""
        return f"in {self.method} for more than {self.seconds:.{0 if self.seconds >= 10 else 1}f} s"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One consistent moment of a node. Times are epoch seconds of events, never elapsed seconds.

    Parameters
    ----------
    event_id, stamp : of the step that led here.
    graph : None until the system has been loaded once.
    status : of the present state; ``known``: whether STATE, TARGET and STATUS still speak of something that lives.
    held : a jump holds the node where it is (R6).
    request_cmd : id of the REQUEST_CMD that made the present request, "" for a write of the plain PV.
    message : GRDMSG, what the guardian itself has to say. reason : of it, why the node is as it is; a refused write is
        worth a message, but no reason.
    connect : names of the channels that user code waits for. lost : of those that it has used and that are not
        connected now. ``overdue`` after there were any for 10 s.
    slow : the call of user code that takes long; None: none does.
    load_error : why the code did not load the last time that it was tried.
    kills : workers that were killed because they did not end. restarts : workers started because one had died.
    failed : the worker died too often and is not restarted (R12).
    subnodes : the nodes that user code manages or watches.
    spm_monitor, spm_notify : the switches of the set-point monitor.
    log_level : the least that is written to the log.
    since : for each condition of WHY, the epoch second it began.
    """

    event_id: int = 0
    stamp: float = 0.0
    op: Op = Op.EXEC
    op_by: str = ""
    mode: Mode = Mode.AUTO
    mode_by: str = ""
    manager: str = ""
    request: str = NONE_STATE
    request_id: int = 0
    request_by: str = ""
    request_cmd: str = ""
    nominal: str | None = None
    graph: Graph | None = None
    state: str = INIT_STATE
    target: str = INIT_STATE
    status: Status = Status.INIT
    state_time: float = 0.0
    held: bool = False
    known: bool = True
    error: ErrorKind = ErrorKind.NONE
    message: str = ""
    reason: str = ""
    connect: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    overdue: bool = False
    notifications: tuple[str, ...] = ()
    slow: LongCall | None = None
    worker: Worker = Worker.INIT
    failed: bool = False
    load_status: LoadStatus = LoadStatus.INPROGRESS
    load_time: float = 0.0
    load_error: str = ""
    kills: int = 0
    restarts: int = 0
    subnodes: tuple[Subnode, ...] = ()
    spm_monitor: bool = False
    spm_notify: bool = False
    log_level: LogLevel = LogLevel.INFO
    since: Mapping[str, float] = msgspec.field(default_factory=dict)

    @property
    def stalled(self) -> bool:
        """STATE == TARGET != REQUEST; never without a request, nor before there is a graph to plan with (R6)."""
        return self.graph is not None and self.state == self.target != self.request != NONE_STATE

    @property
    def disconnected(self) -> bool:
        """Whether a channel is missing that user code waits for, or has used (R13)."""
        return self.error is ErrorKind.CONNECT or bool(self.lost)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of these channels, those first that are waited for."""
        return (*self.connect, *(name for name in self.lost if name not in self.connect))

    def index(self, name: str | None) -> int:
        """Number of a state name, -1 when there is none."""
        return -1 if self.graph is None or name is None else self.graph.index(name)
