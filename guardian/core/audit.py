"""A write, as it is kept: who wrote what, what stood there before, and whether it was taken. Pure.

The record says what is known, and who claims what. ``address`` is known; ``user`` and ``host`` are claims of the
client, ``person`` and ``manager`` claims of a REQUEST_CMD or WRITE_CMD, ``reason`` the words of who asked. Nothing is
inferred: that a manager wrote MODE can only be guessed, so ``managed_by`` says what MANAGER was at that moment, which
is a fact.
"""

from __future__ import annotations

import contextlib
from typing import Any

from guardian.core.interface import Kind, Row, Source
from guardian.core.request_cmd import Command, read_command
from guardian.core.texts import clip
from guardian.core.view import View
from guardian.core.who import WRITE, Who
from guardian.errors import RefusedError

#: Of a value, so many bytes are kept; a longer one ends in "..." and ``cut`` says how many it had.
VALUE_BYTES = 200
#: Of a reason. Reasons quote what was written, and list what would be taken.
WHY_BYTES = 400


def write_record(
    *,
    node: str,
    pv: str,
    row: Row,
    value: Any,
    who: Who,
    view: View,
    id: int,
    stamp: float,
    refused: str | None = None,
    behind: Command | None = None,
) -> dict[str, Any]:
    """What is kept of a write of `value` on `row`.

    Parameters
    ----------
    pv : full name. value : None if it cannot be read. view : the node before.
    id : of the step that it made (R23), 0 if it made none. refused : why, None if it was taken.
    behind : what a WRITE_CMD, by which it came, says of who asks.

    Returns
    -------
    dict
        ``id, stamp, kind, node, row, pv, asg, user, host, address, old, new, taken``, and where there is something to
        say ``why, cut, person, manager, cmd, reason, managed_by``. ``old`` is None for long texts that nobody writes.
    """
    command = _command(row, value)
    written = value if command is None else command.state
    new = None if written is None else shown(row, written)
    record: dict[str, Any] = {
        "id": id,
        "stamp": round(stamp, 6),
        "kind": WRITE,
        "node": node,
        "row": row.name,
        "pv": pv,
        "asg": row.asg.name,
        "user": who.user,
        "host": who.host,
        "address": who.address,
        "old": _old(row, view),
        "new": None if new is None else clip(new, VALUE_BYTES),
        "taken": refused is None,
    }
    if new is not None and (size := len(new.encode())) > VALUE_BYTES:
        record["cut"] = size
    more = {"why": clip(refused or "", WHY_BYTES), "managed_by": view.manager}
    if (behind := command or behind) is not None:
        more |= {"person": behind.person or behind.by, "manager": behind.manager, "cmd": behind.id}
        more |= {"reason": behind.reason}
    return record | {key: text for key, text in more.items() if text}


def shown(row: Row, value: Any) -> str:
    """A value of this row as people read it: an enum by its label, also where its number was written."""
    text = str(value).encode(errors="replace").decode()
    if row.labels:
        with contextlib.suppress(ValueError, OverflowError, TypeError):
            number = int(text if isinstance(value, str) else value)
            if number in range(len(row.labels)) and (isinstance(value, str) or number == value):
                return row.labels[number]
    return text.strip() if row.labels else text


def _old(row: Row, view: View) -> str | None:
    if row.name == "REQUEST_CMD":
        return view.request
    if not row.writable and (row.source is not Source.VIEW or row.kind in (Kind.LONG, Kind.STRINGS)):
        return None  # it does not change either, and to make it anew for each write would be dear
    return clip(shown(row, row.value(view)), VALUE_BYTES)


def _command(row: Row, value: Any) -> Command | None:
    """Who is behind it, as far as that can be read; also where there is no such state."""
    if row.name == "REQUEST_CMD":
        with contextlib.suppress(RefusedError):
            return read_command(value)
    return None
