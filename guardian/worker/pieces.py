"""Functions of user code as they are called: what they return, what they call, and what stands for what in them.

Read, never run: names are looked up in the dictionaries of modules, closures and classes, and a value counts only if it
is a plain text or number that nothing in the sources ever changes. What is not certain is not there: `UNKNOWN`.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from guardian.worker.faults import plain_str
from guardian.worker.syntax import ANY, NESTED, Function, Sources, blocks_of, is_a

UNKNOWN: Any = object()
#: How deep expressions are looked into.
DEPTH = 30
_UNARY: dict[type, Callable[..., Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_BINARY: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A function of user code as it is called: ``cls`` is the class of ``self``, ``owner`` the one that defines it."""

    function: FunctionType
    node: Function
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
            if not isinstance(node, NESTED):
                todo += ast.iter_child_nodes(node)

    def _statements(self) -> Iterator[ast.stmt]:
        """Not what stands behind a ``return``, or under ``if False``, and no inner functions."""
        blocks = [] if isinstance(self.node, ast.Lambda) else [self.node.body]
        while blocks:
            for statement in blocks.pop():
                if not isinstance(statement, NESTED):
                    yield statement
                    blocks += blocks_of(statement)
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
