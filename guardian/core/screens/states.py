"""The states of a node: a button for each, which writes its name to REQUEST, and three rings that say which it is.

The inner disc is STATE, the ring round it REQUEST, the outer one NOMINAL: where all three are full the node is where it
should be. States stand in the order of their numbers, those without a number of their own last, in columns where there
are many, and are coloured as in the picture of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardian.core.graph import Graph, StateInfo
from guardian.core.screens.colours import Role
from guardian.core.screens.model import Box, Form, Label, Open, Panel, Rule, Screen, Shape, When, Widget
from guardian.core.screens.naming import Names
from guardian.core.screens.parts import BELOW_HEAD, MARGIN, ROW, ask, button_width, head, in_order

#: How wide the rings beside a button are.
BESIDE = 24
#: States in a column, and where there are very many.
SHORT, LONG, VERY_MANY = 25, 38, 100
_FOOT = 50
_LEAST = 330
#: The rings, from outside: the row that names a state by its number, the colour, and the diameter.
RINGS = (("NOMINAL_N", Role.IS_NOMINAL, 20), ("REQUEST_N", Role.IS_REQUEST, 14), ("STATE_N", Role.IS_STATE, 8))


def states(names: Names, graph: Graph) -> Screen:
    """The screen of all states of a node."""
    listed = in_order(graph.states.values())
    rows = min(len(listed), LONG if len(listed) > VERY_MANY else SHORT)
    button = button_width(listed)
    column = button + BESIDE + MARGIN
    columns = -(-len(listed) // rows)
    width = max(MARGIN + columns * column, _LEAST)
    height = BELOW_HEAD + rows * ROW + _FOOT
    widgets: list[Widget] = [*head(names, width, "states")]
    widgets.append(Open(box=Box(width - 78, 6, 70, 20), text=names.node, file=names.screen, size=10))
    for place, state in enumerate(listed):
        x, y = MARGIN + place // rows * column, BELOW_HEAD + place % rows * ROW
        widgets.append(ask(names, state, Box(x, y, button, ROW - 3)))
        widgets += rings(names, state, x + button + 4, y)
    widgets += _legend(height - _FOOT + 6)
    return Screen(file=names.states, title=f"{names.node} states", width=width, height=height, widgets=tuple(widgets))


def rings(names: Names, state: StateInfo, x: int, y: int) -> Iterator[Shape]:
    """The three, one on the other. They have no link, as PyDM is slow with hundreds on one PV; the buttons show it."""
    for row, role, diameter in RINGS:
        margin = (RINGS[0][2] - diameter) // 2
        yield Shape(
            box=Box(x + margin, y + margin, diameter, diameter),
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
            x, top = MARGIN + 106 * place, y + 20 * line
            yield Panel(box=Box(x, top + 4, 8, 8), colour=role)
            yield Label(box=Box(x + 12, top, 94, 16), text=text, size=10)
