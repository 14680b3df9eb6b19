"""Writes a screen as Phoebus reads it: a ``.bob`` file of its Display Builder, which is XML.

A ``display`` has ``widget`` elements, these their properties, each an element of its own (Phoebus'
``org.csstudio.display.builder.model``). A shape gets its colour by a rule: its expressions are tried in turn, the first
that is true counts.
"""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ET

from guardian.core.screens.colours import Role, rgb
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

SUFFIX = ".bob"
FONT = "Liberation Sans"
#: A text update that shows arrays of characters as the text they are.
_AS_STRING = "6"
#: An embedded display that is neither scaled nor cropped, and a button of which only the words are seen.
_NO_RESIZE = "0"
_FORMS = {Form.RECTANGLE: "rectangle", Form.ELLIPSE: "ellipse"}
_ALIGN = {Align.LEFT: "0", Align.CENTRE: "1"}


def bob(screen: Screen) -> str:
    """The text of the file."""
    root = ET.Element("display", version="2.0.0")
    _text(root, "name", screen.title)
    _text(root, "width", str(screen.width))
    _text(root, "height", str(screen.height))
    _colour(root, "background_color", Role.PAGE)
    _text(root, "grid_visible", "false")
    for number, widget in enumerate(screen.widgets):
        root.append(_widget(widget, number))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _widget(widget: Widget, number: int) -> ET.Element:
    match widget:
        case Label():
            made = _made("label", widget, number)
            _text(made, "text", widget.text)
            _font(made, widget.size, bold=widget.bold)
            _colour(made, "foreground_color", widget.colour)
            _align(made, widget.align)
        case Reading():
            made = _made("textupdate", widget, number)
            _text(made, "pv_name", widget.pv)
            _font(made, widget.size, bold=widget.bold)
            _colour(made, "foreground_color", widget.colour)
            _colour(made, "background_color", widget.back)
            _text(made, "format", _AS_STRING)
            _text(made, "show_units", "false")
            _align(made, widget.align)
            _text(made, "wrap_words", "true" if widget.lines > 1 else "false")
        case Entry():
            made = _made("textentry", widget, number, version="3.0.0")
            _text(made, "pv_name", widget.pv)
            _font(made, widget.size)
            _colour(made, "foreground_color", Role.TEXT)
            _colour(made, "background_color", Role.INPUT)
            _text(made, "format", _AS_STRING)
            _text(made, "show_units", "false")
        case Choice():
            made = _made("choice", widget, number)
            _text(made, "pv_name", widget.pv)
            _font(made, widget.size)
            _colour(made, "foreground_color", Role.TEXT)
            _colour(made, "background_color", Role.BUTTON)
            _colour(made, "selected_color", Role.STATE)
            _text(made, "items_from_pv", "true")
        case Press():
            made = _button(widget, number, "write_pv", {"pv_name": widget.pv, "value": widget.value}, widget.back)
            _text(made, "pv_name", widget.pv)
        case Open():
            made = _button(widget, number, "open_display", {"file": widget.file + SUFFIX, "target": "tab"})
        case Shell():
            made = _button(widget, number, "command", {"command": shlex.join(widget.command)})
        case Shape():
            made = _made(_FORMS[widget.form], widget, number)
            _text(made, "line_width", "1")
            _colour(made, "line_color", Role.LINE)
            _colour(made, "background_color", widget.base)
            _rule(made, widget)
        case Panel():
            made = _made("rectangle", widget, number)
            _text(made, "line_width", "0")
            _colour(made, "background_color", widget.colour)
        case Embed():
            made = _made("embedded", widget, number)
            _text(made, "file", widget.file + SUFFIX)
            macros = ET.SubElement(made, "macros")
            for name, value in widget.macros:
                _text(macros, name, value)
            _text(made, "resize", _NO_RESIZE)
    return made


def _made(kind: str, widget: Widget, number: int, version: str = "2.0.0") -> ET.Element:
    element = ET.Element("widget", type=kind, version=version)
    _text(element, "name", f"{kind} {number}")
    for what in ("x", "y", "width", "height"):
        _text(element, what, str(getattr(widget.box, what)))
    return element


def _button(
    widget: Press | Open | Shell, number: int, action: str, details: dict[str, str], back: Role = Role.BUTTON
) -> ET.Element:
    made = _made("action_button", widget, number, version="3.0.0")
    does = ET.SubElement(ET.SubElement(made, "actions"), "action", type=action)
    _text(does, "description", widget.text)
    for name, value in details.items():
        _text(does, name, value)
    _text(made, "text", widget.text)
    _font(made, widget.size)
    _colour(made, "foreground_color", Role.TEXT)
    _colour(made, "background_color", back)
    return made


def _rule(made: ET.Element, widget: Shape) -> None:
    if not widget.rules:
        return
    pvs = list(dict.fromkeys(pv for rule in widget.rules for pv in rule.when.pvs))
    rules = ET.SubElement(made, "rules")
    rule = ET.SubElement(rules, "rule", name="colour", prop_id="background_color", out_exp="false")
    for one in widget.rules:
        expression = ET.SubElement(rule, "exp", bool_exp=_expression(one.when, pvs))
        _fill(ET.SubElement(expression, "value"), one.colour)
    for pv in pvs:
        _text(rule, "pv_name", pv)


def _expression(when: When, pvs: list[str]) -> str:
    first, *second = (f"pvInt{pvs.index(pv)}" for pv in when.pvs)
    return f"{first} {'!=' if when.differs else '=='} {second[0] if second else when.value}"


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text


def _font(made: ET.Element, size: int, *, bold: bool = False) -> None:
    style = "BOLD" if bold else "REGULAR"
    ET.SubElement(ET.SubElement(made, "font"), "font", family=FONT, style=style, size=f"{size}.0")


def _align(made: ET.Element, align: Align) -> None:
    _text(made, "horizontal_alignment", _ALIGN[align])
    _text(made, "vertical_alignment", "1")


def _colour(made: ET.Element, tag: str, role: Role) -> None:
    _fill(ET.SubElement(made, tag), role)


def _fill(parent: ET.Element, role: Role) -> None:
    red, green, blue = rgb(role)
    ET.SubElement(parent, "color", red=str(red), green=str(green), blue=str(blue), alpha="255")
