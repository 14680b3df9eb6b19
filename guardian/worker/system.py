"""Find, import and read a system module: which states and edges it has, and what is wrong with it.

The module is imported under its plain name, so that it is in ``sys.modules`` while it runs: real sites import it in a
circle. States are public upper-case names bound to subclasses of GuardState; the name bound in the module is the
state's name, star imports, factories and attributes set afterwards included. Odd attributes are ignored.

Nothing that a module contains gets further than this file as it is: strings become plain strings and numbers plain
numbers (field code takes both from enums and from numpy), and whatever user code raises, also while its classes and
variables are looked at, becomes a SystemLoadError with its traceback.
"""

from __future__ import annotations

import importlib
import numbers
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from guardian.core.graph import Edge, Graph, StateInfo, SystemFacts, assign_indices
from guardian.core.interface import RESERVED_PREFIX
from guardian.enums import INIT_STATE, NONE_STATE
from guardian.errors import GraphError, SystemLoadError
from guardian.state import GuardState, GuardStateDecorator

NAME = re.compile(r"[A-Z][A-Z0-9_-]*")
NAME_LENGTH = 30
#: What is shown of a text of user code in one line.
LINE_LENGTH = 400
_OURS = str(Path(__file__).resolve().parent.parent)
_IMPORTLIB = str(Path(importlib.__file__).parent)
#: Folders of Python itself and of what is installed.
_PYTHONS = tuple({p + os.sep for k in ("stdlib", "platstdlib", "purelib", "platlib") if (p := sysconfig.get_path(k))})


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
    sys.path[:] = [*paths, *(p for p in sys.path if p not in paths)]
    importlib.invalidate_caches()
    before = set(sys.modules)
    try:
        module = importlib.import_module(node)
        _check_origin(module, node, file)
        return _read(module, node, file, _usercode(set(sys.modules) - before, paths, file), indices or {})
    except SystemLoadError:
        raise
    except BaseException as error:
        raise SystemLoadError(f"{node}: {describe(error)}", user_traceback(error)) from None


def _check_origin(module: ModuleType, node: str, file: Path) -> None:
    found = getattr(module, "__file__", None)
    if found is None or not os.path.samefile(found, file):
        other = found or "a built-in one or a folder"
        raise SystemLoadError(f"{node}: Python takes {other} for this module, not {file}. Rename one of them")


def _read(module: ModuleType, node: str, file: Path, usercode: tuple[str, ...], indices: Mapping[str, int]) -> System:
    states, infos, faults = _read_states(module)
    edges = _read_edges(module, faults)
    numbered: tuple[StateInfo, ...] = ()
    try:
        numbered = assign_indices(infos, indices)
        Graph.build(numbered, edges)
    except GraphError as error:
        faults += error.faults
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
        reactive=getattr(module, "reactive", True) is not False,
        module=str(file),
        usercode=usercode,
        prefix=_text(module, "prefix", warnings),
        warnings=tuple(warnings),
    )
    return System(module=module, states=states, facts=facts)


def describe(error: BaseException) -> str:
    """One line that says what user code did and where: "ZeroDivisionError: division by zero (SUS.py:31)".

    Raises nothing, as :func:`user_traceback`: an error that could not be told would be a node that stands still and
    says nothing.
    """
    try:
        return _describe(error)
    except BaseException as fault:
        return f"{_kind(error)} that cannot be described: {_kind(fault)}"


def _kind(value: object) -> str:
    """The name of its class, whatever the class of that class says."""
    return str(type.__dict__["__name__"].__get__(type(value)))


def _describe(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        where = f"{Path(error.filename or '?').name}:{error.lineno}"
        return f"{_kind(error)}: {_cut(error.msg or '')} ({where})"
    text, where = one_line(error), _where(error)
    return f"{_kind(error)}{f': {text}' if text else ''}{f' ({where})' if where else ''}"


def one_line(value: object) -> str:
    """What a value of user code says of itself, first line, cut; its ``__str__`` may do what it likes."""
    try:
        text = plain_str(str(value))
    except BaseException as error:
        return f"<{_kind(value)} that cannot be shown: {_kind(error)}>"
    return _cut(text.split("\n", 1)[0])


def plain_str(text: str) -> str:
    """The characters of a str, whatever its class says: "ALIGNED", not "States.ALIGNED"."""
    return str.__str__(text)


def _cut(text: str) -> str:
    return text if len(text) <= LINE_LENGTH else text[: LINE_LENGTH - 3] + "..."


def _shown(value: object) -> str:
    try:
        return _cut(repr(value))
    except BaseException as error:
        return f"<{_kind(value)} that cannot be shown: {_kind(error)}>"


def _where(error: BaseException) -> str:
    """The innermost line of user code in a traceback."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_ours(f.filename)]
    user = [f for f in frames if not f.filename.startswith(_PYTHONS)] or frames
    return f"{Path(user[-1].filename).name}:{user[-1].lineno}" if user else ""


def is_ours(filename: str) -> bool:
    """Whether a frame of that file belongs to this package or to the import system."""
    return filename.startswith((_OURS + os.sep, _IMPORTLIB + os.sep, "<frozen"))


def user_traceback(error: BaseException) -> str:
    """The traceback of user code, without the frames that are ours."""
    try:
        return _user_traceback(error)
    except BaseException as fault:
        return f"{describe(error)}; its traceback cannot be shown: {_kind(fault)}"


def _user_traceback(error: BaseException) -> str:
    shown = traceback.TracebackException.from_exception(error)
    for part in _chain(shown):
        kept = [f for f in part.stack if not is_ours(f.filename)]
        part.stack = traceback.StackSummary.from_list(kept)
    return "".join(shown.format()).rstrip()


def _chain(shown: traceback.TracebackException) -> list[traceback.TracebackException]:
    """It and all that it came from. Told apart by identity: comparing two chains takes a recursion as deep as they."""
    found: dict[int, traceback.TracebackException] = {}
    todo: list[traceback.TracebackException | None] = [shown]
    while todo:
        part = todo.pop()
        if part is not None and id(part) not in found:
            found[id(part)] = part
            todo += [part.__cause__, part.__context__]
    return list(found.values())


def _read_states(module: ModuleType) -> tuple[dict[str, type[GuardState]], list[StateInfo], list[str]]:
    """The classes, what is known of them, and what is wrong with that."""
    states: dict[str, type[GuardState]] = {}
    for name, value in list(vars(module).items()):
        is_state = isinstance(value, type) and issubclass(value, GuardState) and value is not GuardState
        if is_state and not name.startswith("_") and name == name.upper() and value not in states.values():
            states[name] = value
    if INIT_STATE not in states and states:
        states = {INIT_STATE: _BuiltInInit, **states}
    faults: list[str] = []
    return states, [_info(name, state, faults) for name, state in states.items()], faults


def _info(name: str, state: type[GuardState], faults: list[str]) -> StateInfo:
    doc = vars(state).get("__doc__")
    source = "" if state is _BuiltInInit else _source(state)
    index = _plain(state.index)
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        faults.append(f"state {name} ({source}): index = {_shown(index)}; use a whole number that fits in 32 bits")
        index = None
    return StateInfo(
        name=name,
        index=index,
        request=bool(state.request),
        goto=_goto(state.goto),
        redirect=bool(state.redirect),
        doc=doc.strip().split("\n", 1)[0][:120] if isinstance(doc, str) else "",
        source=source,
    )


def _goto(value: Any) -> Any:
    """The weight of the implied edges, None for none; what is neither is left to the graph to refuse."""
    value = _plain(value)
    return 1 if value is True else None if value is False else value


def _plain(value: Any) -> Any:
    """A bool, int, float or str of Python itself where `value` is one of any kind, numpy's included."""
    if isinstance(value, str):
        return plain_str(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    return bool(value) if type(value).__name__ in ("bool_", "bool") else value


def _source(state: type) -> str:
    """ "FILE.py:LINE" of a class; the line is that of its first own method where there is one."""
    module = sys.modules.get(state.__module__)
    file = Path(getattr(module, "__file__", None) or state.__module__).name
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
            faults.append(f"edge {_shown(item)} is not ('FROM', 'TO') or ('FROM', 'TO', weight)")
            continue
        weight = parts[2] if len(parts) == 3 else 1
        edges.append(Edge(start=parts[0], end=parts[1], weight=weight))
    return edges


def _state_variable(module: ModuleType, name: str, states: set[str], warnings: list[str]) -> str | None:
    value = _plain(getattr(module, name, None))
    if value is None:
        return None
    if isinstance(value, str) and value in states:
        return value
    if not (isinstance(value, str) and value == NONE_STATE):
        warnings.append(f"{name} = {_shown(value)} names no state of the system, taken as missing")
    return None


def _seconds(module: ModuleType, name: str, warnings: list[str]) -> float | None:
    value = _plain(getattr(module, name, None))
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 3600:
        return float(value)
    warnings.append(f"{name} = {_shown(value)} is not a number of seconds between 0 and 3600, ignored")
    return None


def _text(module: ModuleType, name: str, warnings: list[str]) -> str:
    value = _plain(getattr(module, name, None))
    if value is None or isinstance(value, str):
        return value or ""
    warnings.append(f"{name} = {_shown(value)} is not a text, ignored")
    return ""


def _usercode(fresh: set[str], paths: Sequence[str], main: Path) -> tuple[str, ...]:
    files = {str(f) for name in fresh if (f := getattr(sys.modules.get(name), "__file__", None))}
    return tuple(sorted(f for f in files if f != str(main) and any(f.startswith(p + os.sep) for p in paths)))
