"""What users subclass: states, their timers, and decorators of their methods.

A leaf floor: nothing here knows of processes, Channel Access or the automaton, so user modules stay importable
anywhere. All set-up happens in ``__init__`` because real modules override it and call ``super().__init__(logfunc)``.
"""

from __future__ import annotations

import functools
import time
import types
from collections.abc import Callable
from typing import Any

Log = Callable[..., None]


class Timers:
    """The timers of one state entry: ``timer['x'] = 5`` starts, ``timer['x']`` is False until 5 s have passed.

    Clocks are compared when a timer is read (R18), because user code waits on timers inside one call.
    """

    def __init__(self, logfunc: Log | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = logfunc
        self._clock = clock
        self._due: dict[Any, float] = {}
        self._told: set[Any] = set()

    def __setitem__(self, name: Any, seconds: float) -> None:
        """Start timer `name`; `seconds` may be any number, zero or less expires at once."""
        self._due[name] = self._clock() + float(seconds)
        self._told.discard(name)
        if self._log is not None:
            self._log(f"timer[{name!r}] = {seconds}")

    def __getitem__(self, name: Any) -> bool:
        """True once timer `name` has expired, and from then on.

        Raises
        ------
        KeyError
            The timer was never set in this entry of the state.
        """
        try:
            due = self._due[name]
        except KeyError:
            known = ", ".join(map(repr, self._due)) or "none"
            raise KeyError(f"timer {name!r} was not set in this state (set here: {known})") from None
        expired = self._clock() >= due
        if expired and name not in self._told:
            self._told.add(name)
            if self._log is not None:
                self._log(f"timer[{name!r}] done")
        return expired

    def __contains__(self, name: Any) -> bool:
        return name in self._due


class GuardState:
    """One state of a system. Subclass it; the name bound in the module is the state's name.

    ``main()`` is called once on entry, then ``run()`` 16 times a second. Either may return

    * a ``str``: jump to the state of that name at once;
    * something true: the state is complete;
    * ``None`` or something false: not yet.

    Attributes
    ----------
    index : int or None
        The number shown in STATE_N. Unique in a system. None: numbered automatically (R20).
    request : bool
        Whether the state appears in the menu of requests. Any state may be requested.
    goto : bool or int
        True adds an edge from every other state to this one; an int is that edge's weight (R19).
    redirect : bool
        False: the state must complete before a redirect may leave it (R8).
    watchdog : float or None
        Seconds that a call of ``main()`` or ``run()`` may last; one that lasts longer has hung, and is killed with its
        process. None: any time. Without it, the ``watchdog`` of the module counts.
    timer : Timers
        ``self.timer['x'] = 5`` starts a timer of five seconds, ``self.timer['x']`` tells whether it is over.
    """

    index: int | None = None
    request: bool = True
    goto: bool | int = False
    redirect: bool = True

    def __init__(self, logfunc: Log | None = None) -> None:
        self.timer = Timers(logfunc)

    def main(self) -> Any:
        """Called once on entry."""
        return None

    def run(self) -> Any:
        """Called every cycle after main()."""
        return True


class GuardStateDecorator:
    """Code around ``main()`` or ``run()``. Subclass it, define ``pre_exec``, and put ``@YourName`` on a method.

    What ``pre_exec`` returns, if not None, replaces the method, which is then not called; a ``str`` is a jump.
    What ``post_exec`` returns, if not None, replaces the method's return value. ``self.state`` is the state whose
    method is called, and names unknown to the decorator are looked up there. On a class, the decorator wraps its
    ``main`` and ``run``. Stacked decorators run outermost first.
    """

    state: Any = None
    func: Callable[..., Any]

    def __new__(cls, target: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(target, type):
            for name in ("main", "run"):
                setattr(target, name, cls(getattr(target, name)))
            return target
        return super().__new__(cls)

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        functools.update_wrapper(self, func, updated=())  # the inner decorator keeps its own attributes

    def pre_exec(self) -> Any:
        """Called before the method; anything but None takes its place."""
        return None

    def post_exec(self) -> Any:
        """Called after the method; anything but None replaces what it returned."""
        return None

    def __call__(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        outer, self.state = self.state, state
        try:
            value = self.pre_exec()
            if value is not None:
                return value
            value = self.func(state, *args, **kwargs)
            replaced = self.post_exec()
            return value if replaced is None else replaced
        finally:
            self.state = outer

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__.get("state")
        if state is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} decorator has no attribute {name!r}")
        return getattr(state, name)
