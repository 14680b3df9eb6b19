"""Screens for tests: of a usual node, of a large one, and of one with odd names."""

from __future__ import annotations

from guardian.core.graph import Edge, Graph, StateInfo
from guardian.core.names import PV_TEMPLATE
from guardian.core.screens.model import Screen
from guardian.core.screens.naming import Names
from guardian.core.screens.node import node
from guardian.core.screens.states import states
from guardian.core.screens.strip import strip
from guardian.core.screens.wall import wall

#: Names as user code can make them, with what each format writes otherwise than it is.
ODD = ('A"B', "UP & <B>AWAY</B>", "C\\D", "E'F", "$(IFO)", "${IFO}", "ÄÖ", "A" * 39, "A%S", "X;RM -RF /", "A{B}", "]]>")


def graph(*names: str, step: int = 10, menu: int = 1) -> Graph:
    """These states, of which each `menu`-th can be requested; the second is a goto state."""
    infos = [
        StateInfo(name=name, index=place * step, request=place % menu == 0, goto=1 if place == 1 else None, source="x")
        for place, name in enumerate(names)
    ]
    return Graph.build(infos, [Edge(start=names[0], end=names[-1])])


USUAL = graph("INIT", "DOWN", "LOCKING", "LOCKED")
LARGE = graph(*(f"STATE_{number:03}_OF_A_LONG_CHAIN" for number in range(150)), menu=3)
STRANGE = graph(*ODD)
GRAPHS = {"usual": USUAL, "large": LARGE, "strange": STRANGE}


def names(node: str = "SUS_MC1", *, template: str = PV_TEMPLATE, ifo: str = "X1") -> Names:
    """The names of a node."""
    return Names(template=template, ifo=ifo, node=node)


def pages(*, template: str = PV_TEMPLATE, ifo: str = "X1") -> list[Screen]:
    """All kinds of screens, of all these graphs."""
    found = [
        make(names(what.upper(), template=template, ifo=ifo), one)
        for what, one in GRAPHS.items()
        for make in (node, states)
    ]
    nodes = tuple(f"N{number:02}" for number in range(60))
    managed = {"N00": nodes[1:30], "N01": nodes[2:5], "N31": ("N32", "N01")}
    return [*found, strip(template, ifo), wall(nodes, managed, ifo=ifo)]
