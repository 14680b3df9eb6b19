"""Screens as programs read them: adl2pydm, phoebusgen and Qt find every widget, the right PVs, and the same texts."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from guardian.core.names import PV_TEMPLATE
from guardian.core.screens import adl, bob, pydm
from guardian.core.screens.colours import PALETTE, Role
from guardian.core.screens.model import (
    Choice,
    Embed,
    Entry,
    Label,
    Open,
    Panel,
    Press,
    Reading,
    Screen,
    Shape,
    Shell,
    When,
)
from guardian.core.screens.states import states
from guardian.errors import ExpectedError
from tests.core.screens.pages import STRANGE, names, pages

PAGES = {screen.file: screen for screen in pages()}
#: Templates as a site file may have them.
TEMPLATES = [(PV_TEMPLATE, "X1"), (PV_TEMPLATE, ""), ("LAB:{node}:{name}", ""), ("{ifo}<&>'{node}.{name}", "A&B")]
ODD_PAGES = [(screen, template) for template, ifo in TEMPLATES for screen in pages(template=template, ifo=ifo)]


def of(screen: Screen, *kinds: type) -> list[Any]:
    return [widget for widget in screen.widgets if isinstance(widget, kinds)]


# --- MEDM -------------------------------------------------------------------------------------------------------------

adl_parser = pytest.importorskip("adl2pydm.adl_parser", reason="adl2pydm is not installed (extra [test])")


def parsed(screen: Screen, folder: Path) -> Any:
    file = folder / "screen.adl"
    file.write_text(adl.adl(screen))
    page = adl_parser.MedmMainWidget(str(file))
    page.parseAdlBuffer(page.getAdlLines(str(file)))
    return page


def hexadecimal(colour: tuple[int, int, int]) -> str:
    return bytes(colour).hex()


def symbols(page: Any, *wanted: str) -> list[Any]:
    return [widget for widget in page.widgets if widget.symbol in wanted]


@pytest.mark.parametrize("screen", [page for page, _ in ODD_PAGES], ids=lambda screen: screen.file)
def test_adl2pydm_finds_every_widget_with_its_pv(screen: Screen, tmp_path: Path):
    page = parsed(screen, tmp_path)
    assert (page.geometry.width, page.geometry.height) == (screen.width, screen.height)
    for kind, symbol in ((Reading, "text update"), (Entry, "text entry"), (Choice, "choice button")):
        block = "monitor" if kind is Reading else "control"
        found = [widget.contents[block]["chan"] for widget in symbols(page, symbol)]
        assert found == [pv for widget in of(screen, kind) for pv in getattr(widget, "parts", ()) or (widget.pv,)]
    found = [(w.title, w.contents["control"]["chan"], w.contents["press_msg"]) for w in symbols(page, "message button")]
    assert found == [(w.text, w.pv, w.value) for w in of(screen, Press)]
    assert [w.title for w in symbols(page, "text")] == [w.text for w in of(screen, Label)]
    opened = [w.displays[0]["name"] for w in symbols(page, "related display")]
    assert opened == [f"{w.file}.adl" for w in of(screen, Open)]
    assert [w.commands[0]["name"] for w in symbols(page, "shell command")] == [w.command[0] for w in of(screen, Shell)]
    shapes = sum(2 + len(widget.rules) for widget in of(screen, Shape)) + len(of(screen, Panel))
    assert len(symbols(page, "rectangle", "oval")) == shapes


def test_a_colour_lies_over_the_others_as_long_as_its_condition_holds(tmp_path: Path):
    screen = PAGES["X1-strip"]
    page = parsed(screen, tmp_path)
    shape = of(screen, Shape)[0]
    base, *overlays, outline = symbols(page, "rectangle")[: len(shape.rules) + 2]
    assert base.contents["dynamic attribute"] == {"chan": "$(IFO):GRD-$(SYSTEM)_MODE"}
    assert outline.contents["basic attribute"]["fill"] == "outline"
    for overlay, rule in zip(reversed(overlays), shape.rules, strict=True):
        assert overlay.contents["dynamic attribute"]["chan"] == rule.when.pv
        assert overlay.contents["dynamic attribute"]["vis"] == "calc"
        assert hexadecimal(overlay.color) == PALETTE[rule.colour]
    calcs = [widget.contents["dynamic attribute"]["calc"] for widget in overlays]
    assert calcs == ["A==0", "A==1", "A==2", "A!=0", "A==1", "A==0", "A==1"]
    both = next(w for w in symbols(page, "rectangle") if "chanB" in w.contents.get("dynamic attribute", {}))
    assert both.contents["dynamic attribute"]["chanB"] == "$(IFO):GRD-$(SYSTEM)_REQUEST_N"


def test_states_have_the_colours_of_the_graph_also_in_medm(tmp_path: Path):
    screen = PAGES["X1-USUAL_states"]
    page = parsed(screen, tmp_path)
    found = [hexadecimal(widget.background_color) for widget in symbols(page, "message button")]
    assert found == [PALETTE[widget.back] for widget in of(screen, Press)]
    assert len(page.color_table) == 65


def test_a_strip_is_embedded_as_the_file_with_its_macros():
    text = adl.adl(PAGES["X1-wall"])
    assert '"composite file"="X1-strip.adl;IFO=X1,SYSTEM=N00"' in text
    assert text.count('"composite file"') == 60
    assert 'name="$(IFO)-$(SYSTEM).adl"' in adl.adl(PAGES["X1-strip"])


def test_a_quotation_mark_which_no_adl_file_can_hold_is_refused():
    with pytest.raises(ExpectedError, match=r'X"1:GRD-A_MODE has a quotation mark, .*--bob, --pydm'):
        adl.adl(states(names("A", template='X"1:GRD-{node}_{name}', ifo=""), STRANGE))


def test_a_command_of_medm_is_words_that_a_shell_takes_apart_again():
    text = adl.adl(PAGES["X1-USUAL"])
    assert "args=\"-geometry 120x30 -T 'why is USUAL not OK' -hold -e guardctrl why USUAL &\"" in text


# --- Phoebus ----------------------------------------------------------------------------------------------------------

#: What Phoebus' Display Builder knows of the widgets that are used: those of all, and those in the help of each.
COMMON = {"name", "x", "y", "width", "height", "visible", "tooltip", "actions", "rules", "scripts"}
PROPERTIES = {
    "label": {"text", "font", "foreground_color", "background_color", "transparent", "horizontal_alignment",
              "vertical_alignment", "wrap_words"},
    "textupdate": {"pv_name", "font", "foreground_color", "background_color", "format", "precision", "show_units",
                   "horizontal_alignment", "vertical_alignment", "wrap_words"},
    "textentry": {"pv_name", "font", "foreground_color", "background_color", "format", "precision", "show_units"},
    "choice": {"pv_name", "font", "foreground_color", "background_color", "selected_color", "items", "items_from_pv"},
    "action_button": {"pv_name", "text", "font", "foreground_color", "background_color", "confirm_dialog"},
    "rectangle": {"line_width", "line_color", "background_color", "transparent"},
    "ellipse": {"line_width", "line_color", "background_color", "transparent"},
    "embedded": {"file", "macros", "resize", "transparent"},
}  # fmt: skip
ACTIONS = {
    "write_pv": {"description", "pv_name", "value"},
    "open_display": {"description", "file", "target"},
    "command": {"description", "command"},
}


def displayed(screen: Screen) -> ET.Element:
    return ET.fromstring(bob.bob(screen))


@pytest.mark.parametrize("screen", [page for page, _ in ODD_PAGES], ids=lambda screen: screen.file)
def test_phoebus_knows_every_widget_and_property(screen: Screen):
    root = displayed(screen)
    assert (root.tag, root.findtext("width"), root.findtext("height")) == (
        "display",
        str(screen.width),
        str(screen.height),
    )
    assert len(root.findall("widget")) == len(screen.widgets)
    for widget in root.iter("widget"):
        assert {part.tag for part in widget} <= COMMON | PROPERTIES[widget.get("type", "")]
        for action in widget.iter("action"):
            assert {part.tag for part in action} == ACTIONS[action.get("type", "")]
        for rule in widget.iter("rule"):
            count = len(rule.findall("pv_name"))
            assert rule.get("prop_id") == "background_color" and count
            for expression in rule.iter("exp"):
                values = {f"pvInt{number}": 1 for number in range(count)}
                assert eval(expression.get("bool_exp", ""), {}, values) in (True, False)
    names_ = [widget.findtext("name") for widget in root.iter("widget")]
    assert len(set(names_)) == len(names_)


@pytest.mark.parametrize("name", PAGES)
def test_phoebusgen_reads_the_screen_with_its_pvs_texts_and_actions(name: str, tmp_path: Path):
    reader = pytest.importorskip("phoebusgen.v4.screen", reason="phoebusgen is not installed (extra [test])")
    screen, file = PAGES[name], tmp_path / "screen.bob"
    file.write_text(bob.bob(screen))
    page = reader.Screen(f_name=file)
    assert len(page.widgets) == len(screen.widgets)
    for found, meant in zip(page.widgets, screen.widgets, strict=True):
        assert (found.x, found.y, found.width, found.height) == (
            meant.box.x, meant.box.y, meant.box.width, meant.box.height,
        )  # fmt: skip
        if isinstance(meant, (Reading, Entry, Choice)):
            assert found.pv_name == meant.pv
        if isinstance(meant, Press):
            (action,) = found.actions
            assert (action.pv_name, action.value) == (meant.pv, meant.value)
        if isinstance(meant, (Press, Open, Shell, Label)):
            assert found.text == meant.text
        if isinstance(meant, Shape) and meant.rules:
            (rule,) = found.rules
            assert [tuple(one.value)[:3] for one in rule.expressions] == [
                tuple(bytes.fromhex(PALETTE[one.colour])) for one in meant.rules
            ]


# --- PyDM -------------------------------------------------------------------------------------------------------------


def strings(root: ET.Element, prop: str) -> list[str]:
    found = [one.find("string") for one in root.iter("property") if one.get("name") == prop]
    return [one.text or "" for one in found if one is not None]


@pytest.mark.parametrize("screen", [page for page, _ in ODD_PAGES], ids=lambda screen: screen.file)
def test_a_ui_file_has_every_widget_with_its_channel(screen: Screen):
    root = ET.fromstring(pydm.pydm(screen))
    form = root.find("widget")
    assert form is not None and len(form.findall("widget")) == len(screen.widgets)
    wanted = [w.link if isinstance(w, Shape) else w.pv for w in of(screen, Reading, Entry, Choice, Press, Shape)]
    wanted = ["ca://" + re.sub(r"\$\((IFO|SYSTEM)\)", r"${\1}", pv) for pv in wanted if pv]
    assert strings(form, "channel") == wanted
    assert strings(form, "pressValue") == [widget.value for widget in of(screen, Press)]
    assert {one.findtext("class") for one in root.iter("customwidget")} == set(pydm.CLASSES)
    used = {widget.get("class") for widget in form.iter("widget")} - {"QWidget", "QLabel"}
    assert used <= set(pydm.CLASSES)


def test_the_rules_of_pydm_are_python_that_gives_the_colour():
    screen = PAGES["X1-strip"]
    rules = [json.loads(text) for text in strings(ET.fromstring(pydm.pydm(screen)), "rules")]
    assert len(rules) == 6
    paint = {"QBrush": lambda colour: colour, "QColor": lambda text: text}

    def colour(number: int, **values: int) -> str:
        (rule,) = rules[number]
        pvs = [channel["channel"].rpartition("}_")[2] for channel in rule["channels"]]
        return eval(rule["expression"], paint, {"ch": [values.get(pv) for pv in pvs]}).lstrip("#")

    good = {"ERROR": 0, "OP": 2, "CONNECT": 0, "MODE": 0}
    for change, role in (
        ({}, Role.AUTO),
        ({"MODE": 1}, Role.MANAGED),
        ({"MODE": 2}, Role.MANUAL),
        ({"CONNECT": 1, "ERROR": 3}, Role.CONNECT),
        ({"CONNECT": 1, "MODE": 2, "OP": 1}, Role.PAUSE),
        ({"OP": 0}, Role.STOP),
        ({"OP": 1, "ERROR": 1}, Role.ERROR),
    ):
        assert colour(0, **{**good, **change}) == PALETTE[role], change
    assert colour(0, ERROR=0, OP=2) == PALETTE[Role.UNKNOWN], "not all are known yet"
    assert colour(2, STATE_N=7, REQUEST_N=7, MODE=0) == PALETTE[Role.GOOD]
    assert colour(2, STATE_N=7, REQUEST_N=8, MODE=0) == PALETTE[Role.AWAY]
    assert colour(5, SPM_MONITOR=0, SPM_CHANGED=0, MODE=0) == PALETTE[Role.OFF]
    assert colour(5, SPM_MONITOR=1, SPM_CHANGED=2, MODE=0) == PALETTE[Role.LOOK]


def test_macros_are_as_each_program_writes_them():
    assert When(pv="$(IFO):A", value="$(IFO):B").pvs == ("$(IFO):A", "$(IFO):B")
    text = pydm.pydm(PAGES["X1-strip"])
    assert "${IFO}-${SYSTEM}.ui" in text and "$(" not in text
    embedded = json.loads(strings(ET.fromstring(pydm.pydm(PAGES["X1-wall"])), "macros")[0])
    assert embedded == {"IFO": "X1", "SYSTEM": "N00"}
    assert "$(IFO)-$(SYSTEM).bob" in bob.bob(PAGES["X1-strip"])
    macros = displayed(PAGES["X1-wall"]).find("widget[@type='embedded']/macros")
    assert macros is not None and {one.tag: one.text for one in macros} == embedded
    assert of(PAGES["X1-wall"], Embed)[0].file == "X1-strip"
