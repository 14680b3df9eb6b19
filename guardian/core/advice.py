"""What is wrong or doubtful in a system that loads, in sentences for the one who wrote it.

Two tables go in: the graph as the module declares it, and what was read in its source (`worker/survey.py`). What comes
out is a list of findings, one for each fault of the source, not for each state that inherits it.

A level says what happens if nobody acts: an *error* stops the node when it gets there, or moves hardware behind its
back; a *warning* does something else than was written; a *note* is for the reader's information.

Invariants
----------
* Nothing is said that is not certain from the tables: a check that cries wolf is not run twice.
* The same tables give the same findings in the same order: errors first, then by file and line.

Cost: two cheapest-path searches a state in the menu, with and without the edges that goto states imply; a second for
the largest systems known.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from guardian.core.graph import Graph, SystemFacts
from guardian.enums import INIT_STATE

ERROR = "error"
WARNING = "warning"
NOTE = "note"
_LEVELS = (ERROR, WARNING, NOTE)
#: What a sentence lists at most: states or channels, pairs of states, and the states of one path.
NAMES = 10
PAIRS = 3
STEPS = 6
_PLACE = re.compile(r"\S+\.py:\d+")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A text that a method of a state returns, whether it names a state or not; ``where`` is the line that returns it.

    ``method`` is "main", "run", or the hook of a decorator, as "watchdog_check.pre_exec".
    """

    state: str
    method: str
    to: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """A ``time.sleep`` of so many seconds in a method of a state, or in a hook of its decorators."""

    state: str
    method: str
    seconds: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Misspelt:
    """A name in a class that nobody uses and that is nearly one that would be used, ``meant``."""

    owner: str
    name: str
    meant: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRead:
    """A channel that was read, or written, while the module was imported."""

    channel: str
    write: bool
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What the source of a system says that its graph does not.

    Parameters
    ----------
    unnumbered : states for which the source gives no index.
    mentioned : states whose names stand in the code, other than in its edges: it may jump there in a way that was not
        understood.
    managed : the nodes that its NodeManagers are made of, as far as its modules have these as variables.
    """

    jumps: tuple[Jump, ...] = ()
    sleeps: tuple[Sleep, ...] = ()
    misspelt: tuple[Misspelt, ...] = ()
    reads: tuple[ImportRead, ...] = ()
    unnumbered: tuple[str, ...] = ()
    mentioned: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at. ``where`` is "FILE.py:LINE" or "", ``state`` the one concerned if it is just one."""

    kind: str
    level: str
    text: str
    where: str = ""
    state: str = ""


def advise(facts: SystemFacts, source: SourceFacts, *, redirect_timeout_s: float) -> tuple[Finding, ...]:
    """All there is to say of a system.

    Parameters
    ----------
    redirect_timeout_s : seconds that the site gives a method to end on a redirect; the module's own number goes first.
    """
    graph = Graph.build(facts.states, facts.edges)
    found = [
        *_dangling(graph, source.jumps),
        *_at_import(source.reads),
        *_misspelt(source.misspelt),
        *_unreachable(graph, source),
        *_shortcuts(graph, facts),
        *_sleeps(graph, source.sleeps, facts.redirect_timeout_s or redirect_timeout_s),
        *_hung(graph, source.sleeps, facts.watchdog_s or 0.0),
        *map(_warning, facts.warnings),
        *_unnumbered(graph, source.unnumbered),
    ]
    return tuple(sorted(found, key=_place))


def _place(finding: Finding) -> tuple[int, str, int, str, str]:
    file, _, line = finding.where.rpartition(":")
    return _LEVELS.index(finding.level), file, int(line) if line.isdecimal() else 0, finding.kind, finding.text


def _dangling(graph: Graph, jumps: Iterable[Jump]) -> Iterator[Finding]:
    dangling = [jump for jump in jumps if jump.to not in graph]
    for (where, to), same in _grouped(dangling, lambda jump: (jump.where, jump.to)).items():
        near = difflib.get_close_matches(to[: NAMES * 10].upper(), list(graph.states), n=3)
        hint = f"is {' or '.join(near)} meant?" if near else "correct the name, or define the state"
        text = f"{_who(same)} jumps to {_quoted(to)}, which names no state: the node would stop there in ERROR; {hint}"
        yield _of_states(same, Finding(kind="dangling-jump", level=ERROR, text=text, where=where))


def _sleeps(graph: Graph, sleeps: Iterable[Sleep], timeout_s: float) -> Iterator[Finding]:
    """R8: a redirect never leaves INIT, and a state with redirect=False only when it has completed."""
    free = {s.name for s in graph.states.values() if s.redirect and s.name != INIT_STATE}
    long = [sleep for sleep in sleeps if sleep.seconds > timeout_s and sleep.state in free]
    for (where, seconds), same in _grouped(long, lambda sleep: (sleep.where, sleep.seconds)).items():
        text = (
            f"{_who(same)} sleeps {seconds:g} s, longer than redirect_timeout, {timeout_s:g} s: so long it checks "
            f"nothing, and a redirect tears it out of its sleep; set self.timer['nap'] = {seconds:g}, and return "
            "self.timer['nap'] in run()"
        )
        yield _of_states(same, Finding(kind="long-sleep", level=WARNING, text=text, where=where))


def _hung(graph: Graph, sleeps: Iterable[Sleep], module_s: float) -> Iterator[Finding]:
    """Sleeps that no call survives: the watchdog takes it for hung, and kills its process."""
    said = {s.name: module_s if s.watchdog_s is None else s.watchdog_s for s in graph.states.values()}
    fatal = [sleep for sleep in sleeps if 0 < said.get(sleep.state, 0) <= sleep.seconds]
    for (where, seconds, watchdog_s), same in _grouped(
        fatal, lambda sleep: (sleep.where, sleep.seconds, said[sleep.state])
    ).items():
        text = (
            f"{_who(same)} sleeps {seconds:g} s, and watchdog = {watchdog_s:g} has its process killed before that is "
            f"over; set self.timer['nap'] = {seconds:g}, and return self.timer['nap'] in run(), or give the state a "
            "longer watchdog"
        )
        yield _of_states(same, Finding(kind="watchdog", level=ERROR, text=text, where=where))


def _at_import(reads: Iterable[ImportRead]) -> Iterator[Finding]:
    for (where, write), same in _grouped(reads, lambda read: (read.where, read.write)).items():
        channels = _listed([read.channel for read in same])
        why = "each check and each LOAD would move hardware" if write else "the node cannot load while it is not there"
        yield Finding(
            kind="import-write" if write else "import-read",
            level=ERROR if write else WARNING,
            text=f"{'writes' if write else 'reads'} {channels} when the module is imported: {why}; "
            "do it in main() of a state, INIT for instance",
            where=where,
        )


def _misspelt(misspelt: Iterable[Misspelt]) -> Iterator[Finding]:
    for it in misspelt:
        text = f"{it.owner}.{it.name} is used by nothing: is {it.meant} meant? Then rename it"
        yield Finding(kind="misspelt", level=WARNING, text=text, where=it.where)


def _warning(text: str) -> Finding:
    """What the load warns of, which may begin with its place: "FILE.py:LINE mixes tabs and spaces"."""
    where, _, rest = text.partition(" ")
    placed = _PLACE.fullmatch(where)
    return Finding(kind="load", level=WARNING, text=rest if placed else text, where=where if placed else "")


def _unnumbered(graph: Graph, names: Iterable[str]) -> Iterator[Finding]:
    """One finding a file: where one has none, many have none. INIT is 0 in every system where nobody took that."""
    missing = [name for name in names if graph.index(name) != 0]
    for same in _grouped(missing, lambda name: graph[name].source.partition(":")[0]).values():
        first, one = graph[same[0]], len(same) == 1
        have, numbers = "has" if one else "have", _listed([str(graph.index(name)) for name in same])
        text = f"{_listed(same)} {have} no index, for now {numbers}; archives tell states by their numbers, so give one"
        yield Finding(kind="no-index", level=NOTE, text=text, where=first.source, state=first.name if one else "")


def _unreachable(graph: Graph, source: SourceFacts) -> Iterator[Finding]:
    """States where no way leads, told with those that lie behind them, so that one missing edge is one finding."""
    ways: dict[str, list[str]] = {}
    for edge in graph.edges:
        ways.setdefault(edge.start, []).append(edge.end)
    named = [name for name in (INIT_STATE, *(jump.to for jump in source.jumps), *source.mentioned) if name in graph]
    reached = _reach(named, ways)
    missed = [name for name in graph.states if name not in reached]
    behind = {}
    for name in missed:
        beyond = _reach([name], ways)
        behind[name] = [other for other in missed if other in beyond and other != name]
    told: set[str] = set()
    for name in sorted(missed, key=lambda name: -len(behind[name])):
        if name not in told:
            told.update([name, *behind[name]])
            more = f", nor to {_listed(behind[name])} behind it" if behind[name] else ""
            text = f"no edge or jump leads from INIT to {name}{more}: only MODE=MANUAL gets there; add an edge into it"
            yield Finding(kind="unreachable", level=WARNING, text=text, where=graph[name].source, state=name)


def _reach(starts: Iterable[str], ways: Mapping[str, Sequence[str]]) -> set[str]:
    """The states one gets to, the starts among them."""
    found: set[str] = set()
    todo = list(starts)
    while todo:
        if (here := todo.pop()) not in found:
            found.add(here)
            todo += ways.get(here, ())
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beaten:
    """A request that leads through a goto state. ``steps``: how many the declared way around it has."""

    start: str
    end: str
    goto: str
    steps: int
    costs: float
    instead: float


def _shortcuts(graph: Graph, facts: SystemFacts) -> Iterator[Finding]:
    """Requests that lead through a goto state although there is a declared way around it, one finding a goto state.

    Somebody asks for the state below, and the machine goes down first. It is no surprise where the declared way too
    leads through the goto state, where there is no other way, or where the edge into the goto state was written down.
    """
    declared = Graph.build([replace(state, goto=None) for state in facts.states], facts.edges)

    def shown(it: _Beaten) -> str:
        short, long = graph.path(it.start, it.end) or (), declared.path(it.start, it.end) or ()
        return f"{_way(short)} ({it.costs:g}) beats {_way(long)} ({it.instead:g})"

    for goto, ways in _grouped(_beaten(graph, declared), lambda it: it.goto).items():
        weight = graph[goto].goto or 0
        # heavier than this, no way into it is cheaper than a declared one, nor as cheap
        enough = math.floor(weight + max(it.instead - it.costs for it in ways)) + 1
        ways.sort(key=lambda it: (it.steps, graph.index(it.end), graph.index(it.start)))
        more = f"; and {len(ways) - PAIRS} more" if len(ways) > PAIRS else ""
        text = (
            f"{len(ways)} request{'s lead' if len(ways) > 1 else ' leads'} through {goto} although edges lead around "
            f"it: {'; '.join(map(shown, ways[:PAIRS]))}{more}. goto = {enough} in {goto} keeps to the edges; if it is "
            f"meant, declare the edges into {goto}"
        )
        yield Finding(kind="shortcut", level=WARNING, text=text, where=graph[goto].source, state=goto)


def _beaten(graph: Graph, declared: Graph) -> Iterator[_Beaten]:
    """Of the states in the menu alone: nobody asks for the others."""
    implied = {(edge.start, edge.end) for edge in graph.edges if edge.implied}
    gotos = {end for _, end in implied}
    for end in graph.menu if implied else ():
        jumped: dict[str, tuple[str, ...]] = {end: ()}  # the goto states that the cheapest way takes
        for start, step in graph.steps_to(end):
            jumped[start] = (step, *jumped[step]) if (start, step) in implied and step != end else jumped[step]
        passed = {end: frozenset([end])}  # the goto states on the declared way
        steps = {end: 0}
        for start, step in declared.steps_to(end):
            passed[start] = passed[step] | {start} if start in gotos else passed[step]
            steps[start] = steps[step] + 1
            if found := [goto for goto in jumped[start] if goto not in passed[start]]:
                costs, instead = graph.cost(start, end) or 0, declared.cost(start, end) or 0
                yield _Beaten(start=start, end=end, goto=found[0], steps=steps[start], costs=costs, instead=instead)


def _grouped(items: Iterable[_Item], key: Callable[[_Item], Hashable]) -> dict[Any, list[_Item]]:
    """Items by what they have in common, in their order."""
    groups: dict[Any, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _who(same: Sequence[Jump | Sleep]) -> str:
    """ "main() and run() of DOWN", "lock_check.pre_exec() on LOCKED, BOOSTED": who has a line of source in it."""
    methods = list(dict.fromkeys(item.method for item in same))
    calls = " and ".join(f"{method}()" for method in methods)
    return f"{calls} {'on' if '.' in methods[0] else 'of'} {_listed([item.state for item in same])}"


def _of_states(same: Sequence[Jump | Sleep], finding: Finding) -> Finding:
    states = {item.state for item in same}
    return replace(finding, state=states.pop()) if len(states) == 1 else finding


def _listed(names: Sequence[str]) -> str:
    every = list(dict.fromkeys(names))
    return ", ".join(every[:NAMES]) + (f" and {len(every) - NAMES} more" if len(every) > NAMES else "")


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:60]) + "..."


def _way(path: Sequence[str]) -> str:
    return " -> ".join(path if len(path) <= STEPS else [*path[:2], f"({len(path) - 4} more)", *path[-2:]])
