"""Nodes that no honest server would serve: the server of `tests.access.hostile`.

OLD is a node of ours that answers to nothing; CLOSED the same, which nobody may write; NUMBERS has a SUMMARY, and
NOTHING a STATE and a REQUEST, that are arrays of numbers without any.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ.setdefault("CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC", "0")

from caproto import AccessRights, ChannelChar, ChannelDouble, ChannelEnum, ChannelString
from caproto.server import run

from tests.access.original import FULL, LABELS, LONG, SUMMARY, TEXTS

ROWS = (*FULL, "SUMMARY", "REQUEST_CMD")


def _kind(row: str) -> tuple[type, dict[str, Any]]:
    if row in LABELS:
        return ChannelEnum, {"value": 2 if row == "OP" else 0, "enum_strings": LABELS[row]}
    if row in TEXTS:
        return ChannelString, {"value": "SAFE", "string_encoding": "utf-8"}
    return ChannelChar, {"value": SUMMARY if row == "SUMMARY" else "", "max_length": LONG, "string_encoding": "utf-8"}


def _closed(kind: type) -> type:
    return type(f"Closed{kind.__name__}", (kind,), {"check_access": lambda *_: AccessRights.READ})


def _serve(prefix: str) -> None:
    pvs: dict[str, Any] = {}
    for row in ROWS:
        kind, how = _kind(row)
        pvs[f"{prefix}GRD-OLD_{row}"] = kind(**how)
        pvs[f"{prefix}GRD-CLOSED_{row}"] = _closed(kind)(**how)
    for name in ("NUMBERS_SUMMARY", "NOTHING_STATE", "NOTHING_REQUEST"):
        pvs[f"{prefix}GRD-{name}"] = ChannelDouble(value=[], max_length=10)

    async def ready(_async_lib: Any) -> None:
        print("SERVER READY", flush=True)

    run(pvs, interfaces=["127.0.0.1"], startup_hook=ready)


if __name__ == "__main__":
    _serve(sys.argv[1])
