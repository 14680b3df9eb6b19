"""The states of a node: a button for each, which writes its name to REQUEST, and three rings that say which it is.

The inner disc is STATE, the ring round it REQUEST, the outer one NOMINAL: where all three are full the node is where it
should be. States stand in the order of their numbers, those without a number of their own last, in columns where there
are many, and are coloured as in the picture of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guardian.core.graph import Graph, StateInfo
from guardian.core.screens.colours import Role
from guardian.core.screens.model import (
    Box,
    Form,
    Label,
    Open,
    Panel,
    Press,
    Rule,
    Screen,
    Shape,
    When,
    Widget,
    plain,
)
from guardian.core.screens.naming import Names

#: Of one state: how high, and how wide a letter and what stands beside the name are.
ROW, LETTER, BESIDE = 24, 8, 24
#: States in a column, and where there are very many.
SHORT, LONG, VERY_MANY = 25, 40, 100
_HEAD, _FOOT, _GAP = 40, 50, 10
_LEAST = 330
#: The rings, from outside: the row that names a state by its number, the colour, and the diameter.
RINGS = (("NOMINAL_N", Role.IS_NOMINAL, 20), ("REQUEST_N", Role.IS_REQUEST, 14), ("STATE_N", Role.IS_STATE, 8))


def states(names: Names, graph: Graph) -> Screen:
    """The screen of all states of a node."""
    listed = in_order(graph.states.values())
    rows = min(len(listed), LONG if len(listed) > VERY_MANY else SHORT)
    button = button_width(listed)
    column = button + BESIDE + _GAP
    columns = -(-len(listed) // rows)
    width = max(_GAP + columns * column, _LEAST)
    height = _HEAD + rows * ROW + _FOOT
    widgets: list[Widget] = [*bar(names, width, "states")]
    widgets.append(Open(box=Box(width - 78, 6, 70, 20), text=names.node, file=names.screen, size=10))
    for place, state in enumerate(listed):
        x, y = _GAP + place // rows * column, _HEAD + place % rows * ROW
        widgets.append(ask(names, state, Box(x, y, button, ROW - 3)))
        widgets += rings(names, state, x + button + 4, y)
    widgets += _legend(height - _FOOT + 6)
    return Screen(file=names.states, title=f"{names.node} states", width=width, height=height, widgets=tuple(widgets))


def in_order(states: Iterable[StateInfo]) -> list[StateInfo]:
    """By number; those that got one automatically (-2, -3, ...) last, as they were defined."""

    def place(state: StateInfo) -> tuple[bool, int]:
        index = state.index or 0
        return index < 0, abs(index)

    return sorted(states, key=place)


def button_width(states: Iterable[StateInfo]) -> int:
    """Room for the longest name."""
    return max(LETTER * len(state.name) + 16 for state in states)


def bar(names: Names, width: int, what: str = "") -> Iterator[Widget]:
    """The title of a screen."""
    title = " ".join(filter(None, (f"{names.ifo}:" if names.ifo else "", names.node, what)))
    yield Panel(box=Box(0, 0, width, 32), colour=Role.BAR)
    yield Label(box=Box(10, 6, width - 100, 20), text=title, colour=Role.ON_BAR, size=14, bold=True)


def ask(names: Names, state: StateInfo, box: Box) -> Press:
    """The button that asks for a state: by its name, and by its number if not every program can write that name."""
    text = plain(state.name)
    pv, value = ("REQUEST", state.name) if text == state.name else ("REQUEST_N", str(state.index))
    return Press(box=box, text=text, pv=names.pv(pv), value=value, back=colour(state), size=11)


def colour(state: StateInfo) -> Role:
    """As in the picture of the graph."""
    if state.goto is not None:
        return Role.GOTO
    return Role.REQUESTABLE if state.request else Role.PLAIN


def rings(names: Names, state: StateInfo, x: int, y: int) -> Iterator[Shape]:
    """The three, one on the other, in a square of :data:`BESIDE` pixels less its margin."""
    for row, role, diameter in RINGS:
        margin = (RINGS[0][2] - diameter) // 2
        yield Shape(
            box=Box(x + margin, y + margin, diameter, diameter),
            link=names.pv("MODE"),
            base=Role.FIELD,
            rules=(Rule(when=When(pv=names.pv(row), value=state.index or 0), colour=role),),
            form=Form.ELLIPSE,
        )


def _legend(y: int) -> Iterator[Widget]:
    """Which ring is what, and which colour."""
    marks = (("inner: STATE", Role.IS_STATE), ("middle: REQUEST", Role.IS_REQUEST), ("outer: NOMINAL", Role.IS_NOMINAL))
    kinds = (("on the menu", Role.REQUESTABLE), ("goto", Role.GOTO), ("other", Role.PLAIN))
    for line, listed in enumerate((marks, kinds)):
        for place, (text, role) in enumerate(listed):
            x, top = _GAP + 106 * place, y + 20 * line
            yield Panel(box=Box(x, top + 4, 8, 8), colour=role)
            yield Label(box=Box(x + 12, top, 94, 16), text=text, size=10)
