"""REQUEST_CMD and WRITE_CMD: a request, or any write, and who is behind it. Read at the edge, once. Pure.

Channel Access tells of a client no more than the user and the host that its program claims to be. A manager runs as
whoever runs its host, and a console may speak for many people, so both say in the order itself for whom they ask.
That is a claim too, and is shown beside what the server knows of the client, never in its place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from guardian.core.names import NAME_BYTES
from guardian.core.who import one_word
from guardian.errors import RefusedError

#: An id is made by whoever asks, and shown in SUMMARY with every step.
COMMAND_ID_BYTES = 200
#: Who asks, as claimed; what the server knows of the client follows it on REQUEST_BY, and must not be pushed out.
BY_BYTES = 100
#: Why somebody asks, in words; for the journal.
REASON_BYTES = 200
#: Of each text, how many bytes it may have.
_TEXTS = {
    "id": COMMAND_ID_BYTES,
    "person": BY_BYTES,
    "manager": NAME_BYTES,
    "by": BY_BYTES,
    "reason": REASON_BYTES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a REQUEST_CMD or WRITE_CMD says; "" for what it does not say.

    Parameters
    ----------
    state : what is wanted; whether the node has it is not judged here. "": it is no request.
    id : of this request; the node shows it while it follows it.
    person : behind a console. manager : the node that asks. by : either of them, by a program that does not tell which.
    reason : why, in the words of who asks; it is kept, and has no effect.
    """

    state: str
    id: str = ""
    person: str = ""
    manager: str = ""
    by: str = ""
    reason: str = ""

    def through(self, client: str) -> str:
        """Who asks, where `client` ("user@host (address)") is what the server knows: what REQUEST_BY says."""
        whom = one_word(self.person or ("" if self.manager else self.by))
        if client.startswith(f"{whom}@"):
            whom = ""
        asker = f"manager {one_word(self.manager)}" + (f" for {whom}" if whom else "") if self.manager else whom
        return f"{asker} at {client}" if asker else client


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What a WRITE_CMD says: `value` on `row`, whichever that is. ``behind``: who asks for it."""

    row: str
    value: str
    behind: Command


def read_command(value: Any) -> Command:
    """What was written on REQUEST_CMD. Keys that are unknown are passed over: a newer program may know more.

    Raises
    ------
    RefusedError
        It is no request.
    """
    asked = _object(value)
    if not isinstance(asked.get("state"), str):
        raise RefusedError(
            f'{str(value)[:80]!r} is no {{"state": "NAME", "id": "unique", "person": "who", "manager": "NODE"}}; '
            "all but the state may be left out"
        )
    return Command(state=asked["state"], **_texts(asked))


def read_write(value: Any) -> Write:
    """What was written on WRITE_CMD.

    Raises
    ------
    RefusedError
        It is no write.
    """
    asked = _object(value)
    row, text = asked.get("row"), asked.get("value")
    if not (isinstance(row, str) and isinstance(text, str) and text.isprintable()):
        raise RefusedError(
            f'{str(value)[:80]!r} is no {{"row": "NAME", "value": "text", "person": "who", "reason": "why"}}; '
            "the last two may be left out"
        )
    return Write(row=row, value=text, behind=Command(state="", **_texts(asked)))


def _object(value: Any) -> dict[str, Any]:
    """The JSON object that was written; empty if it is none."""
    try:
        asked = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        asked = None
    return asked if isinstance(asked, dict) else {}


def _texts(asked: dict[str, Any]) -> dict[str, str]:
    """Of an order, who is behind it, and why."""
    texts = {key: asked.get(key, "") for key in _TEXTS}
    for key, text in texts.items():
        # Escapes of JSON can be what is no character at all, and could be sent nowhere; or an end before the end.
        if not isinstance(text, str) or not text.isprintable() or len(text.encode()) > _TEXTS[key]:
            raise RefusedError(f"'{key}' is a text of at most {_TEXTS[key]} bytes, without control characters")
    return texts
