"""What a screen is made of, for every program that shows it.

A screen is a page with widgets on it, each in a box of pixels, in the order in which they are drawn. What a widget does
is what all three programs can: a thing that one of them lacks is not here.

Text may have macros, ``$(IFO)``, which the program fills in when it opens the screen. Text of users goes through
:func:`plain` first, so it has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from guardian.core.screens.colours import Role

#: What stands for a character that not every program can show.
STAND_IN = "?"
#: An .adl file has no way to write the first, all three begin macros with the second, and a path in Phoebus and the
#: strings of PyDM's compiler take the third for an escape.
_NOT_PLAIN = '"$\\'


def plain(text: str) -> str:
    """As much of a text as every program shows as it is."""
    return "".join(c if c.isprintable() and c not in _NOT_PLAIN else STAND_IN for c in text)


class Align(Enum):
    """Where text stands in its box."""

    LEFT = "left"
    CENTRE = "centre"


class Form(Enum):
    """What a shape looks like."""

    RECTANGLE = "rectangle"
    ELLIPSE = "ellipse"


@dataclass(frozen=True, slots=True)
class Box:
    """Where a widget is, in pixels, from the upper left corner of the screen."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A condition: a PV is this number, or the same as another PV; with ``differs``, is not."""

    pv: str
    value: int | str
    differs: bool = False

    @property
    def pvs(self) -> tuple[str, ...]:
        """All PVs that it asks."""
        return (self.pv, self.value) if isinstance(self.value, str) else (self.pv,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The colour of a shape as long as a condition holds."""

    when: When
    colour: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Words that stay."""

    box: Box
    text: str
    colour: Role = Role.TEXT
    align: Align = Align.LEFT
    size: int = 12
    bold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The value of a PV, as text.

    Parameters
    ----------
    lines : how many there is room for; MEDM shows one.
    parts : PVs that say the same, each a line of it, for MEDM.
    """

    box: Box
    pv: str
    colour: Role = Role.TEXT
    back: Role = Role.FIELD
    align: Align = Align.LEFT
    size: int = 12
    bold: bool = False
    lines: int = 1
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A field to type the value of a PV."""

    box: Box
    pv: str
    size: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A button for each label of an enum, side by side; the present one is pressed."""

    box: Box
    pv: str
    size: int = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button that writes a value."""

    box: Box
    text: str
    pv: str
    value: str
    back: Role = Role.BUTTON
    size: int = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A rectangle or an ellipse that tells by its colour.

    Parameters
    ----------
    base : its colour where no rule holds. rules : the first that holds counts.
    link : a PV; where it does not answer, the shape shows that, as far as the program can. "": others show it.
    """

    box: Box
    link: str = ""
    base: Role = Role.UNKNOWN
    rules: tuple[Rule, ...] = ()
    form: Form = Form.RECTANGLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A rectangle that stays as it is."""

    box: Box
    colour: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A button that opens another screen, whose file is named without its ending."""

    box: Box
    text: str
    file: str
    size: int = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A button that runs a program on the machine of the operator."""

    box: Box
    text: str
    command: tuple[str, ...]
    size: int = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Another screen in this one, whose file is named without its ending, with what its macros are."""

    box: Box
    file: str
    macros: tuple[tuple[str, str], ...]


Widget = Label | Reading | Entry | Choice | Press | Shape | Panel | Open | Shell | Embed


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """A page. ``file``: what it is saved as, without the ending."""

    file: str
    title: str
    width: int
    height: int
    widgets: tuple[Widget, ...]
