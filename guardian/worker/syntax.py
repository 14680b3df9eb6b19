"""The source of user code as syntax trees: where things stand in it, and which names it sets and asks for.

Sources may be missing, or not be those that were loaded; then there are no trees and nothing is said. Classes of user
code are looked at without their metaclasses, which may be user code too.
"""

from __future__ import annotations

import ast
import inspect
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from guardian.worker.faults import plain_str
from guardian.worker.source import without_tabs

#: Stands for every name.
ANY = "*"
Function = ast.FunctionDef | ast.Lambda
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
#: Variables of a module that name states without leading to them.
_NAMING = {"edges", "request", "nominal"}


def is_a(value: object, kind: type) -> bool:
    """As isinstance, but ``value.__class__`` is not asked: it may be user code. So may ``==`` between classes."""
    return issubclass(type(value), kind)


def mro(cls: type) -> tuple[type, ...]:
    """A class and its bases, whatever its metaclass says."""
    return tuple(type.__dict__["__mro__"].__get__(cls))


def own(cls: type) -> dict[str, Any]:
    """What is defined in a class itself."""
    return dict(type.__dict__["__dict__"].__get__(cls))


def class_name(cls: type) -> str:
    return plain_str(type.__dict__["__name__"].__get__(cls))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One file. ``loads``: the attributes that its code asks for. ``stores``: those that it sets, and the variables of
    outer scopes; ANY where it may set any. ``classes``: the lines of the classes of a name.
    """

    root: ast.Module
    functions: dict[tuple[int, str], list[Function]] = field(default_factory=dict)
    classes: dict[str, list[int]] = field(default_factory=dict)
    stores: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, file: str) -> Tree | None:
        """None: there is no such file, or nothing in it that can be read."""
        try:
            with tokenize.open(file) as source:
                tree = cls(root=_parse(source.read(), file))
            for node in ast.walk(tree.root):
                tree._note(node)
            return tree
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.FunctionDef(name=name, decorator_list=decorators):
                first = min([node.lineno, *(d.lineno for d in decorators)])
                self.functions.setdefault((first, name), []).append(node)
            case ast.ClassDef(name=name):
                self.classes.setdefault(name, []).append(node.lineno)
            case ast.Lambda():
                self.functions.setdefault((node.lineno, "<lambda>"), []).append(node)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                self.stores.update(names)
            case ast.Attribute(attr=name, ctx=ast.Load()):
                self.loads.add(name)
            case ast.Name(id=name, ctx=ast.Load()):
                self.names.add(name)
            case ast.Attribute(attr=name):
                self.stores.add(name)
            case ast.Call(func=ast.Name(id="setattr"), args=[_, name, *_]):
                self.stores.add(_text(name) or ANY)
            case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, name, *_]):
                self.loads.add(_text(name))

    def mentions(self) -> Iterator[str]:
        """All texts but those in the statements that say which edges there are, and what the request is."""
        for statement in self.root.body:
            if not _names_states(statement):
                yield from filter(None, map(_text, ast.walk(statement)))

    def line_of_edge(self, start: str, end: str) -> int | None:
        """Where ``('START', 'END')`` stands, as it is or with a weight."""
        for node in ast.walk(self.root):
            if isinstance(node, (ast.Tuple, ast.List)) and [*map(_text, node.elts[:2])] == [start, end]:
                return node.lineno
        return None

    def line_of_variable(self, name: str) -> int | None:
        """Where the module gives a variable its value, for the last time."""
        lines, blocks = [], [self.root.body]
        while blocks:
            for statement in blocks.pop():
                if not isinstance(statement, NESTED):
                    lines += [statement.lineno] * (name in _defined(statement))
                    blocks += blocks_of(statement)
        return max(lines, default=None)

    def line_of(self, owner: str, name: str) -> int | None:
        """Where a class of that name defines `name`."""
        for node in ast.walk(self.root):
            for statement in node.body if isinstance(node, ast.ClassDef) and node.name == owner else ():
                if name in _defined(statement):
                    return statement.lineno
        return None


def _defined(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        case ast.AugAssign(target=ast.Name(id=name)) | ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _parse(text: str, file: str) -> ast.Module:
    try:
        return ast.parse(text)
    except TabError:
        return ast.parse(without_tabs(text, file))


def _names_states(statement: ast.stmt) -> bool:
    """``edges = ...``, ``edges += ...``, ``edges.append(...)``, ``request = ...``."""
    match statement:
        case ast.Assign(targets=targets):
            pass
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            targets = [target]
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=target))):
            targets = [target]
        case _:
            targets = []
    return any(isinstance(target, ast.Name) and target.id in _NAMING for target in targets)


def blocks_of(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of a compound statement, but those that never run."""
    match statement:
        case ast.If(test=ast.Constant(value=value), body=body, orelse=orelse):
            return [body if value else orelse]
        case ast.While(test=ast.Constant(value=value), body=body, orelse=orelse):
            return [body] if value else [orelse]
    parts = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
    return [block for part in parts for name in ("body", "orelse", "finalbody") if (block := getattr(part, name, None))]


class Sources:
    """The files of a system, each read once. A file that cannot be read has no tree."""

    def __init__(self, files: Iterable[str]) -> None:
        self._trees: dict[str, Tree | None] = {}
        for file in files:
            self.tree(file)

    def tree(self, file: str) -> Tree | None:
        if file not in self._trees:
            self._trees[file] = Tree.read(file)
        return self._trees[file]

    @property
    def trees(self) -> tuple[Tree, ...]:
        return tuple(tree for tree in self._trees.values() if tree)

    @property
    def whole(self) -> bool:
        """Whether every file could be read."""
        return None not in self._trees.values()

    def place_of(self, owner: str, name: str) -> str:
        """ "FILE.py:LINE" where a class defines a name, "" if it was given from outside."""
        return self._place(lambda tree: tree.line_of(owner, name))

    def place_of_edge(self, start: str, end: str) -> str:
        """ "FILE.py:LINE" of an edge, or of the list it is in, "" if it cannot be found."""
        return self._place(lambda tree: tree.line_of_edge(start, end)) or self.place_of_variable("edges")

    def place_of_variable(self, name: str) -> str:
        """ "FILE.py:LINE" where a variable of a module gets its value, "" if it cannot be found."""
        return self._place(lambda tree: tree.line_of_variable(name))

    def _place(self, line_in: Callable[[Tree], int | None]) -> str:
        """The first file counts: the system's own module."""
        return next(
            (f"{Path(f).name}:{line}" for f, tree in self._trees.items() if tree and (line := line_in(tree))), ""
        )

    def place_of_class(self, cls: type, near: str) -> str:
        """ "FILE.py:LINE" of the ``class`` statement; `near` is that of its first method, or "FILE.py"."""
        name, _, line = near.partition(":")
        for file, tree in self._trees.items():
            if tree and Path(file).name == name:
                lines = [at for at in tree.classes.get(class_name(cls), ()) if not line or at <= int(line)]
                if lines and (line or len(lines) == 1):
                    return f"{name}:{max(lines)}"
        return near

    def sets(self, name: str) -> bool:
        """Whether code may set an attribute, or a variable of an outer scope, of that name."""
        return any(name in tree.stores for tree in self.trees)

    def loads(self, name: str) -> bool:
        """Whether code asks for an attribute of that name."""
        return any(name in tree.loads for tree in self.trees)

    def reads(self, name: str) -> bool:
        """Whether code asks for a variable of that name, from wherever it is."""
        return self.loads(name) or any(name in tree.names for tree in self.trees)

    def find(self, function: FunctionType) -> Function | None:
        """The definition of a function; None also for generators and coroutines, whose ``return`` is no return."""
        code = function.__code__
        if code.co_flags & _GENERATORS or (tree := self.tree(code.co_filename)) is None:
            return None
        found = tree.functions.get((code.co_firstlineno, code.co_name), ())
        return found[0] if len(found) == 1 else None
