"""From what a client has written on a PV to an input of the automaton, or a refusal that says what to do.

Parsing happens here, at the edge, once: inside, a REQUEST is the name of a state that exists (R17).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from enum import IntEnum
from typing import Any, TypeVar

from guardian.core.events import (
    Input,
    LoadAsked,
    Reenter,
    Requested,
    ResetFailed,
    SetLogLevel,
    SetManager,
    SetMode,
    SetOp,
    SetSpm,
)
from guardian.core.graph import LISTED
from guardian.core.interface import BY_NAME
from guardian.core.names import NAME_BYTES
from guardian.core.request_cmd import Write, read_command, read_write
from guardian.core.view import View
from guardian.enums import NONE_INDEX, NONE_STATE, LogLevel, Mode, Op
from guardian.errors import RefusedError

E = TypeVar("E", bound=IntEnum)
#: What no WRITE_CMD stands for: requests have a command of their own, with an id.
_NOT_WRAPPED = frozenset({"REQUEST", "REQUEST_N", "REQUEST_CMD", "WRITE_CMD"})


def parse(name: str, value: Any, by: str, view: View) -> Input | None:
    """The input that a write of `value` on the PV `name` means; None if it means nothing (REENTER=0).

    Raises
    ------
    RefusedError
        The value is not acceptable; the message says why and what would be.
    """
    return _PARSERS[name](value, by, view)


def unwrap(value: Any) -> Write:
    """The write that a WRITE_CMD stands for: judged, taken and kept as if it had come on its own PV.

    Raises
    ------
    RefusedError
        It is none, or none that can be written this way.
    """
    write = read_write(value)
    row = BY_NAME.get(write.row)
    if write.row in ("REQUEST", "REQUEST_N"):
        raise RefusedError(
            f'{write.row} cannot be written this way, the id of the request would be lost; write {{"state": "NAME", '
            '"id": "unique", "person": "who"} on REQUEST_CMD'
        )
    if row is None or not row.writable or row.name in _NOT_WRAPPED:
        rows = ", ".join(name for name, one in BY_NAME.items() if one.writable and name not in _NOT_WRAPPED)
        raise RefusedError(f"{write.row[:40]!r} cannot be written this way; {rows} can")
    return write


def _enum(kind: type[E], value: Any) -> E:
    if isinstance(value, str):
        wanted = value.strip()
        if wanted in kind.__members__:
            return kind[wanted]
        try:
            value = int(wanted)
        except ValueError:
            raise RefusedError(f"{value!r} is none of {', '.join(kind.__members__)}") from None
    try:
        return kind(value)
    except ValueError:
        raise RefusedError(f"{value!r} is none of {', '.join(f'{int(m)} ({m.name})' for m in kind)}") from None


def _op(value: Any, by: str, _view: View) -> Input:
    return SetOp(op=_enum(Op, value), by=by)


def _mode(value: Any, by: str, _view: View) -> Input:
    return SetMode(mode=_enum(Mode, value), by=by)


def _manager(value: Any, by: str, _view: View) -> Input:
    name = str(value)
    if len(name.encode()) > NAME_BYTES:
        raise RefusedError(f"the name has {len(name.encode())} bytes, {NAME_BYTES} fit")
    return SetManager(manager=name, by=by)


def _request(value: Any, by: str, view: View) -> Requested:
    name = str(value).strip()
    if name == NONE_STATE:
        return Requested(state=NONE_STATE, by=by)
    if view.graph is None:
        raise RefusedError(
            f"the states are not known yet (LOAD_STATUS {view.load_status.name}); try again once it is DONE"
        )
    if name not in view.graph:
        near = get_close_matches(name.upper(), list(view.graph.states), n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        menu = view.graph.menu
        more = f" and {len(menu) - LISTED} more" if len(menu) > LISTED else ""
        raise RefusedError(f"no such state{hint} The menu is {', '.join(menu[:LISTED])}{more}")
    return Requested(state=name, by=by)


def _request_cmd(value: Any, by: str, view: View) -> Input:
    """How managers and consoles ask, so that the person and the manager behind a write are known."""
    command = read_command(value)
    return replace(_request(command.state, command.through(by), view), cmd=command.id)


def _write_cmd(value: Any, _by: str, _view: View) -> None:
    """Only what is none comes here."""
    unwrap(value)


def _request_n(value: Any, by: str, view: View) -> Input:
    try:
        index = int(value)
        whole = index == value or isinstance(value, str)
    except (ValueError, TypeError, OverflowError):
        whole = False
    if not whole:
        raise RefusedError(f"{value!r} is no index; a state's index is a whole number, see STATES and GRAPH")
    if index == NONE_INDEX:
        return Requested(state=NONE_STATE, by=by)
    name = None if view.graph is None else view.graph.name(index)
    if name is None:
        raise RefusedError(f"no state has index {index}; see STATES, or write the name on REQUEST")
    return Requested(state=name, by=by)


def _reenter(value: Any, by: str, _view: View) -> Input | None:
    return Reenter(by=by) if _yes(value) else None


def _reset_failed(value: Any, by: str, view: View) -> Input | None:
    if not _yes(value):
        return None
    if not view.failed:
        raise RefusedError(f"it has not failed, WORKER is {view.worker.name}; nothing was done")
    return ResetFailed(by=by)


def _load(value: Any, by: str, _view: View) -> Input | None:
    return LoadAsked(by=by) if _yes(value) else None


def _spm_monitor(value: Any, by: str, _view: View) -> Input:
    return SetSpm(monitor=_yes(value), by=by)


def _spm_notify(value: Any, by: str, _view: View) -> Input:
    return SetSpm(notify=_yes(value), by=by)


def _log_level(value: Any, by: str, _view: View) -> Input:
    return SetLogLevel(level=_enum(LogLevel, value), by=by)


def _yes(value: Any) -> bool:
    """What is written on a momentary PV (1 does it, 0 nothing), or on a switch."""
    key = value.strip().lower() if isinstance(value, str) else value
    wanted = _YES_NO.get(key) if isinstance(key, (str, int, float)) else None
    if wanted is None:
        raise RefusedError(f"{value!r} is neither 0 (False) nor 1 (True)")
    return wanted


_YES_NO: dict[str | float, bool] = {"1": True, "true": True, "0": False, "false": False, 1: True, 0: False}
_PARSERS: dict[str, Callable[[Any, str, View], Input | None]] = {
    "OP": _op,
    "MODE": _mode,
    "MANAGER": _manager,
    "REQUEST": _request,
    "REQUEST_N": _request_n,
    "REQUEST_CMD": _request_cmd,
    "WRITE_CMD": _write_cmd,
    "REENTER": _reenter,
    "RESET_FAILED": _reset_failed,
    "LOAD": _load,
    "SPM_MONITOR": _spm_monitor,
    "SPM_NOTIFY": _spm_notify,
    "LOGLEVEL": _log_level,
}
