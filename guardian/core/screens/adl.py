"""Writes a screen as MEDM reads it: an ``.adl`` file.

Such a file is blocks of ``name { ... }`` with ``key=value`` in them. Facts of MEDM's source that shaped this:

* A text in quotes ends at the next quote, and there is no way to write one: what has one is refused.
* A shape has one colour. Others are laid over it, each visible while its condition holds, the first rule on top.
* A message button writes its text to a PV of strings, and the number of a label, or a number, to any other.
* What is embedded is a ``composite`` with a ``composite file``, and is drawn in the map of colours of the screen around
  it. So the map is MEDM's own; colours that are not in it take the places of the last ones.
* A text update shows 63 characters in one line, in a font as high as its box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guardian.core.screens.colours import MEDM, PALETTE, Role
from guardian.core.screens.model import (
    Align,
    Box,
    Choice,
    Embed,
    Entry,
    Form,
    Label,
    Open,
    Panel,
    Press,
    Reading,
    Screen,
    Shape,
    Shell,
    When,
    Widget,
)
from guardian.errors import ExpectedError

SUFFIX = ".adl"
#: Of the files that are written: the first that can have a composite file.
VERSION = "030109"
_FORMS = {Form.RECTANGLE: "rectangle", Form.ELLIPSE: "oval"}
_ALIGN = {Align.LEFT: "horiz. left", Align.CENTRE: "horiz. centered"}
#: What a shell leaves as it is.
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@")

Lines = Iterator[str]


def adl(screen: Screen) -> str:
    """The text of the file.

    Raises
    ------
    ExpectedError
        A text, or the name of a PV, has a quote.
    """
    map_ = _colour_map(screen)
    writer = _Writer({role: map_.index(PALETTE[role]) for role in Role if PALETTE[role] in map_})
    lines = [
        *_block("file", [f"name={_quoted(screen.file + SUFFIX)}", f"version={VERSION}"]),
        *writer.display(screen),
        *_block('"color map"', [f"ncolors={len(map_)}", *_block("colors", [f"{colour}," for colour in map_])]),
    ]
    for widget in screen.widgets:
        lines += writer.widget(widget)
    return "\n".join(lines) + "\n"


def _colour_map(screen: Screen) -> list[str]:
    """MEDM's own, in which colours of the screen that it lacks have the places of the last ones."""
    lacking = dict.fromkeys(PALETTE[role] for role in _roles(screen.widgets) if PALETTE[role] not in MEDM)
    return [*MEDM[: len(MEDM) - len(lacking)], *lacking]


def _roles(widgets: Iterable[Widget]) -> Iterator[Role]:
    """The colours that differ from widget to widget; those of the others are all MEDM's."""
    for widget in widgets:
        match widget:
            case Press():
                yield widget.back
            case Panel():
                yield widget.colour
            case Shape():
                yield widget.base
                yield from (rule.colour for rule in widget.rules)


class _Writer:
    """Writes blocks, with colours by their place in the map."""

    def __init__(self, places: dict[Role, int]) -> None:
        self._places = places

    def display(self, screen: Screen) -> Lines:
        box = Box(50, 50, screen.width, screen.height)
        more = ['cmap=""', "gridSpacing=5", "gridOn=0", "snapToGrid=0"]
        yield from _block("display", [*_object(box), *self._colours(Role.TEXT, Role.PAGE), *more])

    def widget(self, widget: Widget) -> Lines:
        match widget:
            case Label():
                texts = [f"textix={_quoted(widget.text)}", f'align="{_ALIGN[widget.align]}"']
                yield from _block("text", [*_object(_line(widget)), *self._basic(widget.colour), *texts])
            case Reading():
                yield from self._reading(widget)
            case Entry():
                control = self._channel("control", widget.pv, Role.TEXT, Role.INPUT)
                rest = ['clrmod="static"', 'format="string"', *_block("limits", [])]
                yield from _block('"text entry"', [*_object(widget.box), *control, *rest])
            case Choice():
                control = self._channel("control", widget.pv, Role.TEXT, Role.BUTTON)
                rest = ['clrmod="static"', 'stacking="column"']  # MEDM's word for side by side
                yield from _block('"choice button"', [*_object(widget.box), *control, *rest])
            case Press():
                control = self._channel("control", widget.pv, Role.TEXT, widget.back)
                texts = [f"label={_quoted(widget.text)}", f"press_msg={_quoted(widget.value)}", 'clrmod="static"']
                yield from _block('"message button"', [*_object(widget.box), *control, *texts])
            case Shape():
                yield from self._shape(widget)
            case Panel():
                yield from _block("rectangle", [*_object(widget.box), *self._basic(widget.colour)])
            case Open():
                display = [f"label={_quoted(widget.text)}", f"name={_quoted(widget.file + SUFFIX)}"]
                rest = [f"args={_quoted('IFO=$(IFO),SYSTEM=$(SYSTEM)')}"] if "$(" in widget.file else []
                yield from self._button('"related display"', widget, "display[0]", [*display, *rest])
            case Shell():
                program, *words = widget.command
                args = " ".join(map(_for_shell, words))
                command = [f"label={_quoted(widget.text)}", f"name={_quoted(program)}", f"args={_quoted(f'{args} &')}"]
                yield from self._button('"shell command"', widget, "command[0]", command)
            case Embed():
                macros = ",".join(f"{name}={value}" for name, value in widget.macros)
                file = f'"composite file"={_quoted(f"{widget.file}{SUFFIX};{macros}")}'
                yield from _block("composite", [*_object(widget.box), '"composite name"=""', file])

    def _reading(self, widget: Reading) -> Lines:
        """A line for the value, or one for each part of it."""
        box, height = widget.box, widget.box.height // widget.lines
        rest = ['clrmod="static"', f'align="{_ALIGN[widget.align]}"', 'format="string"', *_block("limits", [])]
        for line, pv in enumerate(widget.parts or (widget.pv,)):
            monitor = self._channel("monitor", pv, widget.colour, widget.back)
            place = _object(Box(box.x, box.y + line * height, box.width, height))
            yield from _block('"text update"', [*place, *monitor, *rest])

    def _shape(self, widget: Shape) -> Lines:
        form = _FORMS[widget.form]
        link = _block('"dynamic attribute"', [f"chan={_quoted(widget.link or widget.rules[0].when.pv)}"])
        yield from _block(form, [*_object(widget.box), *self._basic(widget.base), *link])
        for rule in reversed(widget.rules):
            condition = _block('"dynamic attribute"', [*_visible(rule.when)])
            yield from _block(form, [*_object(widget.box), *self._basic(rule.colour), *condition])
        line = [f"clr={self._places[Role.LINE]}", 'fill="outline"', "width=1"]
        yield from _block(form, [*_object(widget.box), *_block('"basic attribute"', line)])

    def _button(self, name: str, widget: Open | Shell, what: str, contents: list[str]) -> Lines:
        colours = self._colours(Role.TEXT, Role.BUTTON)
        label = f"label={_quoted(f'-{widget.text}')}"  # the dash: words instead of MEDM's picture
        yield from _block(name, [*_object(widget.box), *_block(what, contents), *colours, label])

    def _basic(self, colour: Role) -> Lines:
        yield from _block('"basic attribute"', [f"clr={self._places[colour]}"])

    def _colours(self, front: Role, back: Role) -> list[str]:
        return [f"clr={self._places[front]}", f"bclr={self._places[back]}"]

    def _channel(self, name: str, pv: str, front: Role, back: Role) -> Lines:
        yield from _block(name, [f"chan={_quoted(pv)}", *self._colours(front, back)])


def _visible(when: When) -> Lines:
    """The condition as MEDM has it: A and B are the channels."""
    first, *second = when.pvs
    yield 'vis="calc"'
    yield f'calc="A{"!=" if when.differs else "=="}{"B" if second else when.value}"'
    yield f"chan={_quoted(first)}"
    yield from (f"chanB={_quoted(pv)}" for pv in second)


def _line(label: Label) -> Box:
    """The middle of its box: no higher than its letters, as MEDM takes the largest font that fits."""
    box, height = label.box, min(label.size + 3, label.box.height)
    return Box(box.x, box.y + (box.height - height) // 2, box.width, height)


def _object(box: Box) -> Lines:
    yield from _block("object", [f"x={box.x}", f"y={box.y}", f"width={box.width}", f"height={box.height}"])


def _block(name: str, contents: Iterable[str]) -> Lines:
    yield f"{name} {{"
    yield from (f"\t{line}" for line in contents)
    yield "}"


def _quoted(text: str) -> str:
    if '"' in text:
        raise ExpectedError(
            f"{text} has a quotation mark, which no {SUFFIX} file can hold; use a format that can (--bob, --pydm)"
        )
    return f'"{text}"'


def _for_shell(word: str) -> str:
    """A word that a shell takes as one, without double quotes."""
    return word if set(word) <= _SAFE else f"'{word}'"
