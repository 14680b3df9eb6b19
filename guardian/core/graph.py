"""The graph of a system: states, weighted edges, and the cheapest path between two states.

Invariants
----------
* A :class:`Graph` is immutable and whole: every edge names two of its states, every index is unique, every weight is
  positive. What breaks this is refused by :meth:`Graph.build`, which lists *every* fault it found (R20).
* Edges carry no code. A goto state adds an implied edge from every other state; a declared edge on the same pair wins
  (R19).
* Equal paths are told apart by the number of edges, then by the smallest indices along the way (R19), so a plan
  never depends on the order of a dict. Weights are compared exactly: 0.1 + 0.2 and 0.3 are the same cost.

Cost: one Dijkstra run per *target*, O(E log V), kept afterwards; each step of a plan is then a dict look-up.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import count

from guardian.core.names import NAME_BYTES
from guardian.core.setpoints import Listed
from guardian.enums import INIT_STATE, NONE_INDEX, NONE_STATE
from guardian.errors import GraphError

#: Indices are CA longs.
INDEX_RANGE = range(-(2**31), 2**31)
#: How many state names a sentence lists before it says "and n more".
LISTED = 6
#: What a host takes from one node; it plans the paths while all the other nodes wait. This is well below a second.
MOST_STATES = 10_000
MOST_EDGES = 100_000

Cost = int | Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class StateInfo:
    """What is known of one state.

    Parameters
    ----------
    index : unique in a graph; None only in what is handed to :meth:`Graph.build`.
    request : whether it stands in the menu of requests.
    goto : weight of the edges implied from every other state; None: not a goto state.
    redirect : whether a redirect may leave it before it completes (R8).
    watchdog_s : seconds after which a call of this state has hung; 0: none ever has; None: as the module says.
    doc : first line of the class's docstring.
    source : "FILE.py:LINE" where the class is defined, "" for the built-in INIT.
    """

    name: str
    index: int | None = None
    request: bool = True
    goto: float | None = None
    redirect: bool = True
    watchdog_s: float | None = None
    doc: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A way from one state to another. ``implied``: it comes from a goto state, nobody wrote it down."""

    start: str
    end: str
    weight: float = 1
    implied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """What a worker tells of the system it has loaded.

    Parameters
    ----------
    states : with all indices assigned.
    edges : the declared ones.
    request, nominal : names of states, or None where the module has none (or one that names no state).
    redirect_timeout_s : seconds the module gives a method to end on a redirect, None: as the site says.
    watchdog_s : seconds after which a call has hung; 0: none ever has; None: as the site says.
    reactive : False: run() is called on the cycle only, never in between; True: also when a channel has changed that
        the last call has read; None: when a request or a node of its own asks for it (R18).
    module : path of the system module. usercode : the user files it pulled in.
    ca_monitor, ca_monitor_notify, ca_channels : of the set-point monitor, see `guardian.access.watch`.
    prefix : channel prefix. warnings : sentences for the log.
    """

    states: tuple[StateInfo, ...]
    edges: tuple[Edge, ...]
    request: str | None = None
    nominal: str | None = None
    redirect_timeout_s: float | None = None
    watchdog_s: float | None = None
    reactive: bool | None = None
    module: str = ""
    usercode: tuple[str, ...] = ()
    prefix: str = ""
    ca_monitor: bool = False
    ca_monitor_notify: bool = False
    ca_channels: tuple[Listed, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Way:
    """The best way from a state to the target it was computed for."""

    cost: Cost
    edges: int
    step: str


@dataclass(frozen=True)
class Graph:
    """States and edges, checked and indexed. Make it with :meth:`build`."""

    states: Mapping[str, StateInfo]
    edges: tuple[Edge, ...]
    _by_index: Mapping[int, str] = field(repr=False)
    _ways: dict[str, dict[str, _Way]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def build(cls, states: Iterable[StateInfo], edges: Iterable[Edge]) -> Graph:
        """Check the parts and put them together.

        Raises
        ------
        GraphError
            Listing every fault: no states, bad names, double or reserved indices, edges that name no state,
            weights that are not positive; or just that there are too many of them.
        """
        listed = list(states)
        declared = list(edges)
        faults = [*_size_faults(listed, declared)]
        faults = faults or [*_state_faults(listed), *_edge_faults(declared, {s.name for s in listed})]
        if faults:
            raise GraphError(faults)
        ordered = {s.name: s for s in sorted(listed, key=_index_of)}
        every = {(e.start, e.end): e for e in declared}
        for goal in ordered.values():
            if goal.goto is None:
                continue
            for start in ordered:
                if start != goal.name and (start, goal.name) not in every:
                    implied = Edge(start=start, end=goal.name, weight=goal.goto, implied=True)
                    every[start, goal.name] = implied
        return cls(ordered, tuple(every.values()), {_index_of(s): s.name for s in ordered.values()})

    def __contains__(self, name: object) -> bool:
        return name in self.states

    def __getitem__(self, name: str) -> StateInfo:
        return self.states[name]

    def index(self, name: str) -> int:
        """The number of a state; -1 for NONE and for names this graph does not have."""
        info = self.states.get(name)
        return NONE_INDEX if info is None else _index_of(info)

    def name(self, index: int) -> str | None:
        """The state of that number, None if there is none."""
        return self._by_index.get(index)

    def is_goto(self, name: str) -> bool:
        return name in self.states and self.states[name].goto is not None

    @property
    def menu(self) -> tuple[str, ...]:
        """The requestable states, by index."""
        return tuple(s.name for s in self.states.values() if s.request)

    def step(self, start: str, end: str) -> str | None:
        """The next state on the cheapest path, `start` itself if it is the end, None if there is no path (R5)."""
        if start == end:
            return start
        way = self._ways_to(end).get(start)
        return None if way is None else way.step

    def path(self, start: str, end: str) -> tuple[str, ...] | None:
        """All states from `start` to `end`, both included; None if there is no path."""
        found = [start]
        while found[-1] != end:
            step = self.step(found[-1], end)
            if step is None:
                return None
            found.append(step)
        return tuple(found)

    def steps_to(self, end: str) -> Iterator[tuple[str, str]]:
        """Every other state from which a path leads to `end`, with its next step, whose own turn was before."""
        return ((start, way.step) for start, way in self._ways_to(end).items() if start != end)

    def cost(self, start: str, end: str) -> float | None:
        """The sum of the weights on the cheapest path, None if there is no path."""
        if start == end:
            return 0
        way = self._ways_to(end).get(start)
        return None if way is None else float(way.cost)

    def why_no_path(self, start: str, end: str) -> str:
        """The sentence that tells an operator what stands between two states (R16)."""
        into = [e.start for e in self.edges if e.end == end]
        near = sorted((cost, self.index(s), s) for s, cost in self._costs_from(start).items() if s != start)
        came = f"edges into {end} come from {_list(into)}" if into else f"no edge leads into {end}"
        reach = f"{start} reaches {_list([s for _, _, s in near])}" if near else f"no edge leads out of {start}"
        where = self.states[start].source or self.states[end].source
        mend = f"add an edge in {where}" if where else "add an edge"
        return f"no path {start} -> {end}; {came}; {reach}. Request one of these first, or {mend}."

    def _ways_to(self, end: str) -> dict[str, _Way]:
        if end not in self._ways:
            self._ways[end] = self._dijkstra(end)
        return self._ways[end]

    def _dijkstra(self, end: str) -> dict[str, _Way]:
        """Best way of every state to `end`, walking the edges backwards."""
        into: dict[str, list[Edge]] = {}
        for edge in self.edges:
            into.setdefault(edge.end, []).append(edge)
        best: dict[str, _Way] = {}
        heap: list[tuple[Cost, int, int, str, str]] = [(0, 0, self.index(end), end, end)]
        while heap:
            cost, count, _, here, step = heapq.heappop(heap)
            if here in best:
                continue
            best[here] = _Way(cost, count, step)
            for edge in into.get(here, ()):
                if edge.start not in best:
                    # among equals the smallest index of the *next* state comes off the heap first
                    heapq.heappush(heap, (cost + _exact(edge.weight), count + 1, self.index(here), edge.start, here))
        return best

    def _costs_from(self, start: str) -> dict[str, Cost]:
        """What each state that `start` reaches costs: one walk, where the ways to each of them would be one a state."""
        out: dict[str, list[Edge]] = {}
        for edge in self.edges:
            out.setdefault(edge.start, []).append(edge)
        best: dict[str, Cost] = {}
        heap: list[tuple[Cost, str]] = [(0, start)]
        while heap:
            cost, here = heapq.heappop(heap)
            if here in best:
                continue
            best[here] = cost
            for edge in out.get(here, ()):
                if edge.end not in best:
                    heapq.heappush(heap, (cost + _exact(edge.weight), edge.end))
        return best


def assign_indices(states: Sequence[StateInfo], remembered: Mapping[str, int] | None = None) -> tuple[StateInfo, ...]:
    """Give every state a number (R20): its own, else 0 for INIT if free, else -2, -3, ... in order of definition.

    Parameters
    ----------
    remembered : numbers that were given automatically before; kept for the same name, never given to another.
    """
    before = dict(remembered or {})
    given = {s.index for s in states if isinstance(s.index, int)}
    free = (i for i in count(-2, -1) if i not in given and i not in before.values())
    numbered = []
    for state in states:
        index = state.index
        if index is None:
            index = before.get(state.name)
            if index in given:
                index = None
            if index is None and state.name == INIT_STATE and 0 not in given and 0 not in before.values():
                index = 0
            if index is None:
                index = next(free)
        numbered.append(replace(state, index=index))
    return tuple(numbered)


def automatic_indices(states: Iterable[StateInfo]) -> dict[str, int]:
    """R20: the numbers that were given automatically, below -1; they are kept for their names for good."""
    return {s.name: s.index for s in states if s.index is not None and s.index < -1}


def _index_of(state: StateInfo) -> int:
    assert state.index is not None, state.name
    return state.index


def _exact(weight: float) -> Cost:
    return int(weight) if float(weight).is_integer() else Fraction(str(weight))


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _size_faults(states: Sequence[StateInfo], edges: Sequence[Edge]) -> Iterable[str]:
    if len(states) > MOST_STATES:
        yield f"{len(states)} states are too many, {MOST_STATES} can be; does a loop make them?"
    every = len(edges) + len(states) * sum(s.goto is not None for s in states)
    if every > MOST_EDGES:
        yield f"edges and goto states make {every} ways, {MOST_EDGES} can be; give goto to fewer states"


def _state_faults(states: Sequence[StateInfo]) -> Iterable[str]:
    if not [s for s in states if s.source or s.name != INIT_STATE]:
        yield "the module defines no states; a state is a public upper-case name bound to a subclass of GuardState"
    seen: dict[int, StateInfo] = {}
    names: set[str] = set()
    for state in states:
        where = f" ({state.source})" if state.source else ""
        if state.name in names:
            yield f"state {state.name} is there twice"
        names.add(state.name)
        if state.name == NONE_STATE:
            yield f"state {NONE_STATE}{where}: the name is reserved for 'no request'; rename it"
        if not state.name.isprintable():
            yield f"state {state.name!r}{where}: the name has characters that cannot be shown; rename it"
        elif (size := len(state.name.encode())) > NAME_BYTES:
            yield f"state {state.name}{where}: the name has {size} bytes, {NAME_BYTES} fit in a CA string; shorten it"
        if state.goto is not None and not (_is_number(state.goto) and 0 < state.goto < float("inf")):
            yield f"state {state.name}{where}: goto = {state.goto!r}; use True, False or a weight > 0"
        index = state.index
        if not isinstance(index, int) or isinstance(index, bool) or index not in INDEX_RANGE:
            yield f"state {state.name}{where}: index = {index!r}; use a whole number that fits in 32 bits"
        elif index == NONE_INDEX:
            yield f"state {state.name}{where}: index {NONE_INDEX} is reserved for '{NONE_STATE}'; choose another"
        elif index in seen:
            other = seen[index]
            at = f" ({other.source})" if other.source else ""
            yield f"states {other.name}{at} and {state.name}{where} both have index {index}; give one another number"
        else:
            seen[index] = state


def _edge_faults(edges: Sequence[Edge], names: set[str]) -> Iterable[str]:
    for edge in edges:
        missing = [n for n in dict.fromkeys((edge.start, edge.end)) if n not in names]
        if missing:
            what = " and ".join(map(str, missing))
            yield f"edge {edge.start} -> {edge.end} names {what}, which is no state of this system"
        if not (_is_number(edge.weight) and 0 < edge.weight < float("inf")):
            yield f"edge {edge.start} -> {edge.end} has weight {edge.weight!r}; weights are numbers > 0"
