"""Plain PVs of nodes as an original Guardian serves them, dumb: a test writes into them what such a node would show.

The same nodes on two servers: as a program, a caproto server; :data:`DB`, the database of a real IOC. A server serves
the nodes of a *set*:

* ``plain``: OLD has all PVs, BARE only STATE and REQUEST, and STUBBORN refuses every request.
* ``ours``: OLD is a node of ours now, with SUMMARY and REQUEST_CMD.
* ``late``: LATE, and BARE with all PVs.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ.setdefault("CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC", "0")

STATUS = ("ENTER", "MAIN", "RUN", "DONE", "JUMP", "REDIRECT", "EDGE", "INIT")
TEXTS = ("STATE", "REQUEST", "TARGET", "MANAGER")
LABELS = {
    "STATUS": STATUS,
    "OP": ("STOP", "PAUSE", "EXEC"),
    "MODE": ("AUTO", "MANAGED", "MANUAL"),
    "ERROR": ("False", "True", "", "Connect"),
    "STALLED": ("False", "True"),
    "OK": ("False", "True"),
    "NOTIFICATION": ("False", "True"),
}
FULL = (*TEXTS, *LABELS)
SETS = {
    "plain": {"OLD": FULL, "BARE": ("STATE", "REQUEST"), "STUBBORN": ("STATE", "REQUEST")},
    "ours": {"OLD": (*FULL, "SUMMARY", "REQUEST_CMD")},
    "late": {"LATE": FULL, "BARE": FULL},
}
LONG = 2000
#: What a node of ours shows at first.
SUMMARY = '{"state":"SAFE","request":"SAFE","cmd":"","status":"DONE","states":3}'
_MBBO = ("ZR", "ON", "TW", "TH", "FR", "FV", "SX", "SV")


def _first(row: str) -> int:
    """A node that has just started runs its code."""
    return LABELS["OP"].index("EXEC") if row == "OP" else 0


def database(prefix: str, name: str) -> str:
    """A set of nodes as records. WRITES of a node counts what was written to its REQUEST."""
    records = []
    for node, rows in SETS[name].items():
        base = f"{prefix}GRD-{node}_"
        for row in rows:
            if row in LABELS:
                labels = "".join(
                    f' field({_MBBO[n]}VL, "{n}") field({_MBBO[n]}ST, "{text}")' for n, text in enumerate(LABELS[row])
                )
                records.append(
                    f'record(mbbo, "{base}{row}") {{ {labels} field(VAL, "{_first(row)}") field(PINI, "YES") }}'
                )
            elif row in TEXTS:
                more = f'field(FLNK, "{base}WRITES")' if row == "REQUEST" else ""
                more += ' field(DISP, "1")' if (node, row) == ("STUBBORN", "REQUEST") else ""
                records.append(f'record(stringout, "{base}{row}") {{ field(VAL, "SAFE") field(PINI, "YES") {more} }}')
            else:
                told = list(SUMMARY.encode()) if row == "SUMMARY" else [0]
                value = f"field(INP, {{const: {told}}})"
                records.append(
                    f'record(waveform, "{base}{row}") {{ field(FTVL, "CHAR") field(NELM, "{LONG}") {value} }}'
                )
        records.append(f'record(calc, "{base}WRITES") {{ field(CALC, "VAL+1") }}')
    return "\n".join(records)


def _serve(prefix: str, name: str) -> None:
    """The same on caproto."""
    from caproto import ChannelEnum, ChannelInteger, ChannelString
    from caproto.server import run

    class Request(ChannelString):
        def __init__(self, node: str, writes: ChannelInteger) -> None:
            super().__init__(value="SAFE", string_encoding="utf-8")
            self.node, self.writes = node, writes

        async def verify_value(self, data: Any) -> Any:
            if self.node == "STUBBORN":
                raise ValueError("not today")
            await self.writes.write(self.writes.value + 1)
            return data

    def channel(node: str, row: str, writes: ChannelInteger) -> Any:
        if row == "REQUEST":
            return Request(node, writes)
        if row in LABELS:
            return ChannelEnum(value=_first(row), enum_strings=LABELS[row])
        if row in TEXTS:
            return ChannelString(value="SAFE", string_encoding="utf-8")
        from caproto import ChannelChar

        return ChannelChar(value=SUMMARY if row == "SUMMARY" else "", max_length=LONG, string_encoding="utf-8")

    pvs = {}
    for node, rows in SETS[name].items():
        writes = ChannelInteger(value=0)
        pvs |= {f"{prefix}GRD-{node}_{row}": channel(node, row, writes) for row in rows}
        pvs[f"{prefix}GRD-{node}_WRITES"] = writes

    async def ready(_async_lib: Any) -> None:
        print("SERVER READY", flush=True)

    run(pvs, interfaces=["127.0.0.1"], startup_hook=ready)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
