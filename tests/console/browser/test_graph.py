"""The graph page: moved about with the mouse and with keys, live, and of use where nothing can draw it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.console.browser.operating import Site
from tests.console.consoling import GuardianConsole
from tests.support.browser import Browser, needs_browser

pytestmark = [pytest.mark.ca, pytest.mark.proc, needs_browser]
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
BOX = "document.querySelector('.picture svg').getAttribute('viewBox')"


@needs_dot
def test_the_picture_is_moved_by_keys_wheel_and_buttons(site: Site, browser: Browser) -> None:
    site.visit(browser, "/n/OVEN/graph")
    browser.wait("document.querySelector('#s-COLD.is-current') !== null")
    seen = [browser.eval(BOX)]
    browser.eval("document.querySelector('.view').focus()")
    for step in (
        lambda: browser.keys("+"),
        lambda: browser.keys("ArrowDown"),
        lambda: browser.click("Smaller", "button"),
        lambda: browser.eval(
            "document.querySelector('.view').dispatchEvent(new WheelEvent('wheel', {deltaY: -200, clientX: 300,"
            " clientY: 300, cancelable: true}))"
        ),
        lambda: browser.click("All", "button"),
    ):
        step()
        seen.append(browser.eval(BOX))
    assert len(set(seen)) == len(seen), seen


@needs_dot
def test_a_state_that_is_pressed_tells_about_itself_and_stands_in_the_address(site: Site, browser: Browser) -> None:
    site.visit(browser, "/n/OVEN/graph")
    browser.wait("document.querySelector('#s-HOT text') !== null")
    browser.wait_text("Usually", ".about")  # all is there, and nothing moves any more
    browser.press("#s-HOT")
    browser.wait_text("As it is used.", ".about")
    assert browser.eval("location.search") == "?state=HOT"
    browser.click("edges back", "label")
    browser.wait("getComputedStyle(document.querySelector('#page .edge.back')).display === 'none'")
    browser.click("Request this…", "button")
    browser.wait_text("HOT", "dialog .preview .way li:last-child")


def test_without_dot_there_is_its_sentence_and_the_list(site: Site, browser: Browser, tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path)}
    with GuardianConsole(site.house, env=nowhere) as console:
        console.wait("/api/nodes/OVEN", lambda node: node["graph"])
        browser.open(f"http://{console.address}/n/OVEN/graph")
        browser.wait_text("Graphviz", ".picture .nothing")
        browser.wait_text("Nothing is heated.", ".twin")
        browser.click("HOT", "button")
        browser.wait_text("As it is used.", ".about")
    browser.complaints = [one for one in browser.complaints if "503" not in one and "WebSocket" not in one]
