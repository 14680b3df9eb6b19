"""Finds names of user code that nearly mean something: ``pre_exc``, ``mian``, ``inex``, ``watchdgo``.

Python takes any name, and a hook that is misspelt is never called. But a name that only looks like one may be meant, so
it is told of only if nothing in the sources asks for it, if the class does not have the right one too, and if it is
of the right kind: a method, or a value that the attribute may have.

How near is near depends on the length: ``gain`` is no misspelt ``main``. In short names two letters may be swapped, one
doubled, or capitals be used; in long ones any one letter may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, ModuleType

from guardian.core.advice import Misspelt
from guardian.state import GuardState, GuardStateDecorator
from guardian.worker.syntax import Sources, class_name, is_a, mro, own

METHODS = ("main", "run")
HOOKS = ("pre_exec", "post_exec")
#: Names from this length on may have any letter wrong.
LONG = 5


def _is_method(value: object) -> bool:
    return is_a(value, FunctionType) or is_a(value, GuardStateDecorator)


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_number(value: object) -> bool:
    return type(value) is int


def _is_time(value: object) -> bool:
    return type(value) in (int, float)


_STATE: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(METHODS, _is_method),
    **dict.fromkeys(("request", "goto", "redirect"), _is_flag),
    "index": _is_number,
    "watchdog": _is_time,
}
#: Variables of a module that mean something to nobody but us.
_VARIABLES: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("watchdog", "redirect_timeout"), _is_time),
    "reactive": _is_flag,
}
_DECORATOR: dict[str, Callable[[object], bool]] = dict.fromkeys(HOOKS, _is_method)


def misspelt(states: Mapping[str, type], others: Iterable[type], sources: Sources) -> Iterator[Misspelt]:
    """The names in question, each class once.

    Parameters
    ----------
    others : classes among which decorators are looked for.
    """
    names = {id(cls): name for name, cls in states.items()}
    for cls in {id(base): base for top in (*states.values(), *others) for base in mro(top)}.values():
        if issubclass(cls, GuardState):
            table = _STATE
        elif issubclass(cls, GuardStateDecorator):
            table = _DECORATOR
        else:
            continue
        members = own(cls)
        for name, value in list(members.items()):
            meant = next((m for m, fits in table.items() if fits(value) and is_near(name, m)), None)
            if meant is not None and meant not in members and not sources.loads(name):
                owner = class_name(cls)
                where = sources.place_of(owner, name)
                yield Misspelt(owner=names.get(id(cls), owner), name=name, meant=meant, where=where)


def misspelt_variables(module: ModuleType, sources: Sources) -> Iterator[Misspelt]:
    """The variables of a system module that are in question."""
    members = vars(module)
    for name, value in list(members.items()):
        meant = next((m for m, fits in _VARIABLES.items() if fits(value) and is_near(name, m)), None)
        if meant is not None and meant not in members and not sources.reads(name):
            where = sources.place_of_variable(name)
            yield Misspelt(owner=module.__name__, name=name, meant=meant, where=where)


def is_near(name: str, meant: str) -> bool:
    """Whether one who wrote `name` may have meant `meant`."""
    if (
        name == meant
        or name in _STATE
        or name in _DECORATOR
        or name in _VARIABLES
        or name.startswith("_")
        or name.endswith("_")
    ):
        return False
    a, b = name.lower().replace("_", ""), meant.replace("_", "")
    if a == b or (meant in HOOKS and a.startswith(b)):
        return True
    head = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[head:], b[head:]
    tail = next((i for i, (x, y) in enumerate(zip(a[::-1], b[::-1], strict=False)) if x != y), min(len(a), len(b)))
    before, a, b = meant.replace("_", "")[:head], a[: len(a) - tail], b[: len(b) - tail]
    swapped = len(a) == len(b) == 2 and a == b[::-1]
    doubled = len(a) == 1 and not b and before.endswith(a)
    return swapped or doubled or (len(meant) >= LONG and len(a) <= 1 and len(b) <= 1 and not a.isdigit())
