"""Writes a screen as PyDM reads it: a ``.ui`` file of Qt Designer, which is XML.

Widgets are PyDM's own, placed by pixels. Macros are written ``${IFO}`` there. A shape gets its colour by a rule, a line
of Python that PyDM evaluates when one of its channels has changed. No rule is told that a channel is lost: that turns
the shape white as an alarm does, and as the link is a channel of the rule, too, its colour is back when the link is.
"""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from guardian.core.screens.colours import PALETTE, Role
from guardian.core.screens.model import (
    Align,
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

SUFFIX = ".ui"
#: What a value says while its PV does not answer.
NO_LINK = "no link"
#: Pixels that it needs.
_ROOM = 56
#: Widgets: what each extends, and where it is.
CLASSES = {
    "PyDMLabel": ("QLabel", "pydm.widgets.label"),
    "PyDMLineEdit": ("QLineEdit", "pydm.widgets.line_edit"),
    "PyDMEnumButton": ("QWidget", "pydm.widgets.enum_button"),
    "PyDMPushButton": ("QPushButton", "pydm.widgets.pushbutton"),
    "PyDMDrawingRectangle": ("QWidget", "pydm.widgets.drawing"),
    "PyDMDrawingEllipse": ("QWidget", "pydm.widgets.drawing"),
    "PyDMRelatedDisplayButton": ("QPushButton", "pydm.widgets.related_display_button"),
    "PyDMShellCommand": ("QPushButton", "pydm.widgets.shell_command"),
    "PyDMEmbeddedDisplay": ("QFrame", "pydm.widgets.embedded_display"),
}
_FORMS = {Form.RECTANGLE: "PyDMDrawingRectangle", Form.ELLIPSE: "PyDMDrawingEllipse"}
_ALIGN = {Align.LEFT: "Qt::AlignLeft|Qt::AlignVCenter", Align.CENTRE: "Qt::AlignCenter"}
_FONT = "'Liberation Sans', 'DejaVu Sans', sans-serif"
#: A shape whose link is lost.
_LOST = f'*[alarmSensitiveContent="true"][alarmSeverity="4"] {{ qproperty-brush: #{PALETTE[Role.UNKNOWN]}; }}'
_FRAME = f"border: 1px solid #{PALETTE[Role.LINE]}; padding: 0;"
_MACRO = re.compile(r"\$\((\w+)\)")


def pydm(screen: Screen) -> str:
    """The text of the file."""
    ui = ET.Element("ui", version="4.0")
    ET.SubElement(ui, "class").text = "Form"
    form = ET.SubElement(ui, "widget", {"class": "QWidget", "name": "Form"})
    _geometry(form, 0, 0, screen.width, screen.height)
    for size in ("minimumSize", "maximumSize"):
        bounds = ET.SubElement(ET.SubElement(form, "property", name=size), "size")
        ET.SubElement(bounds, "width").text, ET.SubElement(bounds, "height").text = _both(screen)
    _string(form, "windowTitle", screen.title)
    _string(form, "styleSheet", f"{_sheet('QWidget#Form', back=Role.PAGE)} {_LOST}")
    for number, widget in enumerate(screen.widgets):
        _Widget(form, widget, number).write()
    customs = ET.SubElement(ui, "customwidgets")
    for name, (base, module) in CLASSES.items():
        custom = ET.SubElement(customs, "customwidget")
        for tag, text in (("class", name), ("extends", base), ("header", module)):
            ET.SubElement(custom, tag).text = text
    ET.indent(ui, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(ui, encoding="unicode")}\n'


def _both(screen: Screen) -> tuple[str, str]:
    return str(screen.width), str(screen.height)


class _Widget:
    """Writes one widget into the form."""

    def __init__(self, form: ET.Element, widget: Widget, number: int) -> None:
        self._form = form
        self._widget = widget
        self._number = number
        self._made = form

    def write(self) -> None:
        match self._widget:
            case Label() as label:
                self._begin("QLabel")
                self._string("text", label.text)
                self._enum("textFormat", "Qt::PlainText")
                self._style("QLabel", label.size, label.colour, bold=label.bold)
                self._align(label.align)
            case Reading() as reading:
                self._begin("PyDMLabel")
                self._channel(reading.pv)
                self._style(
                    "PyDMLabel",
                    reading.size,
                    reading.colour,
                    reading.back,
                    bold=reading.bold,
                    more="padding: 0 3px;",
                )
                self._align(reading.align, top=reading.lines > 1)
                self._bool("wordWrap", reading.lines > 1)
                self._string("disconnectedText", NO_LINK if reading.box.width >= _ROOM else "?")
                self._enum("displayFormat", "PyDMLabel::String")
            case Entry() as entry:
                self._begin("PyDMLineEdit")
                self._channel(entry.pv)
                self._style("PyDMLineEdit", entry.size, Role.TEXT, Role.INPUT)
                self._enum("displayFormat", "PyDMLineEdit::String")
            case Choice() as choice:
                self._choice(choice)
            case Press() as press:
                self._begin("PyDMPushButton")
                self._button(press.text, press.size, press.back)
                self._channel(press.pv)
                self._string("pressValue", press.value)
            case Open() as opens:
                self._begin("PyDMRelatedDisplayButton")
                self._button(opens.text, opens.size)
                self._bool("showIcon", False)
                self._bool("openInNewWindow", True)
                self._strings("filenames", opens.file + SUFFIX)
                if "$(" in opens.file:
                    self._strings("macros", json.dumps({"IFO": "$(IFO)", "SYSTEM": "$(SYSTEM)"}))
            case Shell() as shell:
                self._begin("PyDMShellCommand")
                self._button(shell.text, shell.size)
                self._bool("showIcon", False)
                self._bool("allowMultipleExecutions", True)
                self._strings("commands", shlex.join(shell.command))
            case Shape() as shape:
                self._begin(_FORMS[shape.form])
                self._brush(shape.base)
                self._pen(Role.LINE)
                if shape.link:
                    self._channel(shape.link)
                    self._bool("alarmSensitiveContent", True)
                self._string("rules", json.dumps([_rule(shape)]))
            case Panel() as panel:
                self._begin("QLabel")
                self._string("styleSheet", _sheet("QLabel", back=panel.colour))
            case Embed() as embed:
                self._begin("PyDMEmbeddedDisplay")
                self._string("macros", json.dumps(dict(embed.macros)))
                self._string("filename", embed.file + SUFFIX)

    def _choice(self, choice: Choice) -> None:
        self._begin("PyDMEnumButton")
        self._channel(choice.pv)
        self._style("QPushButton", choice.size, Role.TEXT, Role.BUTTON, more=_FRAME, pressed=Role.STATE)
        self._enum("orientation", "Qt::Horizontal")
        for where in ("Top", "Bottom", "Left", "Right"):
            self._number_property(f"margin{where}", 0)
        for way in ("horizontalSpacing", "verticalSpacing"):
            self._number_property(way, 2)

    def _begin(self, kind: str) -> None:
        name = f"{kind.removeprefix('PyDM')}_{self._number}"
        self._made = ET.SubElement(self._form, "widget", {"class": kind, "name": name})
        box = self._widget.box
        _geometry(self._made, box.x, box.y, box.width, box.height)

    def _button(self, text: str, size: int, back: Role = Role.BUTTON) -> None:
        self._string("text", text.replace("&", "&&"))  # a single one would underline the next letter
        self._style("QPushButton", size, Role.TEXT, back, more=_FRAME)

    def _style(
        self,
        kind: str,
        size: int,
        front: Role,
        back: Role | None = None,
        *,
        bold: bool = False,
        more: str = "",
        pressed: Role | None = None,
    ) -> None:
        """How widgets of a kind look, and those of them that do not answer."""
        font = f"font: {'bold ' if bold else ''}{size}px {_FONT};"
        rules = [_sheet(kind, front, back, f"{font} {more}".strip())]
        rules += [_sheet(f"{kind}:checked", back=pressed, more="font-weight: bold;")] if pressed is not None else []
        rules += [_sheet(f"{kind}:disabled", Role.LINE, Role.UNKNOWN)] if back is not None else []
        self._string("styleSheet", " ".join(rules))

    def _align(self, align: Align, *, top: bool = False) -> None:
        value = "Qt::AlignLeft|Qt::AlignTop" if top else _ALIGN[align]
        ET.SubElement(ET.SubElement(self._made, "property", name="alignment"), "set").text = value

    def _channel(self, pv: str) -> None:
        self._string("channel", f"ca://{pv}")

    def _brush(self, role: Role) -> None:
        brush = ET.SubElement(ET.SubElement(self._made, "property", name="brush", stdset="0"), "brush")
        brush.set("brushstyle", "SolidPattern")
        _colour(brush, role)

    def _pen(self, role: Role) -> None:
        self._enum("penStyle", "Qt::SolidLine")
        _colour(ET.SubElement(self._made, "property", name="penColor", stdset="0"), role)
        ET.SubElement(ET.SubElement(self._made, "property", name="penWidth", stdset="0"), "double").text = "1"

    def _string(self, name: str, text: str) -> None:
        _string(self._made, name, text)

    def _strings(self, name: str, text: str) -> None:
        strings = ET.SubElement(ET.SubElement(self._made, "property", name=name, stdset="0"), "stringlist")
        ET.SubElement(strings, "string").text = _macros(text)

    def _bool(self, name: str, value: bool) -> None:
        ET.SubElement(ET.SubElement(self._made, "property", name=name, stdset="0"), "bool").text = str(value).lower()

    def _enum(self, name: str, value: str) -> None:
        ET.SubElement(ET.SubElement(self._made, "property", name=name, stdset="0"), "enum").text = value

    def _number_property(self, name: str, value: int) -> None:
        ET.SubElement(ET.SubElement(self._made, "property", name=name, stdset="0"), "number").text = str(value)


def _sheet(selector: str, front: Role | None = None, back: Role | None = None, more: str = "") -> str:
    """A rule of a Qt style sheet."""
    parts = [f"color: #{PALETTE[front]};"] if front is not None else []
    parts += [f"background-color: #{PALETTE[back]};"] if back is not None else []
    return f"{selector} {{ {' '.join([*parts, more]).strip()} }}"


def _rule(shape: Shape) -> Mapping[str, object]:
    """The colour as a line of Python; ``ch`` are the values, None as long as there is none."""
    pvs = list(dict.fromkeys([*(pv for rule in shape.rules for pv in rule.when.pvs), *filter(None, [shape.link])]))
    base = _painted(shape.base)
    tried = "".join(f"{_painted(rule.colour)} if {_expression(rule.when, pvs)} else " for rule in shape.rules)
    return {
        "name": "colour",
        "property": "Set Brush Color",
        "expression": f"{base} if None in ch else {tried}{base}",
        "channels": [{"channel": _macros(f"ca://{pv}"), "trigger": True, "use_enum": False} for pv in pvs],
    }


def _painted(role: Role) -> str:
    return f"QBrush(QColor('#{PALETTE[role]}'))"


def _expression(when: When, pvs: list[str]) -> str:
    first, *second = (f"ch[{pvs.index(pv)}]" for pv in when.pvs)
    return f"{first} {'!=' if when.differs else '=='} {second[0] if second else when.value}"


def _macros(text: str) -> str:
    return _MACRO.sub(r"${\1}", text)


def _string(made: ET.Element, name: str, text: str) -> None:
    string = ET.SubElement(ET.SubElement(made, "property", name=name, stdset="0"), "string", notr="true")
    string.text = _macros(text)


def _geometry(made: ET.Element, x: int, y: int, width: int, height: int) -> None:
    rect = ET.SubElement(ET.SubElement(made, "property", name="geometry"), "rect")
    for tag, value in (("x", x), ("y", y), ("width", width), ("height", height)):
        ET.SubElement(rect, tag).text = str(value)


def _colour(parent: ET.Element, role: Role) -> None:
    colour = ET.SubElement(parent, "color", alpha="255")
    for tag, value in zip(("red", "green", "blue"), bytes.fromhex(PALETTE[role]), strict=True):
        ET.SubElement(colour, tag).text = str(value)
