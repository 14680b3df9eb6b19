"""What nodes say is text: nothing of it is run, and nothing of it becomes part of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.browser.operating import Site
from tests.support import free_port
from tests.support.browser import Browser, needs_browser
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc, needs_browser]
SAYS = "<img src=x onerror=\"window.ran='says'\"><script>window.ran='script'</script>"
STATE = "<IMG SRC=X>&LT;\"'A</TITLE>"
EVIL = f"""\
from guardian import GuardState
nominal = 'ON'
class ON(GuardState):
    "<svg onload=\\"window.ran='doc'\\"> javascript:window.ran=1"
    def run(self):
        notify({SAYS!r})
        return True
class BAD(GuardState):
    request = True
globals()[{STATE!r}] = type('Made', (GuardState,), {{'__doc__': {SAYS!r}, 'request': True}})
request = {STATE!r}
edges = [('INIT', 'ON'), ('ON', {STATE!r}), ({STATE!r}, 'ON')]
"""


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("evil")
    with Guardhost(folder, {"EVIL": EVIL}) as house:
        house.wait("EVIL", "STATE", STATE)
        house.put("EVIL", "REQUEST", "ON")
        house.wait("EVIL", "STATE", "ON")
        site = Site(folder, house, free_port())
        with site.console:
            yield site


def test_hostile_texts_are_shown_and_run_nothing(evil: Site, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        for path, shown in (
            ("/", ".cell"), ("/tree", ".tree a"), ("/n/EVIL", ".picture .node"), ("/n/EVIL/states", ".stateslist li"),
            ("/n/EVIL/graph?state=%3CIMG", ".picture .node"), ("/n/EVIL/pvs", ".pvs tbody tr"),
        ):  # fmt: skip
            evil.visit(browser, path)
            browser.wait(f"document.querySelector({shown!r}) !== null", f"{shown} on {path}")
            assert browser.eval("typeof window.ran") == "undefined", path
            strange = "img, script:not([src]), iframe, object, foreignObject, [onerror], [onload], a[href^=javascript]"
            assert browser.eval(f"document.querySelectorAll('{strange}').length") == 0, path
        browser.wait_text("<script>window.ran=", ".pvs")
        evil.visit(browser, "/n/EVIL/states")
        browser.wait_text(STATE, ".stateslist")
        evil.visit(browser, "/n/EVIL")
        browser.wait_text(STATE, ".picture")
        browser.click("Request…", "button")
        browser.click(STATE, "option")
        browser.wait_text(STATE, ".preview")
        assert browser.eval("typeof window.ran") == "undefined"
        assert browser.complaints == []


def test_nothing_but_shapes_and_text_is_taken_from_a_drawing(evil: Site, tmp_path: Path) -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="window.ran=1">'
        "<style>*{display:none}</style><script>window.ran=1</script><foreignObject><b>b</b></foreignObject>"
        '<a xlink:href="javascript:window.ran=1"><g id="s-A" class="node" onclick="window.ran=1">'
        '<text style="x">A</text></g></a>'
        '<image href="http://evil.example/x"/><use href="#s-A"/></svg>'
    )
    with Browser(tmp_path) as browser:
        evil.visit(browser, "/help")
        script = f"import('/static/svg.js').then((svg) => new XMLSerializer().serializeToString(svg.read({drawing!r})))"
        assert browser.eval(script) == (
            '<svg xmlns="http://www.w3.org/2000/svg"><g><g id="s-A" class="node"><text>A</text></g></g></svg>'
        )
        assert browser.eval("import('/static/svg.js').then((svg) => svg.read('<html><b>no</b></html>'))") is None
        assert browser.eval("import('/static/svg.js').then((svg) => svg.read('no <svg'))") is None
        assert browser.eval("typeof window.ran") == "undefined"
