"""Reads what the source of a system says beyond its graph: where it jumps, how long it sleeps, what it misspells.

The classes come from the module that was loaded, so factories, inheritance and star imports need no understanding; what
their methods do is read in the sources (`pieces.py`). No user code is run, and whatever cannot be read is left out.

Invariants
----------
* A :class:`Jump` is certain: the method returns that text whenever it gets to that line. A state that inherits a
  method, or has a decorator on it, has its jumps.
* A state that code may lead to in a way that is not understood is ``mentioned``, or every state is.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from guardian.access.manager import NodeManager
from guardian.core.advice import ImportRead, Jump, Sleep, SourceFacts
from guardian.core.graph import SystemFacts
from guardian.state import GuardStateDecorator
from guardian.worker.faults import PYTHONS, is_ours
from guardian.worker.pieces import UNKNOWN, Piece
from guardian.worker.spelling import HOOKS, METHODS, misspelt, misspelt_variables
from guardian.worker.syntax import Sources, class_name, is_a, mro, own
from guardian.worker.system import System

#: How many calls deep a jump, or a sleep, is followed, and how many decorators on top of each other.
CALLS = 3
STACKED = 20
#: Shorter texts are not taken for parts of a state's name.
SHORTEST_PART = 3
T = TypeVar("T")
_FILLED_IN = re.compile(r"[%{]")


def survey(system: System, reads: Sequence[ImportRead]) -> tuple[SystemFacts, SourceFacts]:
    """Read the source of a system that has been loaded: its facts, now with the lines of its classes, and the rest.

    Parameters
    ----------
    reads : the channels that were used while it was imported; they are handed on.
    """
    files = (system.facts.module, *system.facts.usercode)
    sources = Sources(files)
    modules = [m for m in list(sys.modules.values()) if inspect.getattr_static(m, "__file__", None) in files]
    seen = _Survey(sources)
    for name, cls in system.states.items():
        for method in METHODS:
            seen.method(name, cls, method)
    states = (replace(s, source=sources.place_of_class(system.states[s.name], s.source)) for s in system.facts.states)
    warnings = (_placed(warning, sources) for warning in system.facts.warnings)
    return replace(system.facts, states=tuple(states), warnings=tuple(warnings)), SourceFacts(
        jumps=tuple(seen.jumps),
        sleeps=tuple(seen.sleeps),
        misspelt=(
            *misspelt(system.states, [*seen.decorators, *_all_of(type, modules)], sources),
            *(it for m in modules if m.__file__ == system.facts.module for it in misspelt_variables(m, sources)),
        ),
        reads=tuple(reads),
        unnumbered=tuple(n for n, cls in system.states.items() if inspect.getattr_static(cls, "index", 0) is None),
        mentioned=tuple(_mentioned([state.name for state in system.facts.states], sources)),
        managed=tuple(dict.fromkeys(_managed(modules))),
    )


def _placed(warning: str, sources: Sources) -> str:
    """ "SUS.py:3 nominal = 'UP' names no state": a warning of a variable, with its place in front."""
    variable, equals, _ = warning.partition(" = ")
    place = sources.place_of_variable(variable) if equals else ""
    return f"{place} {warning}" if place else warning


def _managed(modules: Iterable[object]) -> Iterator[str]:
    """The nodes of the managers that modules have; a class of the user's own may have made no list of them."""
    for manager in _all_of(NodeManager, modules):
        yield from vars(manager).get("_nodes", ())


def _all_of(kind: type[T], modules: Iterable[object]) -> Iterator[T]:
    """The variables of modules that are of a kind."""
    for module in modules:
        if is_a(module, ModuleType):
            names: dict[str, Any] = object.__getattribute__(module, "__dict__")
            yield from (value for value in names.values() if is_a(value, kind))


class _Survey:
    """Goes through the methods of the states, and collects what it meets."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.jumps: dict[Jump, None] = {}
        self.sleeps: dict[Sleep, None] = {}
        self.decorators: list[type] = []

    def method(self, state: str, cls: type, method: str) -> None:
        """One method of a state, with the hooks of the decorators on it."""
        for label, piece in self._member(cls, method):
            for to, where in self._texts(piece):
                self.jumps[Jump(state=state, method=label, to=to, where=where)] = None
            for seconds, where in self._naps(piece):
                self.sleeps[Sleep(state=state, method=label, seconds=seconds, where=where)] = None

    def _member(self, cls: type, name: str, after: type | None = None) -> Iterator[tuple[str, Piece]]:
        """What is called as ``name`` of a class, or of the bases behind `after`: hooks first, then the function."""
        bases = mro(cls)
        if after is not None:
            bases = tuple(itertools.dropwhile(lambda base: base is not after, bases))[1:]
        owner = next((base for base in bases if name in own(base)), None)
        member = None if owner is None else own(owner)[name]
        for _ in range(STACKED):
            if not is_a(member, GuardStateDecorator):
                break
            kind = type(member)
            if inspect.getattr_static(kind, "__call__") is not GuardStateDecorator.__call__:
                return  # it does what it likes with hooks, and with what the method returns
            self.decorators.append(kind)
            for hook in HOOKS:
                for label, piece in self._member(kind, hook):
                    yield f"{class_name(kind)}.{label}", piece
                    if hook == "pre_exec" and piece.replaces():
                        return  # what it stands on is never called
            member = inspect.getattr_static(member, "func", None)
        yield from ((name, piece) for piece in self._piece(member, cls, owner))

    def _piece(self, function: Any, cls: type | None = None, owner: type | None = None) -> Iterator[Piece]:
        if is_a(function, FunctionType) and not is_ours(function.__code__.co_filename):
            node = self._sources.find(function)
            if node is not None:
                yield Piece(function=function, node=node, sources=self._sources, cls=cls, owner=owner)

    def _called(self, piece: Piece, call: ast.Call) -> Iterator[Piece]:
        """The functions of user code that a call leads to, where that is certain."""
        match call.func:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name) if (
                piece.cls is not None and piece.owner is not None
            ):
                yield from (found for _, found in self._member(piece.cls, name, after=piece.owner))
            case ast.Attribute(value=home, attr=name) if not self._sources.sets(name):
                there: Any = piece.cls if piece.is_self(home) else piece.find(home)
                if is_a(there, type):
                    yield from (found for _, found in self._member(there, name))
                elif is_a(there, ModuleType):
                    yield from self._function(piece.find(call.func))
            case ast.Name():
                yield from self._function(piece.find(call.func))

    def _function(self, function: Any) -> Iterator[Piece]:
        """Of a module; what Python's own return is not meant for guardian."""
        if is_a(function, FunctionType) and not function.__code__.co_filename.startswith(PYTHONS):
            yield from self._piece(function)

    def _texts(self, piece: Piece, depth: int = CALLS) -> Iterator[tuple[str, str]]:
        """The texts that a function returns, each with the line that does it."""
        for value in piece.returns():
            for node, if_true in _outcomes(value):
                if isinstance(node, ast.Call):
                    called = self._called(piece, node) if depth else ()
                    found = [text for function in called for text in self._texts(function, depth - 1)]
                else:
                    text = piece.fold(node)
                    found = [(text, piece.where(value))] if is_a(text, str) else []
                yield from ((text, where) for text, where in found if text or not if_true)

    def _naps(self, piece: Piece) -> Iterator[tuple[float, str]]:
        """The sleeps of a function, and of those that it calls, each with its line."""
        todo, done = [(piece, CALLS)], set()
        while todo:
            here, depth = todo.pop()
            if here.function in done:
                continue
            done.add(here.function)
            for call in here.calls():
                if here.find(call.func) is time.sleep:
                    seconds = here.fold(call.args[0]) if call.args else UNKNOWN
                    if (type(seconds) is int or type(seconds) is float) and math.isfinite(seconds):
                        yield float(seconds), here.where(call)
                elif depth:
                    todo += [(called, depth - 1) for called in self._called(here, call)]


def _outcomes(node: ast.expr) -> Iterator[tuple[ast.expr, bool]]:
    """The expressions that give an expression its value, and whether they do so only if they are true."""
    todo = [(node, False)]
    while todo:
        node, if_true = todo.pop()
        match node:
            case ast.IfExp(body=body, orelse=orelse):
                todo += [(body, if_true), (orelse, if_true)]
            case ast.BoolOp(op=op, values=[*others, last]):
                todo += [(other, True) for other in others if isinstance(op, ast.Or)]
                todo.append((last, if_true))
            case ast.NamedExpr(value=value):
                todo.append((value, if_true))
            case _:
                yield node, if_true


def _mentioned(names: Sequence[str], sources: Sources) -> Iterator[str]:
    """The states whose names, or the beginnings or ends of whose names, are texts of the code."""
    texts = {text for tree in sources.trees for text in tree.mentions()}
    # "LOCK_", "LOCK_%d", f"STAGE{n}", and so on: what names are made of
    heads = {head for text in texts if len(head := _FILLED_IN.split(text)[0]) >= SHORTEST_PART}
    tails = tuple(text for text in texts if len(text) >= SHORTEST_PART and text.startswith("_"))
    for name in names:
        made = any(name[:end] in heads and _joint(name, end) for end in range(SHORTEST_PART, len(name)))
        if not sources.whole or name in texts or made or name.endswith(tails):
            yield name


def _joint(name: str, end: int) -> bool:
    """Whether a name may be made of two parts there."""
    return name[end - 1] == "_" or name[end:].isdigit()
