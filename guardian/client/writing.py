"""Values of PVs as texts, and texts written to them, with the answer of the server."""

from __future__ import annotations

from typing import Any

from guardian.client.ca import CHAR, STRING, Channel, Reading
from guardian.core.names import STRING_BYTES
from guardian.core.texts import printable
from guardian.errors import ExpectedError
from guardian.host.users import who_am_i

#: How long a write to a server of another kind is listened to for a refusal, when what is read back differs.
LATE_REFUSAL_S = 0.3


def kind_of(channel: Channel) -> int:
    """How it is read: long texts as they are; all else as the server writes it."""
    return CHAR if channel.kind == CHAR else STRING


def text_of(reading: Reading) -> str:
    """On one line."""
    return printable(reading.text())


def write(channel: Channel, text: str, *, node: str, answer_s: float, patient: bool = False) -> str | None:
    """Write a text (or a label, or a number as text), and wait for the answer.

    A plain put: its refusal comes with the reason, and has arrived when the read behind it has.

    Parameters
    ----------
    node : whose PV it is. answer_s : seconds that an answer may take. patient : the server may think longer than a read
        takes.

    Returns
    -------
    str or None
        Why it was refused.

    Raises
    ------
    ExpectedError
        It is lost, or does not answer in time.
    """
    if not channel.connected:
        raise ExpectedError(f"{channel.name} does not answer")
    if not channel.writable:
        who = who_am_i()
        return (
            f"{who.user}@{who.host} may not write {channel.name}; on the machine that runs it, `guardctrl acl {node} "
            f"--user {who.user} --host {who.host}` says by which rule"
        )
    kind, values = _encoded(channel, text)
    with channel.turn:
        channel.put(kind, values, wait=False, timeout_s=answer_s)
        after = channel.get(kind_of(channel), timeout_s=answer_s)
        return channel.objection(LATE_REFUSAL_S if patient and text_of(after) != text else 0.0)


def _encoded(channel: Channel, text: str) -> tuple[int, list[Any]]:
    if channel.kind == CHAR:
        return CHAR, [*text.encode(), 0]
    data = text.encode()
    if len(data) > STRING_BYTES:
        raise ExpectedError(f"{channel.name}: {text!r} has {len(data)} bytes; a CA string holds {STRING_BYTES}")
    return STRING, [data]
