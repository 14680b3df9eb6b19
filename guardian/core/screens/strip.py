"""The strip: a node in one line of 260 by 15 pixels, to be embedded in any screen, with the macros IFO and SYSTEM.

From left to right: a button with the name of the node, which opens its screen; the present state; five lamps. The strip
itself has the colour of the worst that there is to say. That is how Guardian's own mini screen looks, and those that
sites have made of it, but for a node that is stopped, which is grey here.

=============  =============================  =========================
lamp           green                          otherwise
=============  =============================  =========================
notification   user code has nothing to say   yellow
request        STATE is REQUEST               orange
stalled        no                             yellow
OK             yes                            orange
set points     all are as they were set       yellow; grey: not watched
=============  =============================  =========================
"""

from __future__ import annotations

from collections.abc import Iterator

from guardian.core.screens.colours import Role
from guardian.core.screens.model import Box, Open, Reading, Rule, Screen, Shape, When, Widget
from guardian.core.screens.naming import NODE, Names, any_node, file_of
from guardian.enums import Connect, ErrorKind, Mode, Op

WIDTH, HEIGHT = 260, 15
_BUTTON, _STATE, _LAMPS, _LAMP = 2, 88, 214, 9  # where each begins, and the step from lamp to lamp


def strip(template: str, ifo: str) -> Screen:
    """The strip of any node of a site."""
    names = any_node(template, ifo)
    widgets: list[Widget] = [
        Shape(box=Box(0, 0, WIDTH, HEIGHT), link=names.pv("MODE"), rules=condition(names)),
        Open(box=Box(_BUTTON, 1, _STATE - _BUTTON - 2, 13), text=NODE, file=names.screen, size=9),
        Reading(
            box=Box(_STATE, 1, _LAMPS - _STATE - 3, 13),
            pv=names.pv("STATE_S"),
            back=Role.STATE,
            size=9,
        ),
        *(
            Shape(box=Box(_LAMPS + _LAMP * place, 2, 7, 11), link=names.pv("MODE"), rules=rules)
            for place, rules in enumerate(lamps(names))
        ),
    ]
    return Screen(file=strip_file(ifo), title="guardian node", width=WIDTH, height=HEIGHT, widgets=tuple(widgets))


def strip_file(ifo: str) -> str:
    """What it is saved as."""
    return file_of(ifo, "strip")


def condition(names: Names) -> tuple[Rule, ...]:
    """The colour of a node, the worst first."""

    def rule(row: str, value: int, colour: Role, *, differs: bool = False) -> Rule:
        return Rule(when=When(pv=names.pv(row), value=value, differs=differs), colour=colour)

    return (
        rule("ERROR", ErrorKind.ERROR, Role.ERROR),  # while it waits for a channel ERROR is Connect
        rule("OP", Op.STOP, Role.STOP),
        rule("OP", Op.PAUSE, Role.PAUSE),
        rule("CONNECT", Connect.OK, Role.CONNECT, differs=True),
        rule("MODE", Mode.MANUAL, Role.MANUAL),
        rule("MODE", Mode.MANAGED, Role.MANAGED),
        rule("MODE", Mode.AUTO, Role.AUTO),
    )


def lamps(names: Names) -> Iterator[tuple[Rule, ...]]:
    """What the five lamps go by, from left to right."""

    def lamp(row: str, good: int | str, other: Role) -> tuple[Rule, ...]:
        pv = names.pv(row)
        return (
            Rule(when=When(pv=pv, value=good), colour=Role.GOOD),
            Rule(when=When(pv=pv, value=good, differs=True), colour=other),
        )

    yield lamp("NOTIFICATION", 0, Role.LOOK)
    yield lamp("STATE_N", names.pv("REQUEST_N"), Role.AWAY)
    yield lamp("STALLED", 0, Role.LOOK)
    yield lamp("OK", 1, Role.AWAY)
    yield (
        Rule(when=When(pv=names.pv("SPM_CHANGED"), value=0, differs=True), colour=Role.LOOK),
        Rule(when=When(pv=names.pv("SPM_MONITOR"), value=0), colour=Role.OFF),
        Rule(when=When(pv=names.pv("SPM_MONITOR"), value=0, differs=True), colour=Role.GOOD),
    )
