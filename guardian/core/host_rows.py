"""The PVs of a host itself, ``{ifo}:GRD-HOST_{host}_NAME``: one row a PV, as in :mod:`guardian.core.interface`.

Names, meanings and units are those of devIocStats (epics-modules/iocStats, ``iocAdminSoft``), where it has them, so
that the screens and alarm trees of a site take a guardian host for what it is: one more IOC. None can be written; there
is no SYSRESET. The rest are as a node has them: OK and WHY, and what is known of the process (PROC_*, THREADS).

Nothing changes more than once a second, and of an idle host only the clock, the counter and the time since its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from guardian._version import __version__
from guardian.core.ailments import Ailment
from guardian.core.documents import THREADS_BYTES, threads
from guardian.core.interface import TEXT_BYTES, Archive, Kind, Row, Source
from guardian.core.names import STRING_BYTES
from guardian.core.process import Process
from guardian.core.texts import clip
from guardian.core.threads import Seen
from guardian.core.when import utc
from guardian.enums import ProcessState, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """A host at one moment.

    Parameters
    ----------
    beats : of its event loop, one a second. up_s : seconds since its start. now, started : epoch seconds.
    ailments : what is wrong with it, worst first; their sentences say since when.
    process : it. threads : those that are watched. parent : process id.
    machine, kernel : names. nodes, nodes_not_ok : how many it runs, and of these are not OK.
    fd_used, fd_most : descriptors. mem_used : bytes that the host has. mem_free, mem_most : bytes of the machine.
    cpu, cpu_all : percent of all processors that the host takes, and that are taken. cpus : how many there are.
    clients, channels, pvs : of its Channel Access server.
    """

    beats: int = 0
    up_s: float = 0.0
    now: float = 0.0
    started: float = 0.0
    ailments: tuple[Ailment, ...] = ()
    process: Process = field(default_factory=Process)
    threads: tuple[Seen, ...] = ()
    parent: int = 0
    machine: str = ""
    kernel: str = ""
    nodes: int = 0
    nodes_not_ok: int = 0
    fd_used: int = 0
    fd_most: int = 0
    mem_used: float = 0.0
    mem_free: float = 0.0
    mem_most: float = 0.0
    cpu: float = 0.0
    cpu_all: float = 0.0
    cpus: int = 0
    clients: int = 0
    channels: int = 0
    pvs: int = 0

    def severity(self, *what: str) -> Severity:
        """The worst alarm of these ailments, or of all."""
        found = (one.severity for one in self.ailments if not what or one.what in what)
        return max(found, default=Severity.NO_ALARM)

    @property
    def late(self) -> tuple[str, ...]:
        """The watched threads that are late."""
        return tuple(one.thread.name for one in self.threads if one.late)

    @property
    def why(self) -> str:
        """What is wrong with it, in sentences; "" if nothing is."""
        return "; ".join(one.text for one in self.ailments)


def up_time(seconds: float) -> str:
    """A time as devIocStats writes it: ``3 days, 04:05:06``."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return (f"{days} day{'s' if days > 1 else ''}, " if days else "") + f"{h:02}:{m:02}:{s:02}"


def _alarm(*what: str) -> Callable[[HostFacts], Severity]:
    return lambda f: f.severity(*what)


_row = partial(Row, source=Source.VITALS)
HOST_PVS: tuple[Row, ...] = (
    _row(
        name="OK",
        kind=Kind.BOOL,
        labels=("False", "True"),
        text="all is well with it; alarm on this",
        value=lambda f: not f.ailments,
        alarm=_alarm(),
    ),
    _row(
        name="WHY",
        kind=Kind.LONG,
        size=TEXT_BYTES,
        text="what is wrong with it, since when",
        value=lambda f: clip(f.why, TEXT_BYTES),
    ),
    _row(
        name="HEARTBEAT",
        kind=Kind.INT,
        text="counter of its event loop, 1 Hz",
        value=lambda f: (f.beats - 1) % (2**31 - 1) + 1 if f.beats else 0,
        archive=Archive.NO,
    ),
    _row(
        name="UPTIME",
        kind=Kind.STRING,
        text="elapsed time since start",
        value=lambda f: up_time(f.up_s),
        archive=Archive.NO,
    ),
    _row(
        name="STARTTOD",
        kind=Kind.STRING,
        text="time and date of startup, UTC",
        value=lambda f: utc(f.started),
        archive=Archive.SLOW,
    ),
    _row(name="TOD", kind=Kind.STRING, text="its clock, UTC", value=lambda f: utc(f.now), archive=Archive.NO),
    _row(
        name="PROC_NAME",
        kind=Kind.STRING,
        text="name of the process",
        value=lambda f: clip(f.process.name, STRING_BYTES),
        archive=Archive.NO,
    ),
    _row(
        name="PROC_STATE",
        kind=Kind.ENUM,
        labels=tuple(ProcessState.__members__),
        text="how far the process has come",
        value=lambda f: f.process.state,
    ),
    _row(
        name="PROC_SINCE",
        kind=Kind.DOUBLE,
        precision=3,
        units="s",
        text="when it came to this PROC_STATE, epoch",
        value=lambda f: f.process.since,
        archive=Archive.NO,
    ),
    _row(name="PROCESS_ID", kind=Kind.INT, text="process id", value=lambda f: f.process.pid),
    _row(name="PARENT_ID", kind=Kind.INT, text="process id of its parent", value=lambda f: f.parent),
    _row(
        name="THREADS",
        kind=Kind.LONG,
        size=THREADS_BYTES,
        text="JSON: the threads that are watched",
        value=lambda f: threads(f.threads),
        archive=Archive.NO,
    ),
    _row(name="NODES_CNT", kind=Kind.INT, text="number of nodes it runs", value=lambda f: f.nodes),
    _row(
        name="NODES_NOT_OK",
        kind=Kind.INT,
        text="of these, how many are not OK",
        value=lambda f: f.nodes_not_ok,
    ),
    _row(name="CA_CLNT_CNT", kind=Kind.INT, text="number of CA clients", value=lambda f: f.clients),
    _row(name="CA_CONN_CNT", kind=Kind.INT, text="number of CA connections", value=lambda f: f.channels),
    _row(name="RECORD_CNT", kind=Kind.INT, text="number of PVs it serves", value=lambda f: f.pvs),
    _row(name="FD_CNT", kind=Kind.INT, text="allocated file descriptors", value=lambda f: f.fd_used),
    _row(
        name="FD_FREE",
        kind=Kind.INT,
        text="available file descriptors",
        value=lambda f: f.fd_most - f.fd_used,
        alarm=_alarm("descriptors"),
    ),
    _row(name="FD_MAX", kind=Kind.INT, text="max file descriptors", value=lambda f: f.fd_most, archive=Archive.SLOW),
    _row(name="MEM_USED", kind=Kind.DOUBLE, units="byte", text="memory that it has", value=lambda f: f.mem_used),
    _row(
        name="MEM_FREE",
        kind=Kind.DOUBLE,
        units="byte",
        text="memory that is left on its machine",
        value=lambda f: f.mem_free,
        alarm=_alarm("memory"),
    ),
    _row(
        name="MEM_MAX",
        kind=Kind.DOUBLE,
        units="byte",
        text="memory of its machine",
        value=lambda f: f.mem_most,
        archive=Archive.SLOW,
    ),
    _row(
        name="IOC_CPU_LOAD",
        kind=Kind.DOUBLE,
        precision=1,
        units="%",
        high=100,
        text="of all CPUs, taken by it, over 10 s",
        value=lambda f: f.cpu,
    ),
    _row(
        name="SYS_CPU_LOAD",
        kind=Kind.DOUBLE,
        precision=1,
        units="%",
        high=100,
        text="of all CPUs, taken, over 10 s",
        value=lambda f: f.cpu_all,
    ),
    _row(name="CPU_CNT", kind=Kind.INT, text="number of CPUs", value=lambda f: f.cpus, archive=Archive.SLOW),
    _row(
        name="HOSTNAME",
        kind=Kind.STRING,
        text="name of its machine",
        value=lambda f: clip(f.machine, STRING_BYTES),
        archive=Archive.SLOW,
    ),
    _row(
        name="KERNEL_VERS",
        kind=Kind.STRING,
        text="kernel version",
        value=lambda f: clip(f.kernel, STRING_BYTES),
        archive=Archive.SLOW,
    ),
    _row(
        name="VERSION",
        kind=Kind.STRING,
        text="version of the guardian",
        value=lambda f: __version__,
        archive=Archive.SLOW,
    ),
)
HOST_PV = {row.name: row for row in HOST_PVS}
