"""What is on the screens: each state in its place, each button writes the right thing, nothing lies on another."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from guardian.core.interface import BY_NAME
from guardian.core.names import PV_TEMPLATE
from guardian.core.screens.colours import MEDM, PALETTE, Role
from guardian.core.screens.model import (
    Box,
    Choice,
    Embed,
    Entry,
    Form,
    Label,
    Open,
    Press,
    Reading,
    Screen,
    Shape,
    plain,
)
from guardian.core.screens.naming import file_of
from guardian.core.screens.node import MOST_BUTTONS, node
from guardian.core.screens.states import in_order, states
from guardian.core.screens.strip import HEIGHT, WIDTH, strip
from guardian.core.screens.wall import ALONE, trees, wall
from guardian.errors import ExpectedError
from tests.core.screens.pages import LARGE, ODD, STRANGE, USUAL, graph, names, pages

PAGES = {screen.file: screen for screen in pages()}


def presses(screen: Screen) -> dict[str, Press]:
    return {widget.text: widget for widget in screen.widgets if isinstance(widget, Press)}


def luminance(role: Role) -> float:
    parts = [part / 255 for part in bytes.fromhex(PALETTE[role])]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(front: Role, back: Role) -> float:
    light, dark = sorted((luminance(front), luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


@pytest.mark.parametrize("name", PAGES)
def test_all_is_on_the_page_and_nothing_lies_on_what_is_read_or_pressed(name: str):
    screen = PAGES[name]
    for widget in screen.widgets:
        box = widget.box
        assert box.x >= 0 and box.y >= 0 and box.width > 0 and box.height > 0, widget
        assert box.x + box.width <= screen.width and box.y + box.height <= screen.height, widget
    solid = [
        widget for widget in screen.widgets if isinstance(widget, (Reading, Entry, Choice, Press, Open, Embed, Label))
    ]
    assert [(a, b) for a, b in combinations(solid, 2) if overlap(a.box, b.box)] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_screen_fits_on_a_monitor(name: str):
    assert PAGES[name].width <= 1900 and PAGES[name].height <= 1070


def test_a_button_for_each_state_writes_its_name_in_the_order_of_numbers():
    screen = states(names(), USUAL)
    found = [widget for widget in screen.widgets if isinstance(widget, Press)]
    assert [(button.value, button.pv) for button in found] == [
        (state, "X1:GRD-SUS_MC1_REQUEST") for state in ("INIT", "DOWN", "LOCKING", "LOCKED")
    ]
    assert [button.box.y for button in found] == sorted(button.box.y for button in found)
    assert presses(screen)["DOWN"].back is Role.GOTO and presses(screen)["LOCKED"].back is Role.REQUESTABLE


def test_states_without_a_number_of_their_own_stand_last_as_they_were_defined():
    numbered = [replace(state, index=index) for state, index in zip(USUAL.states.values(), (0, -2, 7, -3), strict=True)]
    assert [state.name for state in in_order(numbered)] == ["INIT", "LOCKING", "DOWN", "LOCKED"]


def test_three_rings_say_which_state_it_is():
    screen = states(names(), USUAL)
    button = presses(screen)["LOCKED"]
    rings = [w for w in screen.widgets if isinstance(w, Shape) and abs(w.box.y - button.box.y) < 20]
    rings = [
        ring for ring in rings if button.box.y <= ring.box.y + ring.box.height // 2 <= button.box.y + button.box.height
    ]
    whens = [ring.rules[0].when for ring in rings]
    assert [when.pv for when in whens] == [f"X1:GRD-SUS_MC1_{row}" for row in ("NOMINAL_N", "REQUEST_N", "STATE_N")]
    assert {when.value for when in whens} == {30} and {ring.form for ring in rings} == {Form.ELLIPSE}
    diameters = [ring.box.width for ring in rings]
    assert diameters == sorted(diameters, reverse=True)
    centres = {(2 * ring.box.x + ring.box.width, 2 * ring.box.y + ring.box.height) for ring in rings}
    assert len(centres) == 1


def test_many_states_stand_in_columns_and_all_of_them_are_there():
    screen = states(names(), LARGE)
    found = [widget for widget in screen.widgets if isinstance(widget, Press)]
    assert [button.value for button in found] == list(LARGE.states)
    assert len({button.box.x for button in found}) == 4
    assert len({(button.box.x, button.box.y) for button in found}) == 150


def test_a_name_that_not_every_program_can_write_is_asked_for_by_its_number():
    screen = states(names(), STRANGE)
    found = [widget for widget in screen.widgets if isinstance(widget, Press)]
    for button, (number, name) in zip(found, enumerate(ODD), strict=True):
        by_number = any(letter in name for letter in '"$\\')
        wanted = ("REQUEST_N", str(10 * number)) if by_number else ("REQUEST", name)
        assert (button.pv.rpartition("MC1_")[2], button.value) == wanted
        assert button.text == plain(name) and not set(button.text) & set('"$\\')


def test_the_menu_is_what_can_be_requested_and_a_long_one_is_left_to_the_other_screen():
    some = graph(*(f"S{number}" for number in range(30)), menu=2)
    screen = node(names(), some)
    on_menu = [w.value for w in screen.widgets if isinstance(w, Press) and w.pv.endswith("_REQUEST")]
    assert on_menu == list(some.menu) and len(on_menu) == 15
    assert len(LARGE.menu) > MOST_BUTTONS
    screen = node(names(), LARGE)
    assert [w for w in screen.widgets if isinstance(w, Press) and w.pv.endswith("_REQUEST")] == []
    assert "request: 50 states are on the menu, see all states" in [
        w.text for w in screen.widgets if isinstance(w, Label)
    ]
    assert "X1-SUS_MC1_states" in [w.file for w in screen.widgets if isinstance(w, Open)]


def test_the_screen_of_a_node_shows_and_writes_what_it_is_for():
    screen = node(names(), USUAL)
    read = {w.pv.removeprefix("X1:GRD-SUS_MC1_") for w in screen.widgets if isinstance(w, Reading)}
    assert read >= {
        "STATE_S", "STATE_N", "TARGET_S", "NOMINAL_S", "STATUS", "LOAD_STATUS", "ERROR", "CONNECT", "CONNECT_S",
        "MANAGER", "WHY", "USERMSG", "GRDMSG", "SPM_CHANGED",
    }  # fmt: skip
    shapes = {pv for w in screen.widgets if isinstance(w, Shape) for rule in w.rules for pv in rule.when.pvs}
    assert {f"X1:GRD-SUS_MC1_{row}" for row in ("NOTIFICATION", "OK", "STALLED", "ERROR", "CONNECT")} <= shapes
    choices = [w.pv.removeprefix("X1:GRD-SUS_MC1_") for w in screen.widgets if isinstance(w, Choice)]
    assert choices == ["OP", "MODE", "SPM_MONITOR"]
    assert [w.pv for w in screen.widgets if isinstance(w, Entry)] == ["X1:GRD-SUS_MC1_REQUEST"]
    assert {w.pv.removeprefix("X1:GRD-SUS_MC1_"): w.value for w in screen.widgets if isinstance(w, Press)} == {
        "REENTER": "1", "RESET_FAILED": "1", "LOAD": "1", "REQUEST": "LOCKED",
    }  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_what_writes_a_pv_may_write_it_and_what_is_read_is_there(name: str):
    for widget in PAGES[name].widgets:
        if isinstance(widget, (Entry, Choice, Press)):
            assert BY_NAME[_row(widget.pv)].writable
        elif isinstance(widget, Reading):
            assert _row(widget.pv) in BY_NAME


def _row(pv: str) -> str:
    return max((row for row in BY_NAME if pv.endswith(f"_{row}")), key=len)


def test_the_strip_is_as_large_as_sites_expect_and_has_only_colours_of_the_map_it_will_be_drawn_in():
    screen = strip(PV_TEMPLATE, "X1")
    assert (screen.width, screen.height) == (WIDTH, HEIGHT) == (260, 15)
    shapes = [widget for widget in screen.widgets if isinstance(widget, Shape)]
    used = {rule.colour for shape in shapes for rule in shape.rules} | {shape.base for shape in shapes}
    assert {PALETTE[role] for role in used} <= set(MEDM) and len(MEDM) == 65
    assert len(shapes) == 6
    pvs = {pv for shape in shapes for rule in shape.rules for pv in rule.when.pvs}
    assert {pv.partition("$(IFO):GRD-$(SYSTEM)_")[2] for pv in pvs} == {
        "ERROR", "OP", "CONNECT", "MODE", "NOTIFICATION", "STATE_N", "REQUEST_N", "STALLED", "OK", "SPM_MONITOR",
        "SPM_CHANGED",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("template", "ifo", "pv"),
    [
        (PV_TEMPLATE, "X1", "$(IFO):GRD-$(SYSTEM)_MODE"),
        (PV_TEMPLATE, "", "GRD-$(SYSTEM)_MODE"),
        ("LAB:{node}:{name}", "X1", "LAB:$(SYSTEM):MODE"),
    ],
)
def test_the_strip_names_pvs_as_the_site_does(template: str, ifo: str, pv: str):
    assert {shape.link for shape in strip(template, ifo).widgets if isinstance(shape, Shape)} == {pv}


def test_words_can_be_read_on_what_they_stand_on():
    for screen in PAGES.values():
        for widget in screen.widgets:
            if isinstance(widget, Reading):
                assert contrast(widget.colour, widget.back) >= 4.5, widget
            elif isinstance(widget, Press):
                assert contrast(Role.TEXT, widget.back) >= 4.5, widget
            elif isinstance(widget, Label):
                assert contrast(widget.colour, Role.BAR if widget.colour is Role.ON_BAR else Role.PAGE) >= 4.5, widget


def test_who_is_managed_stands_below_the_manager():
    managed = {"IFO": ("ALIGN", "LOCK"), "ALIGN": ("MC1", "MC2", "ELSEWHERE"), "LOCK": (), "B": ("C",), "C": ("B",)}
    found, alone = trees(("MC2", "MC1", "LOCK", "OVEN", "IFO", "C", "B", "ALIGN"), managed)
    assert found == [[("IFO", 0), ("ALIGN", 1), ("MC1", 2), ("MC2", 2), ("LOCK", 1)], [("B", 0), ("C", 1)]]
    assert alone == [("OVEN", 0)]


def test_the_wall_has_each_node_once_with_what_its_macros_are():
    screen = wall(("OVEN", "ALIGN", "MC1"), {"ALIGN": ("MC1",)}, ifo="X1")
    strips = [widget for widget in screen.widgets if isinstance(widget, Embed)]
    assert [dict(one.macros)["SYSTEM"] for one in strips] == ["ALIGN", "MC1", "OVEN"]
    assert {(one.file, dict(one.macros)["IFO"]) for one in strips} == {("X1-strip", "X1")}
    assert strips[1].box.x > strips[0].box.x == strips[2].box.x
    assert ALONE in [widget.text for widget in screen.widgets if isinstance(widget, Label)]
    many = [w for w in PAGES["X1-wall"].widgets if isinstance(w, Embed)]
    assert len({dict(one.macros)["SYSTEM"] for one in many}) == len(many) == 60
    assert [(a, b) for a, b in combinations(many, 2) if overlap(a.box, b.box)] == []


def test_no_two_screens_have_one_file():
    assert len(PAGES) == len(pages())
    assert file_of("X1", "SUS_STATES") != names("SUS").states
    with pytest.raises(ExpectedError, match="'A/B' cannot begin the name of a file"):
        file_of("A/B", "SUS")
