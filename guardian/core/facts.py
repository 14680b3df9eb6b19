"""What is known of one node: parsed once, from SUMMARY or from the PVs that every Guardian has. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from guardian.core.peer import Peer, of_summary
from guardian.core.texts import BECAUSE, printable
from guardian.enums import ErrorKind, Mode, Op, Severity, Status

#: What is read of a node without SUMMARY, an original Guardian's. In some versions STATE and REQUEST show an index.
PLAIN_ROWS = (
    "STATUS", "STALLED", "TARGET", "TARGET_S", "REQUEST", "REQUEST_S", "OP", "MODE", "MANAGER", "ERROR", "OK", "STATE",
    "STATE_S",
)  # fmt: skip
UNKNOWN = "?"
_TRUE = frozenset({"True", "TRUE", "true", "1", "Yes", "YES"})
_ERRORS = {"False": "NONE", "True": "ERROR", "Connect": "CONNECT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A node at one moment.

    Parameters
    ----------
    where : address and port of its server; "": nobody answers.
    ours : it has SUMMARY; else what follows is of several moments, and the last fields are unknown.
    error : NONE, ERROR or CONNECT. manager : "" if none.
    request_id : number of the request, None if unknown. cmd : id of the REQUEST_CMD that made it, "" for a plain write.
    connect : channels that are lost. id : of its last step. since : epoch seconds at which it entered its state.
    says : what it has to say to its operator. severity : the worst that is wrong with it, by name.
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
    id: int = 0
    since: float = 0.0
    load: str = ""
    says: str = ""
    severity: str = ""

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
    def worst(self) -> Severity:
        """The worst that is wrong with it; INVALID if nobody knows."""
        if not self.there:
            return Severity.INVALID
        if self.severity in Severity.__members__:
            return Severity[self.severity]
        wrong = Severity.MINOR if self.stalled else Severity.NO_ALARM
        return Severity.MAJOR if self.error in ("ERROR", "CONNECT") else wrong

    @property
    def because(self) -> str:
        """What its subordinates lack, if that keeps it from being OK."""
        return self.reason.partition(BECAUSE)[2]

    @property
    def managed_by(self) -> str:
        """Its manager, "" if it decides for itself."""
        return self.manager if self.mode == "MANAGED" else ""

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "there": self.there}


_OF_PEER = frozenset(Facts.__dataclass_fields__) & frozenset(Peer.__dataclass_fields__)


def from_summary(node: str, where: str, text: str, why: str) -> Facts:
    """What SUMMARY and WHY say.

    Raises
    ------
    ValueError
        It is no SUMMARY.
    """
    said = of_summary(text)
    if said is None:
        raise ValueError(f"its SUMMARY is {text[:60]!r}, which is none")
    known = {name: _printable(getattr(said, name)) for name in _OF_PEER}
    return Facts(node=node, where=where, ours=True, **{**known, "why": "" if said.ok else why or known["why"]})


def _printable(value: Any) -> Any:
    """Any program may serve such a PV."""
    if isinstance(value, tuple):
        return tuple(map(_printable, value))
    return printable(value) if isinstance(value, str) else value


def from_rows(node: str, where: str, rows: Mapping[str, str]) -> Facts:
    """What the plain PVs say, each as text; those that are missing are unknown."""
    state, request = _first(rows, "STATE_S", "STATE"), _first(rows, "REQUEST_S", "REQUEST")
    target = _first(rows, "TARGET_S", "TARGET")
    return Facts(
        node=node,
        where=where,
        state=state,
        target=target,
        request=request,
        status=_name(Status, rows.get("STATUS", UNKNOWN)),
        stalled=rows["STALLED"] in _TRUE if "STALLED" in rows else state == target != request,
        op=_name(Op, rows.get("OP", UNKNOWN)),
        mode=_name(Mode, rows.get("MODE", UNKNOWN)),
        manager=rows.get("MANAGER", ""),
        error=_name(ErrorKind, _ERRORS.get(rows.get("ERROR", ""), rows.get("ERROR", UNKNOWN))),
        ok=rows.get("OK", "") in _TRUE,
    )


def _first(rows: Mapping[str, str], *names: str) -> str:
    return next((text for name in names if (text := rows.get(name, ""))), UNKNOWN)


def _name(enum: type[IntEnum], text: str) -> str:
    """The name of an enum's number; original and successor number them alike."""
    return {str(int(member)): member.name for member in enum}.get(text, text)


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
