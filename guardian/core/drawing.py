"""A graph as DOT text, for Graphviz ``dot``: laid out so that the main line of a system is one straight column.

States have an order, that of their numbers, and in it the way up is the way that counts. Hence the rules:

* the main line is the way that the node takes from INIT to nominal, and on; its states are one ``group``, which dot
  keeps straight, however many branches leave it; each branch beside it is a group of its own;
* an edge to a later state holds the picture together; the one to the *nearest* later state pulls hardest (``weight``);
* an edge back is drawn dashed and has no say in the layout (``constraint=false``), else it would twist the chain;
* the edges that a goto state implies are not drawn: its mark says that it is reached from everywhere.

Numbers given automatically (-2, -3, ...: R20) follow the others, in the order of their definition: as numbers they
would turn a system that has no others upside down. Invisible edges hold what nothing else would: a step of the main
line that is only implied, and a state that has only edges back (by the shortest of them).

Every mark has a form and a colour, so that it survives a grey print and a colour-blind reader: requestable, bold on
light blue; goto, dashed outline on pale red; the first request, two outlines; nominal, a star; INIT, an ellipse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from guardian.core.focus import Focus
from guardian.core.graph import Edge, Graph, StateInfo
from guardian.enums import INIT_STATE

NEAREST = 20  #: weight of the edge to the nearest later state
MAIN_LINE = 100  #: of a step of the main line to another one
STAR = "★"
_TEXT, _LINE, _BACK = "#222222", "#444444", "#b0b0b0"
PLAIN, REQUESTABLE, GOTO = "#f4f4f4", "#d6e6f7", "#f9dcd8"
_LEGEND = ("bold, blue: requestable; dashed, red: goto", f"two outlines: first request; {STAR} nominal")
_HEAD = f"""\
  graph [rankdir=TB, nodesep=0.3, ranksep=0.35, labelloc=t, labeljust=l, fontname="sans-serif",
         fontcolor="{_TEXT}"]
  node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=11, height=0.3, margin="0.12,0.05",
        color="{_LINE}", fontcolor="{_TEXT}", fillcolor="{PLAIN}"]
  edge [color="{_LINE}", fontname="sans-serif", fontsize=9, fontcolor="{_LINE}", arrowsize=0.6]"""


def dot_text(
    graph: Graph, *, name: str, request: str | None = None, nominal: str | None = None, focus: Focus | None = None
) -> str:
    """The picture of a system.

    In SVG a state has the id ``s-NAME``, and an edge ``e-NAME--NAME``; their classes say what their marks say.

    Parameters
    ----------
    name : shown on top. request, nominal : states that get a mark of their own.
    focus : draw these states only, with its way as the main line; steps of the way are drawn also where they are
        implied.
    """
    return "\n".join(_lines(graph, name, request, nominal, focus)) + "\n"


def _lines(graph: Graph, name: str, request: str | None, nominal: str | None, focus: Focus | None) -> Iterator[str]:
    if focus is None:
        shown: Collection[str] = graph.states
        line = graph.path(INIT_STATE, nominal or max(graph.states, key=lambda state: _order(graph[state]))) or ()
        way = set[tuple[str, str]]()
    else:
        shown, line, way = focus.states, focus.way, {*pairwise(focus.way)}
    order = sorted((graph[state] for state in shown), key=_order)
    place = {state.name: at for at, state in enumerate(order)}
    declared = [
        edge
        for edge in graph.edges
        if edge.start in place and edge.end in place and (not edge.implied or (edge.start, edge.end) in way)
    ]
    onward = [edge for edge in declared if place[edge.end] >= place[edge.start]]
    nearest = {e.start: e.end for e in sorted(onward, key=lambda e: -place[e.end]) if e.start != e.end}
    line = line or (next(iter(place)),)
    column, steps = _columns(line, place, nearest), set(pairwise(line))
    yield f"digraph {_quote(name)} {{"
    yield _HEAD
    yield f"  label={_title(name)}; tooltip={_quote(name)}"
    for state in place:
        yield _state(graph[state], first=state == request, nominal=state == nominal, column=column[state])
    for edge in declared:
        near, main = nearest.get(edge.start) == edge.end, (edge.start, edge.end) in steps
        weight = NEAREST if near else MAIN_LINE if main else 0
        yield _edge(edge, back=place[edge.end] < place[edge.start], weight=weight)
    yield from _holds(declared, onward, place, line)
    yield "}"


def _columns(line: Sequence[str], place: Iterable[str], nearest: Mapping[str, str]) -> dict[str, str]:
    """Each state's column, called by its first state: the main line with what follows it upwards, and each branch."""
    columns = dict.fromkeys(line[:-1], line[0])
    for first in (line[-1], *place):
        state: str | None = first
        while state is not None and state not in columns:
            columns[state] = line[0] if first == line[-1] else first
            state = nearest.get(state)
    return columns


def _title(name: str) -> str:
    lines = (f"<b>{_html(name)}</b>", *(f'<font point-size="8">{line}</font>' for line in _LEGEND))
    return "<" + "".join(f'{line}<br align="left"/>' for line in lines) + ">"


def _order(state: StateInfo) -> tuple[bool, int]:
    index = state.index or 0
    return index < 0, abs(index)


def _state(state: StateInfo, *, first: bool, nominal: bool, column: str) -> str:
    goto = state.goto is not None
    text = f"{state.name} {STAR}" if nominal else state.name
    about = "; ".join(filter(None, (f"{state.name} ({state.index})", state.doc, state.source)))
    kinds = {"requestable": state.request, "goto": goto, "request": first, "nominal": nominal}
    marks = {
        "id": _quote(f"s-{state.name}"),
        "class": _quote(" ".join(kind for kind, holds in kinds.items() if holds)),
        "label": f"<<b>{_html(text)}</b>>" if state.request else _quote(text),
        "tooltip": _quote(about),
        "group": _quote(column),
    }
    if goto or state.request:
        marks["fillcolor"] = _quote(GOTO if goto else REQUESTABLE)
    if goto:
        marks["style"] = _quote("filled,rounded,dashed")
    if first:
        marks["peripheries"] = "2"
    if state.name == INIT_STATE:
        marks["shape"] = "ellipse"
    return f"  {_quote(state.name)} [{', '.join(f'{key}={value}' for key, value in marks.items())}]"


def _edge(edge: Edge, *, back: bool, weight: int) -> str:
    marks = [f"id={_quote(f'e-{edge.start}--{edge.end}')}"]
    if back:
        marks += ['class="back"', "style=dashed", "constraint=false", f'color="{_BACK}"']
    elif weight:
        marks.append(f"weight={weight}")
    if edge.weight != 1:
        marks.append(f'label="{edge.weight:g}"')
    return f"  {_quote(edge.start)} -> {_quote(edge.end)} [{', '.join(marks)}]"


def _holds(declared: list[Edge], onward: list[Edge], place: dict[str, int], line: Sequence[str]) -> Iterator[str]:
    """Invisible edges: the steps of the main line that nobody declared, and for states that nothing else places."""
    drawn = {(edge.start, edge.end) for edge in declared}
    holds = [(start, end) for start, end in pairwise(line) if (start, end) not in drawn and place[start] < place[end]]
    held = {state for edge in onward if edge.start != edge.end for state in (edge.start, edge.end)}.union(*holds)
    back: dict[str, list[Edge]] = {}
    for edge in declared:
        if edge.start != edge.end:
            back.setdefault(edge.start, []).append(edge)
            back.setdefault(edge.end, []).append(edge)
    for state in place:
        if state in back and state not in held:
            short = min(back[state], key=lambda edge: place[edge.start] - place[edge.end])
            holds.append((short.end, short.start))
    for start, end in dict.fromkeys(holds):
        yield f"  {_quote(start)} -> {_quote(end)} [style=invis]"


def _quote(text: str) -> str:
    """A DOT string that shows these characters."""
    escaped = _legible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{escaped}"'


def _html(text: str) -> str:
    return _legible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _legible(text: str) -> str:
    """What cannot be printed as Python writes it: dot takes no control characters, and a file no half of a pair."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
