"""The source of user code as syntax trees: where a function stands in it, what it returns, what a name in it is.

Read, never run: names are looked up in the dictionaries of modules, closures and classes, and a value counts only if it
is a plain text or number that nothing in the sources ever changes. What is not certain is not there: `UNKNOWN`.

Sources may be missing, or not be those that were loaded; then there are no trees and nothing is said.
"""

from __future__ import annotations

import ast
import inspect
import operator
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from guardian.worker.faults import plain_str

UNKNOWN: Any = object()
#: Stands for every name.
ANY = "*"
#: How deep expressions are looked into.
DEPTH = 30
_Function = ast.FunctionDef | ast.Lambda
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_UNARY: dict[type, Callable[..., Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_BINARY: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
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
    functions: dict[tuple[int, str], list[_Function]] = field(default_factory=dict)
    classes: dict[str, list[int]] = field(default_factory=dict)
    stores: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, file: str) -> Tree | None:
        """None: there is no such file, or nothing in it that can be read."""
        try:
            with tokenize.open(file) as source:
                tree = cls(root=_parse(source.read()))
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
                if not isinstance(statement, _NESTED):
                    lines += [statement.lineno] * (name in _defined(statement))
                    blocks += _blocks(statement)
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


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except TabError:
        return ast.parse(text.expandtabs(8))


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

    def find(self, function: FunctionType) -> _Function | None:
        """The definition of a function; None also for generators and coroutines, whose ``return`` is no return."""
        code = function.__code__
        if code.co_flags & _GENERATORS or (tree := self.tree(code.co_filename)) is None:
            return None
        found = tree.functions.get((code.co_firstlineno, code.co_name), ())
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A function of user code as it is called: ``cls`` is the class of ``self``, ``owner`` the one that defines it."""

    function: FunctionType
    node: _Function
    sources: Sources
    cls: type | None = None
    owner: type | None = None

    def where(self, node: ast.AST) -> str:
        return f"{Path(self.function.__code__.co_filename).name}:{getattr(node, 'lineno', self.node.lineno)}"

    def returns(self) -> Iterator[ast.expr]:
        """What stands behind each ``return`` that can be reached."""
        if isinstance(self.node, ast.Lambda):
            yield self.node.body
        for statement in self._statements():
            if isinstance(statement, ast.Return) and statement.value is not None:
                yield statement.value

    def replaces(self) -> bool:
        """Whether each call of it returns a text or a number."""
        returns = [statement for statement in self._statements() if isinstance(statement, ast.Return)]
        at_its_end = not isinstance(self.node, ast.Lambda) and self.node.body[-1] in returns
        return at_its_end and all(r.value is not None and self.fold(r.value) is not UNKNOWN for r in returns)

    def calls(self) -> Iterator[ast.Call]:
        """The calls that can be reached, those of inner functions left out."""
        todo: list[ast.AST] = [self.node.body] if isinstance(self.node, ast.Lambda) else []
        for statement in self._statements():
            todo += [n for n in ast.iter_child_nodes(statement) if isinstance(n, (ast.expr, ast.withitem))]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Call):
                yield node
            if not isinstance(node, _NESTED):
                todo += ast.iter_child_nodes(node)

    def _statements(self) -> Iterator[ast.stmt]:
        """Not what stands behind a ``return``, or under ``if False``, and no inner functions."""
        blocks = [] if isinstance(self.node, ast.Lambda) else [self.node.body]
        while blocks:
            for statement in blocks.pop():
                if not isinstance(statement, _NESTED):
                    yield statement
                    blocks += _blocks(statement)
                if isinstance(statement, (ast.Return, ast.Raise, ast.Continue, ast.Break)):
                    break

    def is_self(self, node: ast.expr) -> bool:
        first = [*self.node.args.posonlyargs, *self.node.args.args][:1]
        return self.cls is not None and isinstance(node, ast.Name) and [arg.arg for arg in first] == [node.id]

    def find(self, node: ast.expr, depth: int = DEPTH) -> Any:
        """The object that a name, or an attribute of a module, of a class or of ``self``, stands for."""
        if isinstance(node, ast.Name):
            return self._variable(node.id)
        if not isinstance(node, ast.Attribute) or self.sources.sets(node.attr) or depth == 0:
            return UNKNOWN
        home = self.cls if self.is_self(node.value) else self.find(node.value, depth - 1)
        if is_a(home, ModuleType) or (is_a(home, type) and not self.sources.sets(ANY)):
            return inspect.getattr_static(home, node.attr, UNKNOWN)
        return UNKNOWN

    def _variable(self, name: str) -> Any:
        code = self.function.__code__
        if name in code.co_varnames + code.co_cellvars or self.sources.sets(name):
            return UNKNOWN
        if name not in code.co_freevars:
            return self.function.__globals__.get(name, UNKNOWN)
        try:
            return (self.function.__closure__ or ())[code.co_freevars.index(name)].cell_contents
        except (ValueError, IndexError):  # it has no value yet
            return UNKNOWN

    def fold(self, node: ast.expr, depth: int = DEPTH) -> Any:
        """The text or number that an expression always has, else UNKNOWN."""
        if depth == 0:
            return UNKNOWN
        match node:
            case ast.Constant(value=value):
                return _plain(value)
            case ast.Name(id=name) if (assigned := self._assigned(name)) is not None:
                return self.fold(assigned, depth - 1)
            case ast.Name() | ast.Attribute():
                return _plain(self.find(node))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return _compute(_UNARY[type(op)], self.fold(operand, depth - 1))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _compute(_BINARY[type(op)], self.fold(left, depth - 1), self.fold(right, depth - 1))
        return UNKNOWN

    def _assigned(self, name: str) -> ast.expr | None:
        """What stands in ``name = ...``, if that is all that happens to a variable of the function."""
        code = self.function.__code__
        if name not in code.co_varnames[_parameters(code) :]:
            return None
        stores = [
            n
            for n in ast.walk(self.node)
            if isinstance(n, ast.Name) and n.id == name and not isinstance(n.ctx, ast.Load)
        ]
        found = [s for s in self._statements() if isinstance(s, ast.Assign) and s.targets == stores]
        return found[0].value if found else None


def _parameters(code: CodeType) -> int:
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + stars


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of a compound statement, but those that never run."""
    match statement:
        case ast.If(test=ast.Constant(value=value), body=body, orelse=orelse):
            return [body if value else orelse]
        case ast.While(test=ast.Constant(value=value), body=body, orelse=orelse):
            return [body] if value else [orelse]
    parts = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
    return [block for part in parts for name in ("body", "orelse", "finalbody") if (block := getattr(part, name, None))]


def _plain(value: object) -> Any:
    """A text or number of Python itself; a text may be of an enum."""
    if is_a(value, str):
        return plain_str(value)  # type: ignore[arg-type]
    return value if any(type(value) is kind for kind in (int, float, bool)) else UNKNOWN


def _compute(operation: Callable[..., Any], *operands: Any) -> Any:
    """Sums of texts, and arithmetics of numbers."""
    kinds = {is_a(operand, str) for operand in operands}
    if UNKNOWN in operands or len(kinds) > 1 or (kinds == {True} and operation is not operator.add):
        return UNKNOWN
    try:
        return operation(*operands)
    except ArithmeticError:
        return UNKNOWN
