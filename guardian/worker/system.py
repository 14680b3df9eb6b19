"""Imports a system module.

The module is imported under its plain name, so that it is in ``sys.modules`` while it runs: real sites import it in a
circle. Whatever user code raises, also while its classes and variables are looked at (``reading.py``), becomes a
SystemLoadError with its traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from guardian.core.graph import SystemFacts
from guardian.errors import Interrupted, SystemLoadError
from guardian.state import GuardState
from guardian.worker import field, source
from guardian.worker.faults import describe, user_traceback
from guardian.worker.finding import find
from guardian.worker.reading import read


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A system that has been loaded: its module, its state classes by name, and the facts the host needs."""

    module: ModuleType
    states: Mapping[str, type[GuardState]]
    facts: SystemFacts


def prepare(paths: Sequence[str]) -> None:
    """From now on this process finds what lies in these folders, and reads it as user code."""
    sys.path = [*paths, *(p for p in sys.path if p not in paths)]  # a list again, if user code made it something else
    source.install(paths)
    field.provide_ezca()


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
    prepare(paths)
    before = source.imported().keys()
    try:
        module = _import(node, file, paths)
        usercode = _usercode(source.imported().keys() - before, paths, file)
        states, facts = read(module, node, file, usercode, indices or {})
        facts = replace(facts, warnings=(*source.warnings(), *facts.warnings))
        return System(module=module, states=states, facts=facts)
    except SystemLoadError:
        raise
    except BaseException as error:
        raise SystemLoadError(f"{node}: {describe(error)}", user_traceback(error)) from None


def _import(node: str, file: Path, paths: Sequence[str]) -> ModuleType:
    alone = "leave its entry in sys.modules alone"
    try:
        module = importlib.import_module(node)
    except BaseException as error:
        what = describe(error) + field.how_to_get(error, paths)
        if isinstance(error, Interrupted):
            what = what.replace("Interrupted", "its import takes too long and was interrupted", 1)
        elif what == f"KeyError: {node!r}":  # Python's own, after the last line
            what = f"{file.name} has taken itself out of sys.modules; {alone}"
        raise SystemLoadError(f"{node}: {what}", user_traceback(error)) from None
    if not issubclass(type(module), ModuleType):
        raise SystemLoadError(f"{node}: {file.name} has put a {type(module).__name__} in its own place; {alone}")
    found = source.file_of(module)
    if found is None or not os.path.exists(found) or not os.path.samefile(found, file):
        other = found or "a built-in one or a folder"
        raise SystemLoadError(f"{node}: Python takes {other} for this module, not {file}. Rename one of them")
    return module


def _usercode(fresh: set[str], paths: Sequence[str], main: Path) -> tuple[str, ...]:
    files = {file for name in fresh if (file := source.file_of(sys.modules.get(name)))}
    return tuple(sorted(f for f in files if f != str(main) and any(f.startswith(p + os.sep) for p in paths)))
