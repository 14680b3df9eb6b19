"""The wall: the strips of all nodes, each manager with what it manages below it.

Who manages whom is what the modules say, by the nodes that they hand to a ``NodeManager``: nobody need run for that. A
node that two managers name stands below the first; nodes that nobody names, and that name nobody, stand together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from guardian.core.screens.colours import Role
from guardian.core.screens.model import Box, Embed, Label, Panel, Screen, Widget
from guardian.core.screens.naming import file_of
from guardian.core.screens.strip import HEIGHT, WIDTH, strip_file

#: Strips and titles in a column.
ROWS = 40
ROW = HEIGHT + 3
INDENT, DEEPEST = 12, 4
_COLUMN = WIDTH + INDENT * DEEPEST + 16
_HEAD, _FOOT, _GAP = 40, 20, 10
#: What the lamps of a strip are.
LAMPS = "lamps: quiet, at request, not stalled, OK, set points"
#: The title of those that belong to no manager.
ALONE = "no manager"

#: A node, and how deep it stands below the top of its tree.
Placed = tuple[str, int]


def wall(nodes: Sequence[str], managed: Mapping[str, Sequence[str]], *, ifo: str) -> Screen:
    """The screen of these nodes.

    Parameters
    ----------
    managed : the nodes that each one manages; those that are not on the wall count for nothing.
    """
    lines = _lines(nodes, managed)
    columns = max(1, -(-len(lines) // ROWS))
    width, height = _GAP + columns * _COLUMN, _HEAD + min(len(lines), ROWS) * ROW + _FOOT + _GAP
    title = f"{ifo} guardian".strip()
    widgets: list[Widget] = [
        Panel(box=Box(0, 0, width, 32), colour=Role.BAR),
        Label(box=Box(10, 6, width - 20, 20), text=title, colour=Role.ON_BAR, size=14, bold=True),
    ]
    for place, line in enumerate(lines):
        x, y = _GAP + place // ROWS * _COLUMN, _HEAD + place % ROWS * ROW
        if isinstance(line, str):
            widgets.append(Label(box=Box(x, y, WIDTH, ROW), text=line, bold=True))
        elif line is not None:
            node, depth = line
            box = Box(x + INDENT * min(depth, DEEPEST), y, WIDTH, HEIGHT)
            widgets.append(Embed(box=box, file=strip_file(ifo), macros=(("IFO", ifo), ("SYSTEM", node))))
    widgets.append(Label(box=Box(_GAP, height - _FOOT, width - 2 * _GAP, 16), text=LAMPS, colour=Role.FAINT, size=10))
    return Screen(file=file_of(ifo, "wall"), title=title, width=width, height=height, widgets=tuple(widgets))


def trees(nodes: Sequence[str], managed: Mapping[str, Sequence[str]]) -> tuple[list[list[Placed]], list[Placed]]:
    """The trees of managers, and the nodes that stand alone."""
    below = {node: [one for one in managed.get(node, ()) if one in nodes and one != node] for node in sorted(nodes)}
    children = {child for found in below.values() for child in found}
    placed: set[str] = set()

    def tree(node: str, depth: int) -> Iterator[Placed]:
        placed.add(node)
        yield node, depth
        for child in below[node]:
            if child not in placed:
                yield from tree(child, depth + 1)

    found = [[*tree(node, 0)] for node in below if below[node] and node not in children]
    found += [[*tree(node, 0)] for node in below if below[node] and node not in placed]  # a circle has no top
    return found, [(node, 0) for node in below if node not in placed]


def _lines(nodes: Sequence[str], managed: Mapping[str, Sequence[str]]) -> list[Placed | str | None]:
    """What stands below each other: strips, a title, and empty lines between the trees."""
    found, alone = trees(nodes, managed)
    lines: list[Placed | str | None] = []
    for tree in found:
        lines += [*tree, None]
    if alone and found:
        lines.append(ALONE)
    lines += alone
    return lines if alone else lines[:-1]
