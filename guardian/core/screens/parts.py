"""What the screens of a node have in common: the head, and the buttons that ask for a state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guardian.core.graph import StateInfo
from guardian.core.screens.colours import Role
from guardian.core.screens.model import Align, Box, Label, Panel, Press, Reading, Shape, Widget, plain
from guardian.core.screens.naming import Names
from guardian.core.screens.strip import condition

#: Pixels between the edge of a screen and what stands on it, and where the first line below the head begins.
MARGIN, BELOW_HEAD = 10, 78
#: Of a row of buttons: how high, and how wide a letter is.
ROW, LETTER = 24, 8


def in_order(states: Iterable[StateInfo]) -> list[StateInfo]:
    """By number; those that got one automatically (-2, -3, ...) last, as they were defined."""

    def place(state: StateInfo) -> tuple[bool, int]:
        index = state.index or 0
        return index < 0, abs(index)

    return sorted(states, key=place)


def button_width(states: Iterable[StateInfo]) -> int:
    """Room for the longest name."""
    return max(LETTER * len(state.name) + 16 for state in states)


def head(names: Names, width: int, what: str = "") -> Iterator[Widget]:
    """The title of a screen, and the state in large letters on the colour of the node."""
    title = " ".join(filter(None, (f"{names.ifo}:" if names.ifo else "", names.node, what)))
    yield Panel(box=Box(0, 0, width, 32), colour=Role.BAR)
    yield Label(box=Box(MARGIN, 6, width - 100, 20), text=title, colour=Role.ON_BAR, size=14, bold=True)
    yield Shape(box=Box(0, 32, width, 38), link=names.pv("MODE"), rules=condition(names))
    yield Reading(
        box=Box(MARGIN, 38, width - 2 * MARGIN, 26),
        pv=names.pv("STATE_S"),
        back=Role.STATE,
        align=Align.CENTRE,
        size=16,
        bold=True,
    )


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
