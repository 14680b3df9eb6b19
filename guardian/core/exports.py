"""What other programs are told of our PVs: one list of them, and a function for each program that writes its file.

* :func:`pvlist`: a name a line, for ``caget``, ``xargs`` and whatever reads names.
* :func:`archiver`: the request of the EPICS Archiver Appliance to archive PVs, the JSON array that ``POST
  /mgmt/bpl/archivePV`` takes (its class ``ArchivePVAction``): pv, samplingmethod, samplingperiod.
* :func:`daq_ini`: the channel list of LIGO's EDCU (advligorts, ``standalone_edc``): a section ``[default]``, then one a
  channel.
* :mod:`guardian.core.alarm_tree` writes the configuration of an alarm server.

All is text, and follows from the tables of PVs and the names of nodes and hosts. Nobody need run, nobody is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from guardian.core.host_rows import HOST_PVS
from guardian.core.interface import BY_NAME, Archive, Kind, Row, Source
from guardian.core.names import HOST_PREFIX, pv_name
from guardian.errors import ExpectedError

#: Seconds between two values that an archiver must be ready for: a step of a node, what is measured once a second, and
#: what is looked at once in a while. The appliance makes its buffers by it, also of what it monitors.
STEP_S, VITALS_S, SLOW_S = 0.1, 1.0, 60.0
#: What the EDCU records are floats of 32 bits, 16 a second; it gives a name 64 bytes, with the NUL.
DAQ_DEFAULTS = {
    "gain": "1.00",
    "acquire": "3",
    "dcuid": "52",
    "ifoid": "0",
    "datatype": "4",
    "datarate": "16",
    "offset": "0",
    "slope": "1.0",
    "units": "undef",
}
DAQ_NAME_LENGTH = 63
_NUMBERS = frozenset({Kind.ENUM, Kind.BOOL, Kind.INT, Kind.DOUBLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pv:
    """One PV. `of` : the node or the host that has it; `is_host` : which of the two."""

    name: str
    of: str
    row: Row
    is_host: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """All that the table says of it, as JSON has it."""
        row = self.row
        return {
            "pv": self.name,
            "host" if self.is_host else "node": self.of,
            "row": row.name,
            "type": row.kind.value,
            "text": row.text,
            "units": row.units,
            "access": row.asg.value,
            "writable": row.writable,
            "archive": row.archive.value,
            "alarm": row.alarm is not None,
        }


def pvs_of(
    nodes: Iterable[str], *, template: str, ifo: str, host: str = "", rows: Sequence[str] = (), writable: bool = False
) -> list[Pv]:
    """The PVs of nodes, by their names, and last of a host; in the order of the tables.

    Parameters
    ----------
    host : name of the host; "": none. rows : only these; (): all. writable : only those that can be written.

    Raises
    ------
    ExpectedError
        There is no such row.
    """
    known = {*BY_NAME, *(row.name for row in HOST_PVS)}
    if unknown := [name for name in rows if name not in known]:
        raise ExpectedError(f"no node and no host has a PV {', '.join(unknown)}; there are {', '.join(sorted(known))}")

    def wanted(row: Row) -> bool:
        return (not rows or row.name in rows) and (row.writable or not writable)

    found = [
        Pv(name=pv_name(template, ifo=ifo, node=node, name=row.name), of=node, row=row)
        for node in sorted(set(nodes))
        for row in filter(wanted, BY_NAME.values())
    ]
    if host:
        place = f"{HOST_PREFIX}{host}"
        found += [
            Pv(name=pv_name(template, ifo=ifo, node=place, name=row.name), of=host, row=row, is_host=True)
            for row in filter(wanted, HOST_PVS)
        ]
    return found


def pvlist(pvs: Iterable[Pv]) -> str:
    """A name a line."""
    return "".join(f"{pv.name}\n" for pv in pvs)


def pvlist_json(pvs: Iterable[Pv]) -> str:
    """An object a PV, with all that the table says of it."""
    return _json_lines(pv.facts for pv in pvs)


def archiver(pvs: Iterable[Pv]) -> str:
    """Those that are worth archiving, and how: each change (MONITOR), or a look now and then (SCAN)."""
    return _json_lines(
        {"pv": pv.name, "samplingmethod": method, "samplingperiod": f"{period_s:.1f}"}
        for pv in pvs
        if (how := sampling(pv.row)) is not None
        for method, period_s in (how,)
    )


def sampling(row: Row) -> tuple[str, float] | None:
    """How an archiver samples it: method, and period in seconds; None: not at all."""
    match row.archive:
        case Archive.NO:
            return None
        case Archive.SLOW:
            return "SCAN", SLOW_S
        case Archive.EVENT:
            return "MONITOR", VITALS_S if row.source is Source.VITALS else STEP_S


def daq_ini(pvs: Iterable[Pv]) -> str:
    """The channels that fit into a float of 32 bits.

    Raises
    ------
    ExpectedError
        A name is too long for it.
    """
    channels = [pv for pv in pvs if is_for_daq(pv.row)]
    if long := [pv.name for pv in channels if len(pv.name) > DAQ_NAME_LENGTH]:
        raise ExpectedError(
            f"{long[0]} cannot be a channel of the DAQ, which takes names of {DAQ_NAME_LENGTH} characters (and "
            f"so it is with {len(long)} in all); leave it out with --rows, or give the node a shorter name"
        )
    lines = ["[default]", *(f"{key}={value}" for key, value in DAQ_DEFAULTS.items())]
    for pv in channels:
        lines += ["", f"[{pv.name}]", *([f"units={pv.row.units}"] if pv.row.units else [])]
    return "\n".join(lines) + "\n"


def is_for_daq(row: Row) -> bool:
    """Numbers that are worth keeping; no time of the day, of which such a float would keep two minutes."""
    return row.kind in _NUMBERS and row.archive is not Archive.NO and not row.text.endswith("epoch")


def _json_lines(objects: Iterable[dict[str, Any]]) -> str:
    """A JSON array with a line for each: for programs, and for ``diff``."""
    return "[\n" + ",\n".join(json.dumps(one) for one in objects) + "\n]\n"
