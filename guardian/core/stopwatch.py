"""Times the states of a node by its steps (what is timed: :mod:`guardian.core.durations`). Pure.

What says nothing about a state is not counted: a completion of a stay in which OP was not EXEC, and a state that was
entered and left at the same moment. A stay ends, too, when nobody knows any more where the node is: its worker has died
or was stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from guardian.core.durations import StateTimes
from guardian.core.events import Action, Step
from guardian.enums import Op, Status


class Stopwatch:
    """Times one node, by its steps.

    Attributes
    ----------
    times : by state. A value is never changed, but replaced: a copy of the dict is a moment of all of it.
    """

    def __init__(self, times: Mapping[str, StateTimes] | None = None) -> None:
        self.times: dict[str, StateTimes] = dict(times or {})
        self._state = ""  # "": the node is nowhere
        self._since = 0.0
        self._complete = False
        self._odd = False  # OP was not EXEC
        self._changed = False

    def hear(self, actions: Iterable[Action], *, complete: bool, now: float) -> bool:
        """What the automaton has answered. Whether something was learnt.

        Parameters
        ----------
        complete : whether the present stay has completed. now : monotonic seconds.
        """
        self._changed = False
        for action in actions:
            if isinstance(action, Step):
                self._step(action, now)
        if complete and not self._complete:
            self._completed(now)
        return self._changed

    def leave(self) -> None:
        """The node is nowhere from now on, and how long it was where it was says nothing: its host ends it."""
        self._state = ""

    def _step(self, step: Step, now: float) -> None:
        view = step.view
        if step.kind == "enter":
            if step.via is Status.EDGE and not self._complete:
                self._completed(now)
            self._left(now)
            self._state, self._since = view.state, now
            self._complete = self._odd = False
        elif step.kind == "load" and view.graph is not None:
            for gone in self.times.keys() - view.graph.states.keys():
                del self.times[gone]
                self._changed = True
        if not view.known:
            self._left(now)
        self._odd = self._odd or view.op is not Op.EXEC

    def _completed(self, now: float) -> None:
        self._complete = True
        if self._state and not self._odd:
            known = self.times.get(self._state, StateTimes())
            self._put(replace(known, done=known.done.and_one(max(0.0, now - self._since))))

    def _left(self, now: float) -> None:
        if self._state and now > self._since:
            known = self.times.get(self._state, StateTimes())
            self._put(replace(known, stay=known.stay.and_one(now - self._since)))
        self._state = ""

    def _put(self, times: StateTimes) -> None:
        self.times[self._state] = times
        self._changed = True
