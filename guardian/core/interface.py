"""THE table of a node's PVs: one row a PV. Everything that serves, records, documents or draws PVs reads this table.

A row says what the PV is called, what it holds, who may write it, when it alarms and how it is archived. The order of
the rows is the order in which one step is published: STATUS, STALLED, TARGET, REQUEST, STATE, the rest, and last
SUMMARY, so that a client never sees a new STATE with the old state's DONE.

Values are functions of one :class:`~guardian.core.view.View` (source VIEW, published with a step), of its graph alone
(source GRAPH: long texts that are not made anew with every step) or of the host's :class:`Vitals` (source VITALS, at
most once a second).

CA facts behind the types: enums hold 16 labels of 25 characters and strings 39 bytes, so state names are strings with
an integer twin, and long texts are CHAR arrays.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from guardian._version import __version__
from guardian.core import explain
from guardian.core.documents import (
    DIFFERENCES_BYTES,
    DURATIONS_BYTES,
    SETPOINTS_BYTES,
    SUBNODES_BYTES,
    SUMMARY_BYTES,
    THREADS_BYTES,
    as_json,
    differences,
    durations,
    graph_facts,
    setpoints,
    subnodes,
    summary,
    threads,
)
from guardian.core.names import NODES_ROW, STRING_BYTES, pv_name
from guardian.core.process import Process
from guardian.core.texts import clip
from guardian.core.view import View
from guardian.enums import (
    NONE_INDEX,
    NONE_STATE,
    Connect,
    ErrorKind,
    LoadStatus,
    LogLevel,
    Mode,
    Op,
    ProcessState,
    Severity,
    Status,
    Worker,
)

#: Most states that STATES and REQUESTS list; 39 bytes each.
MAX_STATES = 1000
#: Bytes of a message, and of a JSON document.
TEXT_BYTES = 2000
JSON_BYTES = 262_144
#: Bytes of a REQUEST_CMD or WRITE_CMD.
COMMAND_BYTES = 1000


class Kind(Enum):
    """What a PV holds."""

    ENUM = "enum"
    BOOL = "bool"  #: an enum of two labels
    STRING = "string"  #: at most 39 bytes
    LONG = "long string"  #: a CHAR array, ``caget -S``
    INT = "int"
    DOUBLE = "double"
    STRINGS = "string array"


class Source(Enum):
    """Where a value comes from."""

    VIEW = "view"  #: every step
    GRAPH = "graph"  #: a step that brings a new graph
    VITALS = "vitals"  #: once a second


class Asg(Enum):
    """The access security group of a PV, by its name in EPICS access security files."""

    READ = "READ"  #: nobody writes it
    OPERATE = "OPERATE"  #: what an operator asks of a node
    MANAGE = "MANAGE"  #: what a manager needs besides, to take a node
    EXPERT = "EXPERT"  #: what changes how it works, not where it goes


class Archive(Enum):
    """How the value is best archived."""

    EVENT = "monitor"  #: every change
    SLOW = "scan"  #: once in a while is enough
    NO = "no"  #: not at all: too long, or told by another PV


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What the host itself measures of a node, refreshed once a second.

    Parameters
    ----------
    heartbeat : epoch seconds of the last beat of the host's loop for this node.
    exectime_s : seconds the method in progress has been running, else what the last call took.
    pv_total : channels that user code has used.
    spm_total : of these, how many are remembered with what they were set to; spm_changed : how many are otherwise.
    spm_setpoints, spm_diffs : which, see `guardian.core.documents`.
    process : the worker process. threads : those of its threads that are watched; durations : how long its
        states take; both see `guardian.core.documents`.
    archive_id, code_changed : see `guardian.host.archive` and `guardian.host.edits`.
    host : JSON {machine, pid, user, port, dir, since, id, runs}: who runs the node. See `guardian.host.claim`.
    """

    heartbeat: float = 0.0
    exectime_s: float = 0.0
    pv_total: int = 0
    spm_total: int = 0
    spm_changed: int = 0
    spm_setpoints: str = setpoints(())
    spm_diffs: str = differences(0, ())
    process: Process = field(default_factory=Process)
    threads: str = threads(())
    durations: str = durations({})
    archive_id: str = ""
    code_changed: bool = False
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One PV of a node. ``alarm``: None for never; ``size``: elements of an array, bytes of a long string.

    ``of``: the part of the view that a value is made of which takes long to make; the value changes with it alone.
    """

    name: str
    kind: Kind
    text: str
    value: Callable[[Any], Any]
    source: Source = Source.VIEW
    asg: Asg = Asg.READ
    labels: tuple[str, ...] = ()
    units: str = ""
    precision: int = 0
    low: float | None = None
    high: float | None = None
    size: int = 1
    alarm: Callable[[Any], Severity] | None = None
    archive: Archive = Archive.EVENT
    of: Callable[[Any], Any] | None = None

    @property
    def writable(self) -> bool:
        """Whether anybody may write it."""
        return self.asg is not Asg.READ


def _user_message(line: int) -> Callable[[View], str]:
    return lambda v: clip(v.notifications[line], STRING_BYTES) if line < len(v.notifications) else ""


def _lost(v: View) -> str:
    return ", ".join(v.missing) or ("a channel that gave no name" if v.error is ErrorKind.CONNECT else "")


def _names(names: Any) -> list[str]:
    return list(names)[:MAX_STATES]


def _labels(enum: type[Enum]) -> tuple[str, ...]:
    return tuple(member.name for member in enum)


_YES_NO = ("False", "True")


def _unknown(v: View) -> Severity:
    return Severity.NO_ALARM if v.known else Severity.INVALID


def _when(condition: Callable[[View], bool], severity: Severity) -> Callable[[View], Severity]:
    return lambda v: severity if condition(v) else Severity.NO_ALARM


def _error_alarm(v: View) -> Severity:
    return Severity.MAJOR if v.error is ErrorKind.ERROR or v.overdue else Severity.NO_ALARM


def _load_alarm(v: View) -> Severity:
    """Without code nothing runs; a LOAD that failed leaves the old code running."""
    if v.load_status is not LoadStatus.ERROR:
        return Severity.NO_ALARM
    return Severity.MAJOR if v.error is ErrorKind.ERROR else Severity.MINOR


ROWS: tuple[Row, ...] = (
    Row(
        name="STATUS",
        kind=Kind.ENUM,
        labels=_labels(Status),
        text="where the node stands in its state",
        value=lambda v: v.status,
        alarm=_unknown,
    ),
    Row(
        name="STALLED",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="rests away from its REQUEST",
        value=lambda v: v.stalled,
        alarm=_when(lambda v: v.stalled, Severity.MINOR),
    ),
    Row(name="TARGET", kind=Kind.STRING, text="the next state on the way", value=lambda v: v.target, alarm=_unknown),
    Row(
        name="TARGET_S",
        kind=Kind.STRING,
        text="the next state on the way",
        value=lambda v: v.target,
        alarm=_unknown,
        archive=Archive.NO,
    ),
    Row(
        name="TARGET_N",
        kind=Kind.INT,
        text="index of TARGET",
        value=lambda v: v.index(v.target),
        alarm=_unknown,
    ),
    Row(name="REQUEST", kind=Kind.STRING, text="the state that is wanted", value=lambda v: v.request, asg=Asg.OPERATE),
    Row(
        name="REQUEST_S",
        kind=Kind.STRING,
        text="the state that is wanted",
        value=lambda v: v.request,
        archive=Archive.NO,
    ),
    Row(
        name="REQUEST_N",
        kind=Kind.INT,
        text="index of REQUEST, -1 for NONE",
        value=lambda v: v.index(v.request),
        asg=Asg.OPERATE,
    ),
    Row(
        name="REQUEST_CMD",
        kind=Kind.LONG,
        size=COMMAND_BYTES,
        text="JSON {state, id, ...}: how programs ask",
        value=lambda v: "{}" if not v.request_cmd else as_json({"state": v.request, "id": v.request_cmd}),
        asg=Asg.OPERATE,
        archive=Archive.NO,
    ),
    Row(name="REQUEST_ID", kind=Kind.INT, text="number of accepted REQUEST writes", value=lambda v: v.request_id),
    Row(
        name="REQUEST_BY",
        kind=Kind.LONG,
        size=400,
        text="who wrote REQUEST last, as claimed",
        value=lambda v: v.request_by,
    ),
    Row(name="STATE", kind=Kind.STRING, text="the present state", value=lambda v: v.state, alarm=_unknown),
    Row(
        name="STATE_S",
        kind=Kind.STRING,
        text="the present state",
        value=lambda v: v.state,
        alarm=_unknown,
        archive=Archive.NO,
    ),
    Row(name="STATE_N", kind=Kind.INT, text="index of STATE", value=lambda v: v.index(v.state), alarm=_unknown),
    Row(
        name="STATE_TIME",
        kind=Kind.DOUBLE,
        precision=3,
        units="s",
        text="when STATE was entered, epoch",
        value=lambda v: v.state_time,
        archive=Archive.NO,
    ),
    Row(
        name="NOMINAL", kind=Kind.STRING, text="the state of normal operation", value=lambda v: v.nominal or NONE_STATE
    ),
    Row(
        name="NOMINAL_S",
        kind=Kind.STRING,
        text="the state of normal operation",
        value=lambda v: v.nominal or NONE_STATE,
        archive=Archive.NO,
    ),
    Row(
        name="NOMINAL_N",
        kind=Kind.INT,
        text="index of NOMINAL, -1 for none",
        value=lambda v: v.index(v.nominal),
        archive=Archive.SLOW,
    ),
    Row(
        name="OP",
        kind=Kind.ENUM,
        labels=_labels(Op),
        text="stop, pause or run the node",
        value=lambda v: v.op,
        asg=Asg.OPERATE,
    ),
    Row(
        name="MODE",
        kind=Kind.ENUM,
        labels=_labels(Mode),
        text="who decides where the node goes",
        value=lambda v: v.mode,
        asg=Asg.OPERATE,
    ),
    Row(
        name="MANAGER",
        kind=Kind.STRING,
        text="the node that manages this one",
        value=lambda v: v.manager,
        asg=Asg.MANAGE,
    ),
    Row(
        name="REENTER",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="write 1: run STATE again from main()",
        value=lambda v: 0,
        asg=Asg.OPERATE,
        archive=Archive.NO,
    ),
    Row(
        name="RESET_FAILED",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="write 1: start what was given up",
        value=lambda v: 0,
        asg=Asg.OPERATE,
        archive=Archive.NO,
    ),
    Row(
        name="LOAD",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="write 1: read the code anew",
        value=lambda v: 0,
        asg=Asg.EXPERT,
        archive=Archive.NO,
    ),
    Row(
        name="WRITE_CMD",
        kind=Kind.LONG,
        size=COMMAND_BYTES,
        text="JSON: a write, and who is behind it",
        value=lambda v: "{}",
        asg=Asg.OPERATE,
        archive=Archive.NO,
    ),
    Row(
        name="ERROR",
        kind=Kind.ENUM,
        labels=("False", "True", "-", "Connect"),
        text="why user code does not run",
        value=lambda v: v.error,
        alarm=_error_alarm,
    ),
    Row(
        name="CONNECT",
        kind=Kind.ENUM,
        labels=_labels(Connect),
        text="are the channels there that code needs",
        value=lambda v: Connect.LOST if v.disconnected else Connect.OK,
        alarm=_when(lambda v: v.overdue, Severity.MAJOR),
    ),
    Row(
        name="CONNECT_S",
        kind=Kind.LONG,
        size=TEXT_BYTES,
        text="the channels that are lost",
        value=_lost,
    ),
    Row(
        name="NOTIFICATION",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="user code has something to say",
        value=lambda v: bool(v.notifications),
        alarm=_when(lambda v: bool(v.notifications), Severity.MINOR),
    ),
    Row(
        name="USERMSG",
        kind=Kind.LONG,
        size=TEXT_BYTES,
        text="what user code has to say",
        value=lambda v: "; ".join(v.notifications),
    ),
    *(
        Row(
            name=f"USERMSG{line}",
            kind=Kind.STRING,
            text=f"line {line} of what user code says",
            value=_user_message(line),
            archive=Archive.NO,
        )
        for line in range(5)
    ),
    Row(
        name="SUBNODES",
        kind=Kind.LONG,
        size=SUBNODES_BYTES,
        text="JSON: nodes it manages or watches",
        value=subnodes,
        of=lambda v: v.subnodes,
        archive=Archive.NO,
    ),
    Row(name="SUBNODES_TOTAL", kind=Kind.INT, text="nodes it manages or watches", value=lambda v: len(v.subnodes)),
    Row(
        name="SUBNODES_NOT_OK",
        kind=Kind.INT,
        text="of these, how many are not OK",
        value=lambda v: sum(not one.ok for one in v.subnodes),
    ),
    Row(
        name="GRDMSG",
        kind=Kind.LONG,
        size=TEXT_BYTES,
        text="what the guardian has to say",
        value=lambda v: v.message,
    ),
    Row(
        name="WORKER",
        kind=Kind.ENUM,
        labels=_labels(Worker),
        text="the process that runs user code",
        value=lambda v: v.worker,
        alarm=_when(lambda v: v.worker is Worker.DEAD, Severity.MAJOR),
    ),
    Row(
        name="LOAD_STATUS",
        kind=Kind.ENUM,
        labels=_labels(LoadStatus),
        text="what became of reading the code",
        value=lambda v: v.load_status,
        alarm=_load_alarm,
    ),
    Row(
        name="LOAD_TIME",
        kind=Kind.DOUBLE,
        precision=3,
        units="s",
        text="when the code was read, epoch",
        value=lambda v: v.load_time,
        archive=Archive.SLOW,
    ),
    Row(
        name="SPM_MONITOR",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="watch what code has set",
        value=lambda v: v.spm_monitor,
        asg=Asg.EXPERT,
    ),
    Row(
        name="SPM_NOTIFY",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="notify of what is not as it was set",
        value=lambda v: v.spm_notify,
        asg=Asg.EXPERT,
    ),
    Row(
        name="LOGLEVEL",
        kind=Kind.ENUM,
        labels=_labels(LogLevel),
        text="the least that is written to the log",
        value=lambda v: v.log_level,
        asg=Asg.EXPERT,
    ),
    Row(name="RESTARTS", kind=Kind.INT, text="workers started because one died", value=lambda v: v.restarts),
    Row(name="KILLS", kind=Kind.INT, text="workers killed because code did not end", value=lambda v: v.kills),
    Row(
        name="VERSION",
        kind=Kind.STRING,
        text="version of the guardian",
        value=lambda v: __version__,
        archive=Archive.SLOW,
    ),
    Row(
        name="STATES",
        kind=Kind.STRINGS,
        size=MAX_STATES,
        text="all states, by index",
        source=Source.GRAPH,
        value=lambda g: _names(g.states if g else ()),
        archive=Archive.NO,
    ),
    Row(
        name="STATES_N",
        kind=Kind.INT,
        text="number of states",
        source=Source.GRAPH,
        value=lambda g: len(g.states) if g else 0,
        archive=Archive.SLOW,
    ),
    Row(
        name="REQUESTS",
        kind=Kind.STRINGS,
        size=MAX_STATES,
        text="the states on the menu, by index",
        source=Source.GRAPH,
        value=lambda g: _names(g.menu if g else ()),
        archive=Archive.NO,
    ),
    Row(
        name="GRAPH",
        kind=Kind.LONG,
        size=JSON_BYTES,
        text="JSON: states, flags and edges",
        source=Source.GRAPH,
        value=lambda g: as_json(graph_facts(g)),
        archive=Archive.NO,
    ),
    Row(
        name="ACTIVE",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="code runs and the graph is followed",
        value=explain.is_active,
    ),
    Row(
        name="OK",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="all is as it should be; alarm on this",
        value=explain.is_ok,
        alarm=explain.severity,
    ),
    Row(name="WHY", kind=Kind.LONG, size=TEXT_BYTES, text="why it is not OK", value=explain.why_not_ok),
    Row(
        name="SUMMARY",
        kind=Kind.LONG,
        size=SUMMARY_BYTES,
        text="JSON: all of one moment",
        value=lambda v: as_json(summary(v)),
        archive=Archive.NO,
    ),
    Row(
        name="HEARTBEAT",
        kind=Kind.DOUBLE,
        precision=1,
        units="s",
        text="last beat of the host's loop, epoch",
        value=lambda w: w.heartbeat,
        source=Source.VITALS,
        archive=Archive.SLOW,
    ),
    Row(
        name="EXECTIME",
        kind=Kind.DOUBLE,
        precision=2,
        units="s",
        text="how long the call takes, or took",
        value=lambda w: round(w.exectime_s, 2),
        source=Source.VITALS,
        alarm=_when(lambda v: v.slow is not None, Severity.MINOR),
    ),
    Row(
        name="PV_TOTAL",
        kind=Kind.INT,
        text="channels that code has used",
        value=lambda w: w.pv_total,
        source=Source.VITALS,
        archive=Archive.SLOW,
    ),
    Row(
        name="SPM_TOTAL",
        kind=Kind.INT,
        text="channels that code has set",
        value=lambda w: w.spm_total,
        source=Source.VITALS,
        archive=Archive.SLOW,
    ),
    Row(
        name="SPM_CHANGED",
        kind=Kind.INT,
        text="of these, how many are not as set",
        value=lambda w: w.spm_changed,
        source=Source.VITALS,
        alarm=_unknown,
    ),
    Row(
        name="SPM_DIFFS",
        kind=Kind.LONG,
        size=DIFFERENCES_BYTES,
        text="JSON: what is not as it was set",
        value=lambda w: w.spm_diffs,
        source=Source.VITALS,
        archive=Archive.NO,
    ),
    Row(
        name="SPM_SETPOINTS",
        kind=Kind.LONG,
        size=SETPOINTS_BYTES,
        text="JSON: what code has set",
        value=lambda w: w.spm_setpoints,
        source=Source.VITALS,
        archive=Archive.NO,
    ),
    Row(
        name="PROC_NAME",
        kind=Kind.STRING,
        text="name of the process that runs code",
        value=lambda w: clip(w.process.name, STRING_BYTES),
        source=Source.VITALS,
        archive=Archive.NO,
    ),
    Row(
        name="PROC_STATE",
        kind=Kind.ENUM,
        labels=_labels(ProcessState),
        text="how far that process has come",
        value=lambda w: w.process.state,
        source=Source.VITALS,
        alarm=_when(lambda v: v.failed, Severity.MAJOR),
    ),
    Row(
        name="PROC_PID",
        kind=Kind.INT,
        text="its process id, 0 for none",
        value=lambda w: w.process.pid,
        source=Source.VITALS,
    ),
    Row(
        name="PROC_SINCE",
        kind=Kind.DOUBLE,
        precision=3,
        units="s",
        text="when it came to this PROC_STATE, epoch",
        value=lambda w: w.process.since,
        source=Source.VITALS,
        archive=Archive.NO,
    ),
    Row(
        name="LAST_EXIT",
        kind=Kind.LONG,
        size=TEXT_BYTES,
        text="how the last such process ended",
        value=lambda w: w.process.last_exit,
        source=Source.VITALS,
    ),
    Row(
        name="THREADS",
        kind=Kind.LONG,
        size=THREADS_BYTES,
        text="JSON: the threads that are watched",
        value=lambda w: w.threads,
        source=Source.VITALS,
        archive=Archive.NO,
    ),
    Row(
        name="DURATIONS",
        kind=Kind.LONG,
        size=DURATIONS_BYTES,
        text="JSON: how long its states take",
        value=lambda w: w.durations,
        source=Source.VITALS,
        archive=Archive.NO,
    ),
    Row(
        name="CODE_CHANGED",
        kind=Kind.BOOL,
        labels=_YES_NO,
        text="files differ from what was loaded",
        value=lambda w: w.code_changed,
        source=Source.VITALS,
    ),
    Row(
        name="ARCHIVE_ID",
        kind=Kind.STRING,
        text="commit that holds the code it runs",
        value=lambda w: w.archive_id,
        source=Source.VITALS,
    ),
    Row(
        name="HOST",
        kind=Kind.LONG,
        size=TEXT_BYTES,
        text="JSON: the host that runs the node",
        value=lambda w: w.host,
        source=Source.VITALS,
    ),
)

#: EVENT needs the step, not only the view, so the host fills it: JSON {id, stamp, kind, text, by}.
EVENT = Row(
    name="EVENT",
    kind=Kind.LONG,
    size=TEXT_BYTES * 2,
    text="JSON: the last event",
    value=as_json,
    archive=Archive.NO,
)

#: The host's own PVs, ``{ifo}:GRD-HOST_NODES``. Every host has them under the same names: Channel Access knows no
#: wildcards, so whoever looks for nodes searches for this one, and reads it from every server that answers.
NODES = Row(
    name=NODES_ROW,
    kind=Kind.LONG,
    size=JSON_BYTES,
    text="JSON: the nodes that this host runs",
    value=as_json,
    archive=Archive.NO,
)
HOST_ROWS = (NODES,)

BY_NAME = {row.name: row for row in (*ROWS, EVENT)}
assert len(BY_NAME) == len(ROWS) + 1, "two rows of one name"
assert not BY_NAME.keys() & {row.name for row in HOST_ROWS}, "a node called HOST would have the PVs of its host"
assert NONE_INDEX == -1


def node_pvs(template: str, *, ifo: str) -> re.Pattern[str]:
    """What the full name of any PV of any node matches."""
    name = "|".join(sorted(BY_NAME, key=len, reverse=True))
    built = re.escape(pv_name(template, ifo=ifo, node="\0node", name="\0name"))
    return re.compile(built.replace(re.escape("\0node"), "[A-Z][A-Z0-9_-]*").replace(re.escape("\0name"), f"({name})"))
