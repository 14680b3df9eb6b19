"""What of a node survives a restart of its host, and with what it starts again (R21). Pure.

The file of a node is one JSON object, made to be read and, if need be, edited by people: enums by name, times in epoch
seconds. ``format`` must be there; a field that is missing has its default (an older version did not know it), one that
is unknown is ignored (a newer version wrote it), and one of a wrong type makes the whole file count as damaged: half
of the settings of a node could be worse than none.

Three fields belong to the file and not to the node: ``saved_at``, ``session`` (which run of a host wrote it) and
``left_at`` (when the node left a host that went on without it). See :mod:`guardian.host.store` for what they are for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import msgspec

from guardian.core.peer import BondFacts
from guardian.core.setpoints import Setpoint, unpacked
from guardian.core.when import span, utc
from guardian.enums import NONE_STATE, LogLevel, Mode, Op

FORMAT = 1
OnStart = Literal["resume", "request", "hold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was set on a node, by whom and when.

    Attributes
    ----------
    request : name of a state, "NONE", or None for "what the module says".
    request_by, op_by, mode_by : who set it; "" if nobody did, or if it is not known.
    request_at, op_at, mode_at : epoch seconds; 0 if not known.
    request_cmd : id of the REQUEST_CMD that set it; "" if it was set another way.
    request_id : counts accepted requests, never falls.
    event_id : no event with a higher id has been published. A host may save it in blocks ahead of use, so that it
        need not be saved at every event and still never falls after a crash.
    spm_monitor, spm_notify : the switches of the set-point monitor that somebody wrote; None: what the module says.
    log_level : the LOGLEVEL that somebody wrote; None: what the site says.
    bonds : what its code has asked of other nodes, as the worker tells it. setpoints : what it has set.
    indices : index of each state that was numbered automatically. Names that are gone stay in it (R20).
    saved_at : epoch seconds of the save; filled by the store.
    alive_at : epoch seconds when a host is last known to have run this node; filled by the store.
    """

    op: Op = Op.EXEC
    mode: Mode = Mode.AUTO
    manager: str = ""
    request: str | None = None
    request_by: str = ""
    request_at: float = 0.0
    request_cmd: str = ""
    op_by: str = ""
    op_at: float = 0.0
    mode_by: str = ""
    mode_at: float = 0.0
    request_id: int = 0
    event_id: int = 0
    spm_monitor: bool | None = None
    spm_notify: bool | None = None
    log_level: LogLevel | None = None
    bonds: tuple[BondFacts, ...] = ()
    setpoints: tuple[Setpoint, ...] = ()
    indices: Mapping[str, int] = field(default_factory=dict)
    saved_at: float = 0.0
    alive_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The content of one settings file."""

    settings: Settings
    session: str
    left_at: float | None = None


class DamagedError(ValueError):
    """The bytes are not a settings file. The message says what is wrong with them."""


def encode(saved: Saved) -> bytes:
    """The file's content."""
    values: dict[str, Any] = {"format": FORMAT}
    for item in fields(Settings):
        if item.name == "setpoints":
            continue
        value = getattr(saved.settings, item.name)
        values[item.name] = value.name if isinstance(value, (Op, Mode, LogLevel)) else value
    values["bonds"] = [asdict(bond) for bond in saved.settings.bonds]
    del values["alive_at"]  # told by the stamps of the host, not by this file
    values["indices"] = dict(values["indices"])
    values["session"] = saved.session
    values["left_at"] = saved.left_at
    text = json.dumps(values, indent=1, allow_nan=False)
    # A line each, and made by msgspec: there may be thousands.
    points = ",\n  ".join(msgspec.json.encode(point).decode() for point in saved.settings.setpoints)
    return f'{text.removesuffix("}").rstrip()},\n "setpoints": [{points}]\n}}\n'.encode()


def decode(data: bytes) -> Saved:
    """The inverse of :func:`encode`.

    Raises
    ------
    DamagedError
        Torn, not JSON, or a field of a wrong type.
    """
    try:
        values = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"not a JSON object ({error})" if data.strip(b"\0 \n") else "empty") from None
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise DamagedError("no settings file: 'format' is missing")
    known: dict[str, Any] = {}
    for name, read in _READ.items():
        if name in values:
            try:
                known[name] = read(values[name])
            except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
                raise DamagedError(f"{name} is {json.dumps(values[name])[:60]}") from None
    session = known.pop("session", "")
    left_at = known.pop("left_at", None)
    return Saved(settings=Settings(**known), session=session, left_at=left_at)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _session(value: Any) -> str:
    if not _text(value).isalnum():  # it becomes part of a file name
        raise ValueError
    return str(value)


def _count(value: Any) -> int:
    if type(value) is not int:  # bool is an int, and no count
        raise TypeError
    return value


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _indices(value: Any) -> dict[str, int]:
    if type(value) is not dict:
        raise TypeError
    return {name: _count(index) for name, index in value.items()}


def _bonds(value: Any) -> tuple[BondFacts, ...]:
    if type(value) is not list:
        raise TypeError
    kinds = {"key": str, "state": str, "cmd": str, "managed": bool}
    read = [{name: one[name] for name in kinds} for one in value]
    if any(type(one[name]) is not kind for one in read for name, kind in kinds.items()):
        raise TypeError
    return tuple(BondFacts(**one) for one in read)


def _setpoints(value: Any) -> tuple[Setpoint, ...]:
    if type(value) is not list:
        raise TypeError
    kinds = {"channel": str, "name": str, "value": str, "label": str, "mask": int, "module": bool}
    read = []
    for one in value:
        if any(type(one[name]) is not kind for name, kind in kinds.items()):
            raise TypeError
        unpacked(one["value"])
        point = {name: one[name] for name in kinds}
        if not 0 <= point["mask"] < 2**32:
            raise ValueError
        for text in (point["channel"], point["name"], point["value"], point["label"]):
            text.encode()  # half a surrogate pair could not be written again
        read.append(Setpoint(**point, at=_time(one["at"]), since=_time(one["since"])))
    return tuple(read)


def _maybe_switch(value: Any) -> bool | None:
    if value is not None and type(value) is not bool:
        raise TypeError
    return value


_READ: dict[str, Any] = {
    "op": lambda value: Op[_text(value)],
    "mode": lambda value: Mode[_text(value)],
    "manager": _text,
    "request": lambda value: None if value is None else _text(value),
    "request_by": _text,
    "request_at": _time,
    "request_cmd": _text,
    "op_by": _text,
    "op_at": _time,
    "mode_by": _text,
    "mode_at": _time,
    "request_id": _count,
    "event_id": _count,
    "spm_monitor": _maybe_switch,
    "spm_notify": _maybe_switch,
    "log_level": lambda value: None if value is None else LogLevel[_text(value)],
    "bonds": _bonds,
    "setpoints": _setpoints,
    "indices": _indices,
    "saved_at": _time,
    "session": _session,
    "left_at": lambda value: None if value is None else _time(value),
}


def resume(
    settings: Settings | None,
    now: float,
    *,
    alive_at: float | None = None,
    resume_within_s: float = 600.0,
    policy: OnStart = "resume",
    fresh: bool = False,
) -> tuple[Settings, str]:
    """With what a node starts, and the sentence for the log that says so (R21).

    Parameters
    ----------
    settings : what the store has, None if nothing.
    now, alive_at : epoch seconds; `alive_at` is when the node was last run by a host, by default what the store says.
        An `alive_at` in the future (the clock was set back) counts as just now.
    policy : `on_start` of the site file.

        * "resume": OP, MODE, MANAGER and REQUEST as they were, if the host was away for at most `resume_within_s`;
          else EXEC, AUTO, no manager, and the module's request.
        * "request": always EXEC, AUTO, no manager, and the module's request.
        * "hold": OP, MODE and MANAGER as they were, however long ago, and REQUEST NONE: after INIT only jumps move the
          node until a person or its manager asks for something.
    fresh : start without what was set (`--fresh`).

    Returns
    -------
    Settings
        `request` None means what the module says. Counters and indices are kept in every case: they must not fall or
        be used twice.
    str
        What was restored, set by whom and when; or why not.
    """
    if settings is None:
        if policy == "hold":
            return Settings(request=NONE_STATE), "first start, nothing is stored: EXEC, AUTO, REQUEST NONE (hold)"
        return Settings(), "first start, nothing is stored: EXEC, AUTO, the module's request"

    was = _describe(settings)
    plain = Settings(
        request_id=settings.request_id,
        event_id=settings.event_id,
        indices=settings.indices,
        saved_at=settings.saved_at,
        alive_at=settings.alive_at,
    )
    starts = "starts with EXEC, AUTO, the module's request"
    if fresh:
        return plain, f"{starts}, as asked for (fresh); stored was {was}"
    if policy == "request":
        return plain, f"{starts}, as the site file says (on_start = request); stored was {was}"
    if policy == "hold":
        held = replace(settings, request=NONE_STATE, request_by="", request_at=0.0, request_cmd="")
        return held, f"starts with REQUEST NONE, as the site file says (on_start = hold); stored was {was}"

    alive = settings.alive_at if alive_at is None else alive_at
    away_s = max(0.0, now - alive)
    if away_s > resume_within_s:
        why = f"last run {utc(alive)}, {span(away_s)} ago, more than {span(resume_within_s)} (resume_within)"
        return plain, f"{starts}: {why}; stored was {was}"
    return settings, f"restored after {span(away_s)}: {was}"


def _describe(settings: Settings) -> str:
    request = "the module's request" if settings.request is None else f"REQUEST {settings.request}"
    manager = f", MANAGER {settings.manager}" if settings.manager else ""
    return (
        f"OP {settings.op.name}{_origin(settings.op_by, settings.op_at)}, "
        f"MODE {settings.mode.name}{_origin(settings.mode_by, settings.mode_at)}{manager}, "
        f"{request}{_origin(settings.request_by, settings.request_at)}"
    )


def _origin(by: str, at: float) -> str:
    told = [f"set by {by}"] if by else []
    if at > 0:
        told.append(f"at {utc(at)}" if by else f"set at {utc(at)}")
    return f" ({' '.join(told)})" if told else ""
