"""The screen of a node: what there is to say of it, and to do with it.

REQUEST is a text, of which no program makes a menu by itself. So the menu is here: a button for each state that can be
requested, and a field to type any other one.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardian.core.graph import Graph
from guardian.core.screens.colours import Role
from guardian.core.screens.model import (
    Align,
    Box,
    Choice,
    Entry,
    Label,
    Open,
    Panel,
    Press,
    Reading,
    Rule,
    Screen,
    Shape,
    Shell,
    When,
    Widget,
)
from guardian.core.screens.naming import Names
from guardian.core.screens.parts import BELOW_HEAD, ROW, ask, button_width, head, in_order
from guardian.core.screens.strip import lamps

WIDTH = 520
#: States that have a button on this screen; where there are more, the screen of all states has them.
MOST_BUTTONS = 36
_LEFT, _VALUE, _RIGHT = 10, 100, WIDTH - 10
_LINE = 25  # from row to row
_HIGH = 20  # of a row


def node(names: Names, graph: Graph) -> Screen:
    """The screen of a node."""
    command = _window(f"log of {names.node}", "guardlog", names.node, "-f")
    log = Shell(box=Box(WIDTH - 82, 6, 72, 20), text="log", command=command)
    widgets: list[Widget] = [*head(names, WIDTH), log]
    y = BELOW_HEAD
    for row in (_op, _mode, _state, _target, _request, _nominal, _status, _code, _error, _connect):
        widgets += row(names, y)
        y += _LINE
    for area, height in ((_why, 68), (_messages, 94), (_guardian, 40), (_set_points, _LINE)):
        widgets += area(names, y)
        y += height
    menu = [*_menu(names, graph, y + 4)]
    widgets += menu
    height = max(widget.box.y + widget.box.height for widget in menu) + 10
    return Screen(file=names.screen, title=names.node, width=WIDTH, height=height, widgets=tuple(widgets))


def _window(title: str, *command: str) -> tuple[str, ...]:
    """A command in a window that stays."""
    return ("xterm", "-geometry", "120x30", "-T", title, "-hold", "-e", *command)


def _name(text: str, y: int) -> Label:
    return Label(box=Box(_LEFT, y, _VALUE - _LEFT - 6, _HIGH), text=text, colour=Role.FAINT)


def _reading(names: Names, row: str, x: int, y: int, width: int) -> Reading:
    return Reading(box=Box(x, y, width, _HIGH), pv=names.pv(row))


def _note(text: str, x: int, y: int, width: int) -> Label:
    return Label(box=Box(x, y, width, _HIGH), text=text, colour=Role.FAINT, size=11)


def _press(names: Names, text: str, row: str, box: Box) -> Press:
    return Press(box=box, text=text, pv=names.pv(row), value="1")


def _choice(names: Names, row: str, x: int, y: int, width: int) -> Choice:
    return Choice(box=Box(x, y, width, _HIGH + 2), pv=names.pv(row))


def _lamp(names: Names, x: int, y: int, rules: tuple[Rule, ...]) -> Shape:
    return Shape(box=Box(x, y + 3, 14, 14), link=names.pv("MODE"), rules=rules)


def _is(names: Names, row: str, value: int, good: Role, other: Role) -> tuple[Rule, ...]:
    pv = names.pv(row)
    return (
        Rule(when=When(pv=pv, value=value), colour=good),
        Rule(when=When(pv=pv, value=value, differs=True), colour=other),
    )


def _op(names: Names, y: int) -> Iterator[Widget]:
    yield _name("OP", y)
    yield _choice(names, "OP", _VALUE, y, 220)
    yield _press(names, "enter again", "REENTER", Box(_RIGHT - 180, y, 86, _HIGH))
    yield _press(names, "reset failed", "RESET_FAILED", Box(_RIGHT - 90, y, 90, _HIGH))


def _mode(names: Names, y: int) -> Iterator[Widget]:
    yield _name("MODE", y)
    yield _choice(names, "MODE", _VALUE, y, 220)
    yield _note("manager", _RIGHT - 180, y, 52)
    yield _reading(names, "MANAGER", _RIGHT - 126, y, 126)


def _with_number(names: Names, row: str, y: int) -> Iterator[Widget]:
    yield _name(row, y)
    yield _reading(names, f"{row}_S", _VALUE, y, 320)
    yield Reading(box=Box(_VALUE + 324, y, _RIGHT - _VALUE - 324, _HIGH), pv=names.pv(f"{row}_N"), align=Align.CENTRE)


def _state(names: Names, y: int) -> Iterator[Widget]:
    yield from _with_number(names, "STATE", y)


def _target(names: Names, y: int) -> Iterator[Widget]:
    yield from _with_number(names, "TARGET", y)


def _request(names: Names, y: int) -> Iterator[Widget]:
    yield _name("REQUEST", y)
    yield Entry(box=Box(_VALUE, y, 320, _HIGH), pv=names.pv("REQUEST"))
    yield Open(box=Box(_VALUE + 324, y, _RIGHT - _VALUE - 324, _HIGH), text="all states", file=names.states)


def _nominal(names: Names, y: int) -> Iterator[Widget]:
    yield from _with_number(names, "NOMINAL", y)


def _status(names: Names, y: int) -> Iterator[Widget]:
    yield _name("STATUS", y)
    yield _reading(names, "STATUS", _VALUE, y, 90)
    rules = [*lamps(names)]
    for text, x, lamp in (("at request", 210, rules[1]), ("not stalled", 310, rules[2]), ("OK", 420, rules[3])):
        yield _lamp(names, x, y, lamp)
        yield _note(text, x + 18, y, 76)


def _code(names: Names, y: int) -> Iterator[Widget]:
    yield _name("LOAD", y)
    yield _press(names, "load", "LOAD", Box(_VALUE, y, 60, _HIGH))
    yield _reading(names, "LOAD_STATUS", _VALUE + 66, y, 100)
    yield _lamp(names, _VALUE + 176, y, _is(names, "CODE_CHANGED", 0, Role.GOOD, Role.LOOK))
    yield _note("files as loaded", _VALUE + 194, y, 100)
    yield _reading(names, "ARCHIVE_ID", _RIGHT - 110, y, 110)


def _error(names: Names, y: int) -> Iterator[Widget]:
    yield _name("ERROR", y)
    yield _lamp(names, _VALUE, y, _is(names, "ERROR", 0, Role.GOOD, Role.ERROR))
    yield _reading(names, "ERROR", _VALUE + 20, y, 70)
    yield _note("worker", _VALUE + 100, y, 46)
    yield _reading(names, "WORKER", _VALUE + 148, y, 70)
    yield _note("restarts", _RIGHT - 180, y, 52)
    yield _reading(names, "RESTARTS", _RIGHT - 126, y, 50)


def _connect(names: Names, y: int) -> Iterator[Widget]:
    yield _name("CONNECT", y)
    yield _lamp(names, _VALUE, y, _is(names, "CONNECT", 0, Role.GOOD, Role.CONNECT))
    yield _reading(names, "CONNECT", _VALUE + 20, y, 70)
    yield _reading(names, "CONNECT_S", _VALUE + 96, y, _RIGHT - _VALUE - 96)


def _why(names: Names, y: int) -> Iterator[Widget]:
    yield _name("WHY", y)
    command = _window(f"why is {names.node} not OK", "guardctrl", "why", names.node)
    yield Shell(box=Box(_LEFT, y + 24, 76, _HIGH), text="whole text", command=command)
    yield Reading(box=Box(_VALUE, y, _RIGHT - _VALUE, 64), pv=names.pv("WHY"), lines=4)


def _messages(names: Names, y: int) -> Iterator[Widget]:
    yield _name("USERMSG", y)
    yield _lamp(names, _LEFT, y + 22, _is(names, "NOTIFICATION", 0, Role.GOOD, Role.LOOK))
    yield _note("quiet", _LEFT + 20, y + 22, 66)
    parts = tuple(names.pv(f"USERMSG{line}") for line in range(5))
    yield Reading(box=Box(_VALUE, y, _RIGHT - _VALUE, 90), pv=names.pv("USERMSG"), lines=5, parts=parts)


def _guardian(names: Names, y: int) -> Iterator[Widget]:
    yield _name("GRDMSG", y)
    yield Reading(box=Box(_VALUE, y, _RIGHT - _VALUE, 36), pv=names.pv("GRDMSG"), lines=2)


def _set_points(names: Names, y: int) -> Iterator[Widget]:
    yield _name("SET POINTS", y)
    yield _lamp(names, _VALUE, y, [*lamps(names)][4])
    yield _note("as set", _VALUE + 20, y, 44)
    yield _note("changed", _VALUE + 70, y, 52)
    yield _reading(names, "SPM_CHANGED", _VALUE + 124, y, 36)
    yield _note("of", _VALUE + 166, y, 16)
    yield _reading(names, "SPM_TOTAL", _VALUE + 184, y, 36)
    yield _note("watch", _RIGHT - 180, y, 44)
    yield _choice(names, "SPM_MONITOR", _RIGHT - 132, y, 132)


def _menu(names: Names, graph: Graph, y: int) -> Iterator[Widget]:
    """A button for each state on the menu."""
    menu = in_order(graph[state] for state in graph.menu)
    yield Panel(box=Box(0, y, WIDTH, 22), colour=Role.BAR)
    many = len(menu) > MOST_BUTTONS
    text = f"request: {len(menu)} states are on the menu, see all states" if many else "request"
    yield Label(box=Box(_LEFT, y + 1, WIDTH - 20, 20), text=text, colour=Role.ON_BAR, bold=True)
    if many or not menu:
        return
    columns = max(1, min(len(menu), (WIDTH - 2 * _LEFT + 4) // (button_width(menu) + 4)))
    width = (WIDTH - 2 * _LEFT + 4) // columns - 4
    rows = -(-len(menu) // columns)
    for place, state in enumerate(menu):
        x = _LEFT + place // rows * (width + 4)
        yield ask(names, state, Box(x, y + 28 + place % rows * ROW, width, ROW - 3))
