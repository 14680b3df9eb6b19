"""The code that a worker runs: loaded once, and exchanged at a LOAD (R11), all of it or nothing.

An exchange forgets the modules of the user, imports the system anew, and gives the living instance of the present state
its new class, so that what it holds stays. If anything of that fails, the modules, the names in builtins, ``sys.path``
and the class of the instance are as they were, and the old code runs on. What is installed is never forgotten, nor is
what the new code has imported of it.

What the old code leaves behind is told by ``leftovers.py``.
"""

from __future__ import annotations

import builtins
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MemberDescriptorType

from guardian.access.channels import Channels
from guardian.core.graph import automatic_indices
from guardian.errors import Interrupted, SystemLoadError
from guardian.state import GuardState
from guardian.worker import namespace, source, system
from guardian.worker.faults import describe, user_traceback
from guardian.worker.link import Load
from guardian.worker.system import System

Importing = Callable[[], AbstractContextManager[None]]


class Code:
    """The code of one system.

    Parameters
    ----------
    order : what to load. channels : told the prefix. stopped : whether the worker is to end; it may be interrupted for
        that, and for nothing else. importing : held while user code is imported.
    """

    def __init__(
        self, order: Load, channels: Channels, stopped: Callable[[], bool], importing: Importing = nullcontext
    ) -> None:
        self._order = order
        self._channels = channels
        self._stopped = stopped
        self._importing = importing
        self._indices = dict(order.indices)

    def load(self) -> System:
        """Import the system.

        Raises
        ------
        SystemLoadError
            The fault is the module's; ``details`` holds the user's traceback.
        Interrupted
            The worker is to end.
        """
        loaded = self._import()
        self._follow(loaded)
        return loaded

    def _follow(self, loaded: System) -> None:
        """What the variables of the module say about channels."""
        self._channels.use_prefix(loaded.facts.prefix)
        self._channels.wake(loaded.facts.reactive is True)

    def _import(self) -> System:
        if self._stopped():
            raise Interrupted
        self._channels.calling()
        try:
            with self._channels.without_prefix(), self._importing():
                loaded = system.load(self._order.node, self._order.paths, self._indices)
        except SystemLoadError:
            if self._stopped():  # whatever the module made of the interrupt, it is no fault of it
                raise Interrupted from None
            raise
        self._indices |= automatic_indices(loaded.facts.states)
        return loaded

    def exchange(self, state: str, instance: GuardState | None) -> tuple[System, GuardState | None]:
        """Import the system anew.

        Returns
        -------
        System
        GuardState or None
            `instance` with the new class of `state`; None where there was none, or there is no such state any more.

        Raises
        ------
        SystemLoadError, Interrupted
            As :meth:`load`; everything is as it was.
        """
        before = type(instance)
        with _all_or_nothing():
            if self._order.node not in source.modules():
                raise SystemLoadError(
                    f"{self._order.node}: its file counts as installed (site-packages), and what is installed is never "
                    "read anew; OP=STOP, then OP=EXEC, starts a worker that reads it"
                )
            _forget()
            namespace.renew()
            fresh = self._import()
            try:
                lives_on = instance is not None and state in fresh.states
                converted = _convert(instance, fresh.states[state]) if lives_on else None
            except BaseException as error:
                if instance is not None:
                    object.__setattr__(instance, "__class__", before)
                what = f"the living instance of {state} cannot get its new class: {describe(error)}"
                raise SystemLoadError(f"{self._order.node}: {what}", user_traceback(error)) from None
            # What the module appends to it, it appends at every load. Anything may be in it.
            sys.path = [p for at, p in enumerate(sys.path) if p not in sys.path[:at]]
        self._follow(fresh)
        self._channels.renewed()
        return fresh, converted


def _forget() -> None:
    for name in source.modules():
        sys.modules.pop(name, None)


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    modules, names, path, lines = dict(sys.modules), dict(vars(builtins)), list(sys.path), dict(linecache.cache)
    try:
        yield
    except BaseException:
        _forget()
        sys.modules.update(modules)
        for name in vars(builtins).keys() - names.keys():
            del vars(builtins)[name]
        vars(builtins).update(names)
        sys.path = path
        linecache.cache.clear()
        linecache.cache.update(lines)
        raise


def _convert(instance: GuardState | None, new: type[GuardState]) -> GuardState | None:
    """The instance with that class; a new object with the same data where Python lays the two out differently."""
    try:
        object.__setattr__(instance, "__class__", new)
    except TypeError:
        other, state = new.__new__(new), object.__getstate__(instance)
        data, slots = state if isinstance(state, tuple) else (state, {})
        for name, value in {**(data or {}), **slots}.items():
            if isinstance(getattr(new, name, None), MemberDescriptorType):
                object.__setattr__(other, name, value)
            else:
                vars(other)[name] = value
        return other
    return instance
