"""Reads a system module that has been imported: its states, its edges and its variables, and what is wrong with them.

States are public upper-case names bound to subclasses of GuardState; the name bound in the module is the state's name,
star imports, factories and attributes set afterwards included. Odd attributes are ignored.

Nothing that a module contains gets further than this file as it is: strings become plain strings and numbers plain
numbers, since field code takes both from enums and from numpy.
"""

from __future__ import annotations

import numbers
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from guardian.core.graph import Edge, Graph, StateInfo, SystemFacts, assign_indices
from guardian.core.setpoints import MOST, Listed, packed, why_too_long
from guardian.enums import INIT_STATE, NONE_STATE
from guardian.errors import GraphError, SystemLoadError
from guardian.state import GuardState, GuardStateDecorator
from guardian.worker.faults import plain_str, shown
from guardian.worker.syntax import Sources, is_a

#: Faults that are told; a generated list of edges can have thousands.
MOST_TOLD = 50
#: Elements of a list that are no channels; of these, so many.
MOST_LISTED = 3
#: Larger numbers are no indices and no weights, and do not fit on the link.
_LARGEST = 2**53


#: What a module, or a state, has where it says nothing: None says something.
_MISSING: Any = object()


class _BuiltInInit(GuardState):
    """The INIT of a system that has none: completes at once."""

    request = False


def read(
    module: ModuleType, node: str, file: Path, usercode: tuple[str, ...], indices: Mapping[str, int]
) -> tuple[dict[str, type[GuardState]], SystemFacts]:
    """The states of a module, by name, and the facts the host needs.

    Parameters
    ----------
    usercode : the user files that it pulled in. indices : automatic state numbers given before (R20).

    Raises
    ------
    SystemLoadError
        With every fault that was found, or the first fifty.
    """
    warnings: list[str] = []
    states, infos, faults = _read_states(module, warnings)
    edges = _read_edges(module, faults)
    numbered: tuple[StateInfo, ...] = ()
    try:
        numbered = assign_indices(infos, indices)
        Graph.build(numbered, edges)
    except GraphError as error:
        faults += error.faults
    if faults:
        sources = Sources((str(file), *usercode))
        classes = {info.name: sources.place_of_class(states[info.name], info.source) for info in infos}
        told = [_placed(fault, infos, classes, edges, sources) for fault in faults[:MOST_TOLD]]
        more = [f"and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
        raise SystemLoadError(f"{node}: " + "; ".join(told + more))
    names = {s.name for s in numbered}
    facts = SystemFacts(
        states=numbered,
        edges=tuple(edges),
        request=_state_variable(module, "request", names, warnings),
        nominal=_state_variable(module, "nominal", names, warnings),
        redirect_timeout_s=_seconds(module, "redirect_timeout", warnings),
        watchdog_s=_watchdog(getattr(module, "watchdog", _MISSING), "watchdog", warnings),
        reactive=_switch(module, "reactive", warnings),
        module=str(file),
        usercode=usercode,
        prefix=_text(module, "prefix", warnings),
        ca_monitor=_flag(module, "ca_monitor", warnings),
        ca_monitor_notify=_flag(module, "ca_monitor_notify", warnings),
        ca_channels=_channels(module, "ca_channels", warnings),
        warnings=tuple(warnings),
    )
    return states, facts


def _read_states(
    module: ModuleType, warnings: list[str]
) -> tuple[dict[str, type[GuardState]], list[StateInfo], list[str]]:
    """The classes, what is known of them, and what is wrong with that."""
    states: dict[str, type[GuardState]] = {}
    seen: set[int] = set()  # not the classes: their == and hash may be user code
    for name, value in list(vars(module).items()):
        is_state = is_a(value, type) and issubclass(value, GuardState) and value is not GuardState
        named = is_state and isinstance(name, str) and not name.startswith("_") and name == name.upper()
        if named and id(value) not in seen:
            states[name] = value
            seen.add(id(value))
    if INIT_STATE not in states and states:
        states = {INIT_STATE: _BuiltInInit, **states}
    faults: list[str] = []
    return states, [_info(name, state, faults, warnings) for name, state in states.items()], faults


def _info(name: str, state: type[GuardState], faults: list[str], warnings: list[str]) -> StateInfo:
    doc = vars(state).get("__doc__")
    source = "" if state is _BuiltInInit else _source(state)
    place = f"{source} " if ":" in source else ""
    index = _plain(state.index)
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        faults.append(f"state {name} ({source}): index = {shown(index)}; use a whole number that fits in 32 bits")
        index = None
    return StateInfo(
        name=name,
        index=index,
        request=bool(state.request),
        goto=_goto(state.goto),
        redirect=bool(state.redirect),
        watchdog_s=_watchdog(getattr(state, "watchdog", _MISSING), f"{place}watchdog of {name}", warnings),
        doc=doc.strip().split("\n", 1)[0][:120] if isinstance(doc, str) else "",
        source=source,
    )


def _goto(value: Any) -> Any:
    """The weight of the implied edges, None for none; what is neither is left to the graph to refuse."""
    value = _plain(value)
    return 1 if value is True else None if value is False else value


def _plain(value: Any) -> Any:
    """A bool, int, float or str of Python itself where `value` is one of any kind, numpy's included.

    A number that is too large for anything comes back as the text of it, which nothing takes for a number.
    """
    if isinstance(value, str):
        return plain_str(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number: Any = value
        if not isinstance(value, float) and abs(number) > _LARGEST:
            return shown(value)
        return int(number) if isinstance(value, numbers.Integral) else float(number)
    return bool(value) if type(value).__name__ in ("bool_", "bool") else value


def _source(state: type) -> str:
    """ "FILE.py:LINE" of a class; the line is that of its first own method where there is one."""
    module = sys.modules.get(state.__module__)
    file = Path(str(getattr(module, "__file__", None) or state.__module__)).name
    lines = [line for member in vars(state).values() if (line := _first_line(member))]
    return f"{file}:{min(lines)}" if lines else file


def _first_line(member: object) -> int | None:
    """Where a method begins, its decorators included."""
    while isinstance(member, GuardStateDecorator):
        member = vars(member).get("func")
    return member.__code__.co_firstlineno if isinstance(member, FunctionType) else None


def _read_edges(module: ModuleType, faults: list[str]) -> list[Edge]:
    raw = getattr(module, "edges", ())
    if not isinstance(raw, (list, tuple)):
        faults.append(f"edges is a {type(raw).__name__}; make it a list of ('FROM', 'TO') pairs")
        return []
    edges: list[Edge] = []
    for item in raw:
        parts = tuple(map(_plain, item)) if isinstance(item, (list, tuple)) else ()
        if len(parts) not in (2, 3) or not all(isinstance(p, str) for p in parts[:2]):
            faults.append(f"edge {shown(item)} is not ('FROM', 'TO') or ('FROM', 'TO', weight)")
            continue
        weight = parts[2] if len(parts) == 3 else 1
        edges.append(Edge(start=parts[0], end=parts[1], weight=weight))
    return edges


def _placed(
    fault: str, infos: Sequence[StateInfo], classes: Mapping[str, str], edges: Sequence[Edge], sources: Sources
) -> str:
    """A fault with the lines of the user's code; they are looked for only now, it takes as long as compiling it all."""
    for info in infos:
        fault = fault.replace(f"{info.name} ({info.source})", f"{info.name} ({classes[info.name]})")
    if not fault.startswith("edge"):
        return fault
    edge = next((e for e in edges if fault.startswith(f"edge {e.start} -> {e.end} ")), None)
    place = sources.place_of_edge(edge.start, edge.end) if edge else sources.place_of_variable("edges")
    return f"{fault} ({place})" if place else fault


def _state_variable(module: ModuleType, name: str, states: set[str], warnings: list[str]) -> str | None:
    value = _plain(getattr(module, name, None))
    if value is None:
        return None
    if isinstance(value, str) and value in states:
        return value
    if not (isinstance(value, str) and value == NONE_STATE):
        warnings.append(f"{name} = {shown(value)} names no state of the system, taken as missing")
    return None


def _seconds(module: ModuleType, name: str, warnings: list[str]) -> float | None:
    value = _plain(getattr(module, name, None))
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 3600:
        return float(value)
    warnings.append(f"{name} = {shown(value)} is not a number of seconds between 0 and 3600, ignored")
    return None


def _watchdog(value: Any, name: str, warnings: list[str]) -> float | None:
    """Seconds; 0: switched off, by None or False. None: nothing is said, or nothing useful.

    A function or a class of that name is something else of the user's: field code has decorators called so.
    """
    if value is _MISSING or isinstance(value, ModuleType) or callable(value):
        return None
    seconds = _plain(value)
    if seconds is None or seconds is False:
        return 0.0
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds < float("inf"):
        return float(seconds)
    warnings.append(f"{name} = {shown(value)} is not a number of seconds above 0, nor None or False, ignored")
    return None


def _switch(module: ModuleType, name: str, warnings: list[str]) -> bool | None:
    value = _plain(getattr(module, name, None))
    if value is None or isinstance(value, bool):
        return value
    warnings.append(f"{name} = {shown(value)} is neither True nor False, ignored")
    return None


def _text(module: ModuleType, name: str, warnings: list[str]) -> str:
    value = _plain(getattr(module, name, None))
    if value is None or isinstance(value, str):
        return value or ""
    warnings.append(f"{name} = {shown(value)} is not a text, ignored")
    return ""


def _flag(module: ModuleType, name: str, warnings: list[str]) -> bool:
    value = _plain(getattr(module, name, None))
    if value is None or isinstance(value, bool) or value in (0, 1):
        return bool(value)
    warnings.append(f"{name} = {shown(value)} is neither True nor False, taken as False")
    return False


def _channels(module: ModuleType, name: str, warnings: list[str]) -> tuple[Listed, ...]:
    """Channels with or without a value; what is neither is told, and left out."""
    value = getattr(module, name, None)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        warnings.append(f"{name} = {shown(value)} is no list of 'CHAN' and ('CHAN', value), ignored")
        return ()
    found, bad = [], []
    for item in value:
        parts = tuple(item) if isinstance(item, (list, tuple)) else (item,)
        channel = _plain(parts[0]) if parts else None
        number = [_value(part) for part in parts[1:]]
        if isinstance(channel, str) and channel and len(parts) <= 2 and None not in number:
            found.append(Listed(name=channel, value=packed(number[0]) if number else ""))
        else:
            bad.append(shown(item))
    if bad:
        told = ", ".join(bad[:MOST_LISTED]) + (f" and {len(bad) - MOST_LISTED} more" if len(bad) > MOST_LISTED else "")
        warnings.append(f"{name} = [...] has {told}, neither 'CHAN' nor ('CHAN', value), ignored")
    if len(found) > MOST:
        warnings.append(f"{name} = [...] has {len(found)} channels, {MOST} can be watched; the first are")
    return tuple(found[:MOST])


def _value(value: Any) -> Any:
    """What a channel can be set to: a number, a text, or a list of these; None: it cannot."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        plain = bool(items) and all(isinstance(item, (bool, int, float, str)) for item in items)
        return items if plain and not why_too_long(items) else None
    value = _plain(value)
    return value if isinstance(value, (bool, int, float, str)) and not why_too_long(value) else None
