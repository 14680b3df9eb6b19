"""Find, import and read a system module: which states and edges it has, and what is wrong with it.

The module is imported under its plain name, so that it is in ``sys.modules`` while it runs: real sites import it in a
circle. States are public upper-case names bound to subclasses of GuardState; the name bound in the module is the
state's name, star imports, factories and attributes set afterwards included. Odd attributes are ignored.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from guardian.core.graph import Edge, Graph, StateInfo, SystemFacts, assign_indices
from guardian.core.interface import RESERVED_PREFIX
from guardian.enums import INIT_STATE
from guardian.errors import GraphError, SystemLoadError
from guardian.state import GuardState

NAME = re.compile(r"[A-Z][A-Z0-9_-]*")
NAME_LENGTH = 30
_OURS = str(Path(__file__).resolve().parent.parent)


class _BuiltInInit(GuardState):
    """The INIT of a system that has none: completes at once."""

    request = False


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A system that has been loaded: its module, its state classes by name, and the facts the host needs."""

    module: ModuleType
    states: Mapping[str, type[GuardState]]
    facts: SystemFacts


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a node.

    Raises
    ------
    SystemLoadError
    """
    if not NAME.fullmatch(name) or len(name) > NAME_LENGTH or name.startswith(RESERVED_PREFIX):
        raise SystemLoadError(
            f"{name!r} is no name for a node: use upper-case letters, digits, _ and -, a letter first, at most "
            f"{NAME_LENGTH} characters, and not {RESERVED_PREFIX}..."
        )


def search_paths(
    extra: Sequence[str] = (), *, ifo: str = "", environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Where modules are looked for: GUARD_MODULE_PATH, then `extra`, then the userapps tree (section 5)."""
    env = os.environ if environ is None else environ
    found = [p for p in env.get("GUARD_MODULE_PATH", "").split(os.pathsep) if p]
    found += extra
    if userapps := env.get("USERAPPS_PATH"):
        for subsystem in sorted(p for p in Path(userapps).iterdir() if p.is_dir()) if Path(userapps).is_dir() else ():
            folders = ["common", *([ifo.lower()] if ifo else [])]
            found += [str(p) for f in folders if (p := subsystem / f / "guardian").is_dir()]
    return tuple(dict.fromkeys(os.path.abspath(p) for p in found))


def find(node: str, paths: Sequence[str]) -> Path:
    """The file of a system module.

    Raises
    ------
    SystemLoadError
        There is none; the message lists where it was looked for.
    """
    check_name(node)
    for folder in paths:
        path = Path(folder) / f"{node}.py"
        if path.is_file():
            return path
    looked = ", ".join(paths) or "nowhere, no path is set"
    raise SystemLoadError(
        f"{node}: no {node}.py found; looked in {looked}. Set GUARD_MODULE_PATH or --path to the folder that has it"
    )


def load(node: str, paths: Sequence[str], indices: Mapping[str, int] | None = None) -> System:
    """Import the module of a node and read its graph.

    Parameters
    ----------
    indices : automatic state numbers given before (R20).

    Raises
    ------
    SystemLoadError
        The module cannot be found, imported, or used; ``details`` holds the user's traceback.
    """
    file = find(node, paths)
    sys.path[:0] = [p for p in paths if p not in sys.path]
    before = set(sys.modules)
    try:
        module = importlib.import_module(node)
    except BaseException as error:
        raise SystemLoadError(f"{node}: {describe(error)}", user_traceback(error)) from None
    states, infos = _read_states(module)
    edges, faults = _read_edges(module, node)
    try:
        numbered = assign_indices(infos, indices)
        Graph.build(numbered, edges)
    except GraphError as error:
        faults = [*faults, *error.faults]
    if faults:
        raise SystemLoadError(f"{node}: " + "; ".join(faults))
    names = {s.name for s in numbered}
    warnings: list[str] = []
    facts = SystemFacts(
        states=numbered,
        edges=tuple(edges),
        request=_state_variable(module, "request", names, warnings),
        nominal=_state_variable(module, "nominal", names, warnings),
        redirect_timeout_s=_seconds(module, "redirect_timeout", warnings),
        module=str(file),
        usercode=_usercode(set(sys.modules) - before, paths, file),
        prefix=str(getattr(module, "prefix", "") or ""),
        warnings=tuple(warnings),
    )
    return System(module=module, states=states, facts=facts)


def describe(error: BaseException) -> str:
    """One line that says what user code did and where: "ZeroDivisionError: division by zero (SUS.py:31)"."""
    text = str(error).split("\n", 1)[0]
    if isinstance(error, SyntaxError):
        where = f"{Path(error.filename or '?').name}:{error.lineno}"
        return f"{type(error).__name__}: {error.msg} ({where})"
    where = _where(error)
    return f"{type(error).__name__}{f': {text}' if text else ''}{f' ({where})' if where else ''}"


def _where(error: BaseException) -> str:
    """The innermost line of user code in a traceback."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    user = [f for f in frames if not f.filename.startswith(("<frozen", sys.base_prefix, sys.prefix))] or frames
    return f"{Path(user[-1].filename).name}:{user[-1].lineno}" if user else ""


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OURS + os.sep) or filename.startswith("<frozen")


def user_traceback(error: BaseException) -> str:
    """The traceback of user code, without the frames that are ours."""
    shown = traceback.TracebackException.from_exception(error)
    for part in _chain(shown):
        kept = [f for f in part.stack if not _is_ours(f.filename)]
        part.stack = traceback.StackSummary.from_list(kept)
    return "".join(shown.format()).rstrip()


def _chain(shown: traceback.TracebackException) -> list[traceback.TracebackException]:
    found: list[traceback.TracebackException] = []
    todo: list[traceback.TracebackException | None] = [shown]
    while todo:
        part = todo.pop()
        if part is not None and part not in found:
            found.append(part)
            todo += [part.__cause__, part.__context__]
    return found


def _read_states(module: ModuleType) -> tuple[dict[str, type[GuardState]], list[StateInfo]]:
    states: dict[str, type[GuardState]] = {}
    for name, value in vars(module).items():
        is_state = isinstance(value, type) and issubclass(value, GuardState) and value is not GuardState
        if is_state and not name.startswith("_") and name == name.upper() and value not in states.values():
            states[name] = value
    if INIT_STATE not in states and states:
        states = {INIT_STATE: _BuiltInInit, **states}
    return states, [_info(name, state) for name, state in states.items()]


def _info(name: str, state: type[GuardState]) -> StateInfo:
    doc = (state.__doc__ or "").strip().split("\n", 1)[0] if "__doc__" in vars(state) else ""
    goto: Any = state.goto
    if goto is True:
        goto = 1
    elif goto is False or goto is None:
        goto = None
    return StateInfo(
        name=name,
        index=state.index,
        request=bool(state.request),
        goto=goto,
        redirect=bool(state.redirect),
        doc=doc[:120],
        source="" if state is _BuiltInInit else _source(state),
    )


def _source(state: type) -> str:
    """ "FILE.py:LINE" of a class; the line is that of its first own method where there is one."""
    module = sys.modules.get(state.__module__)
    file = Path(getattr(module, "__file__", None) or state.__module__).name
    lines = [code.co_firstlineno for member in vars(state).values() if (code := getattr(member, "__code__", None))]
    return f"{file}:{min(lines)}" if lines else file


def _read_edges(module: ModuleType, node: str) -> tuple[list[Edge], list[str]]:
    raw = getattr(module, "edges", ())
    if not isinstance(raw, (list, tuple)):
        return [], [f"edges is a {type(raw).__name__}; make it a list of ('FROM', 'TO') pairs"]
    edges: list[Edge] = []
    faults: list[str] = []
    for item in raw:
        parts = tuple(item) if isinstance(item, (list, tuple)) else ()
        if len(parts) not in (2, 3) or not all(isinstance(p, str) for p in parts[:2]):
            faults.append(f"edge {item!r} is not ('FROM', 'TO') or ('FROM', 'TO', weight)")
            continue
        weight = parts[2] if len(parts) == 3 else 1
        edges.append(Edge(start=parts[0], end=parts[1], weight=weight))
    return edges, faults


def _state_variable(module: ModuleType, name: str, states: set[str], warnings: list[str]) -> str | None:
    value = getattr(module, name, None)
    if value is None:
        return None
    if isinstance(value, str) and value in states:
        return value
    if value != "NONE":
        warnings.append(f"{name} = {value!r} names no state of the system, taken as missing")
    return None


def _seconds(module: ModuleType, name: str, warnings: list[str]) -> float | None:
    value = getattr(module, name, None)
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 3600:
        return float(value)
    warnings.append(f"{name} = {value!r} is not a number of seconds between 0 and 3600, ignored")
    return None


def _usercode(fresh: set[str], paths: Sequence[str], main: Path) -> tuple[str, ...]:
    files = {str(f) for name in fresh if (f := getattr(sys.modules.get(name), "__file__", None))}
    return tuple(sorted(f for f in files if f != str(main) and any(f.startswith(p + os.sep) for p in paths)))
