"""What is known of one node: parsed once, from SUMMARY or from the PVs that every Guardian has. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: What is read of a node without SUMMARY, an original Guardian's.
PLAIN_ROWS = ("STATUS", "STALLED", "TARGET", "REQUEST", "OP", "MODE", "MANAGER", "ERROR", "OK", "STATE")
UNKNOWN = "?"
_TRUE = frozenset({"True", "TRUE", "true", "1", "Yes", "YES"})
_ERRORS = {"False": "NONE", "0": "NONE", "True": "ERROR", "1": "ERROR", "Connect": "CONNECT", "3": "CONNECT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A node at one moment.

    Parameters
    ----------
    where : address and port of its server; "": nobody answers.
    ours : it has SUMMARY; else what follows is of several moments, and the last fields are unknown.
    error : NONE, ERROR or CONNECT. manager : "" if none.
    request_id : number of the request, None if unknown. cmd : id of the REQUEST_CMD that made it, "" for a plain write.
    since : epoch seconds when STATE was entered. connect : channels that are lost.
    """

    node: str
    where: str = ""
    ours: bool = False
    state: str = UNKNOWN
    target: str = UNKNOWN
    request: str = UNKNOWN
    status: str = UNKNOWN
    stalled: bool = False
    op: str = UNKNOWN
    mode: str = UNKNOWN
    manager: str = ""
    error: str = UNKNOWN
    ok: bool = False
    why: str = ""
    worker: str = ""
    by: str = ""
    request_id: int | None = None
    cmd: str = ""
    connect: tuple[str, ...] = ()
    nominal: str = ""
    load: str = ""
    since: float = 0.0

    @property
    def there(self) -> bool:
        return bool(self.where)

    @property
    def reason(self) -> str:
        """Why it is not OK, in a sentence; "OK" if it is."""
        if not self.there:
            return "does not answer"
        return "OK" if self.ok else self.why or _plain_reason(self)

    @property
    def managed_by(self) -> str:
        """Its manager, "" if it decides for itself."""
        return self.manager if self.mode == "MANAGED" else ""

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "there": self.there}


def from_summary(node: str, where: str, text: str, why: str) -> Facts:
    """What SUMMARY and WHY say.

    Raises
    ------
    ValueError
        It is no SUMMARY.
    """
    said = json.loads(text)
    try:
        return Facts(
            node=node,
            where=where,
            ours=True,
            state=str(said["state"]),
            target=str(said["target"]),
            request=str(said["request"]),
            status=str(said["status"]),
            stalled=bool(said["stalled"]),
            op=str(said["op"]),
            mode=str(said["mode"]),
            manager=str(said["manager"]),
            error=str(said["error"]),
            ok=bool(said["ok"]),
            why=why or str(said.get("why", "")),
            worker=str(said["worker"]),
            by=str(said["by"]),
            request_id=int(said["request_id"]),
            cmd=str(said.get("cmd", "")),
            connect=tuple(map(str, said["connect"])),
            nominal=str(said.get("nominal", "")),
            load=str(said.get("load", "")),
            since=float(said.get("since", 0.0)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"SUMMARY of {node} lacks {error}") from None


def from_rows(node: str, where: str, rows: Mapping[str, str]) -> Facts:
    """What the plain PVs say, each as text; those that are missing are unknown."""
    return Facts(
        node=node,
        where=where,
        state=rows.get("STATE", UNKNOWN),
        target=rows.get("TARGET", UNKNOWN),
        request=rows.get("REQUEST", UNKNOWN),
        status=rows.get("STATUS", UNKNOWN),
        stalled=rows.get("STALLED", "") in _TRUE,
        op=rows.get("OP", UNKNOWN),
        mode=rows.get("MODE", UNKNOWN),
        manager=rows.get("MANAGER", ""),
        error=_ERRORS.get(rows.get("ERROR", ""), UNKNOWN),
        ok=rows.get("OK", "") in _TRUE,
    )


def _plain_reason(facts: Facts) -> str:
    """What can be said of a node that says nothing itself."""
    if facts.op not in ("EXEC", UNKNOWN):
        return f"OP is {facts.op}"
    if facts.error in ("ERROR", "CONNECT"):
        return f"{facts.error} in {facts.state}"
    if facts.stalled:
        return f"STALLED in {facts.state}, request {facts.request}"
    if facts.state != facts.request:
        return f"on the way: in {facts.state}, next {facts.target}, request {facts.request}"
    return f"not OK in {facts.state}"
