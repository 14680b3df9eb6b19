"""What must never happen: a page that looks fine while it shows nothing but what was."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.browser.operating import OVEN, Site, cell
from tests.support import free_port
from tests.support.browser import Browser, needs_browser
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc, needs_browser]
#: The promise is 10 s; a machine that is busy is granted more.
STALE_S = 30.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with Guardhost(tmp_path_factory.mktemp("house"), {"OVEN": OVEN}) as house:
        house.wait("OVEN", "STATE", "COLD")
        yield house


@pytest.fixture
def oven(house: Guardhost, tmp_path: Path) -> Iterator[Site]:
    """A console of its own for each test, at a port that another one may have after it."""
    house.put("OVEN", "REQUEST", "COLD")
    house.wait("OVEN", "STATE", "COLD")
    site = Site(tmp_path, house, free_port())
    with site.console:
        yield site


def stale(browser: Browser) -> None:
    """The whole page says so."""
    browser.wait_text("STALE since", "#stale", STALE_S)
    browser.wait_text("STALE", ".link")
    assert browser.eval("document.title").startswith("STALE")
    assert "grayscale(1)" in browser.eval("getComputedStyle(document.querySelector('main')).filter")
    boxes = browser.eval(
        "['#top', '#stale', 'main'].map((one) => document.querySelector(one).getBoundingClientRect())"
        ".map((one) => [one.top, one.bottom])"
    )
    assert boxes[0][1] <= boxes[1][0] + 1 and boxes[1][1] <= boxes[2][0] + 1, f"the banner covers something: {boxes}"


def test_a_killed_console_makes_its_pages_stale_and_a_new_one_brings_them_back(oven: Site, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        oven.visit(browser)
        browser.wait_text("COLD", '.cell[data-node="OVEN"] .state')
        assert oven.console.child is not None
        oven.console.child.kill9()
        stale(browser)
        browser.eval("window.scrollTo(0, 9999)")
        assert browser.eval("document.querySelector('#stale').getBoundingClientRect().bottom > 0"), "it stays in sight"
        oven.house.put("OVEN", "REQUEST", "HOT")
        oven.house.wait("OVEN", "STATE", "HOT")
        oven.console.child.close()
        oven.console.start()
        browser.wait_text("LIVE", ".link")
        browser.wait_text("HOT", '.cell[data-node="OVEN"] .state')
        assert not browser.eval("document.querySelector('#stale').checkVisibility()")


def test_a_console_that_hangs_makes_its_pages_stale(oven: Site, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        oven.visit(browser, "/n/OVEN")
        oven.login(browser, "ann")
        browser.wait_text("COLD", ".big")
        browser.click("Request…", "button")
        browser.wait("document.querySelectorAll('dialog [role=option]').length > 1")
        assert oven.console.child is not None
        oven.console.child.signal(signal.SIGSTOP)
        try:
            stopped = time.monotonic()
            browser.wait_text("STALE", "dialog .stalenote", STALE_S)
            assert time.monotonic() - stopped > 5, "a pause of a moment is none"
            assert browser.eval("document.querySelector('dialog button.main').disabled"), "nothing is asked blindly"
            browser.keys("Escape")
            stale(browser)
        finally:
            oven.console.child.signal(signal.SIGCONT)
        browser.wait_text("LIVE", ".link")


def test_a_page_whose_console_goes_before_it_says_anything_is_stale(oven: Site, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        oven.visit(browser, "/help")
        browser.eval("window.WebSocket = class extends EventTarget { close() {} send() {} }")
        assert oven.console.child is not None
        oven.console.child.kill9()
        stale(browser)


def test_nodes_of_a_killed_host_do_not_answer(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"OVEN": OVEN}) as house:
        site = Site(tmp_path, house, free_port())
        with site.console, Browser(tmp_path) as browser:
            site.visit(browser)
            browser.wait_text("COLD", '.cell[data-node="OVEN"] .state')
            house.kill9()
            browser.wait_text("no answer", '.cell[data-node="OVEN"] .word')
            assert browser.eval(f"{cell('OVEN')}.classList.contains('invalid')")
            browser.wait_text("1 of 1 nodes not OK: OVEN no answer", ".overall")
            browser.press(".cell")
            browser.wait_text("does not answer", ".reasons")
            assert browser.text(".big") == "?", "the last state is not shown as if it were the present one"
            browser.wait_text("LIVE", ".link")


def test_a_node_that_a_new_console_does_not_know_is_not_drawn_as_it_was(tmp_path: Path) -> None:
    marks = ".choices [aria-pressed=true], .stateslist .on, .stateslist [aria-current=true], .is-current, .is-request"
    verdict = "document.querySelector('.nodehead .badge')?.className"
    with Guardhost(tmp_path, {"OVEN": OVEN}) as house, Site(tmp_path, house, free_port()).console as console:
        console.wait("/api/nodes/OVEN", lambda node: node["graph"])
        with Browser(tmp_path) as browser:
            browser.open(f"http://{console.address}/n/OVEN")
            browser.wait_text("COLD", ".big")
            browser.wait(f"{verdict}.includes('badge') && !{verdict}.includes('invalid')")
            assert console.child is not None
            console.child.kill9()
            house.kill9()
            stale(browser)
            console.child.close()
            console.start()
            browser.wait_text("LIVE", ".link")
            for part in ("", "states", "graph", "pvs"):
                if part:
                    browser.press(f'.tabs a[href="/n/OVEN/{part}"]')
                browser.wait_text("The console knows no node OVEN")
                assert browser.text(".nodehead .verdict") == "no answer"
                left = browser.eval(f"[...document.querySelectorAll({marks!r})].map((one) => one.outerHTML)")
                assert left == []
                if not part:
                    assert browser.text(".big") == "?" and "does not answer" in browser.text(".reasons")
            browser.press('.tabs a[href="/n/OVEN"]')
            assert house.child is not None
            house.child.close()
            house.start()
            browser.wait_text("COLD", ".big")
            browser.wait(f"!{verdict}.includes('invalid')")
            assert "The console knows no node" not in browser.text()


def test_a_part_of_a_page_that_fails_stops_no_other_and_the_page_says_so(oven: Site, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        oven.visit(browser, "/help")
        browser.eval(
            "import('/static/board.js').then((board) => "
            "board.on((news) => { if (news.nodes.has('OVEN')) throw new Error('made to fail'); }) && 1)"
        )
        browser.press('nav a[href="/"]')
        browser.wait_text("COLD", '.cell[data-node="OVEN"] .state')
        oven.house.put("OVEN", "REQUEST", "HOT")
        browser.wait_text("FAULT: this page has a fault, load it anew", "#stale")
        browser.wait_text("FAULT", ".link")
        assert browser.eval("document.title").startswith("FAULT")
        assert "grayscale(1)" in browser.eval("getComputedStyle(document.querySelector('main')).filter")
        browser.wait_text("HOT", '.cell[data-node="OVEN"] .state')
        time.sleep(3)
        assert browser.text(".link") == "FAULT", "a message that comes makes it no better"
        browser.click("Load it anew", "button")
        browser.wait_text("LIVE", ".link")


def test_what_fails_after_an_answer_is_a_fault_and_a_time_that_is_none_is_not(oven: Site, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        oven.visit(browser)
        none = "[NaN, Infinity, 1e15, -1e15, undefined, 'x']"
        for name in ("clock", "date", "span"):
            said = browser.eval(f"import('/static/when.js').then((when) => {none}.map((one) => when.{name}(one)))")
            assert "?" in said and all(isinstance(text, str) for text in said), name
        assert (
            browser.eval("import('/static/when.js').then((when) => when.brief(NaN, 1) + when.brief(1, NaN))")[0] == "?"
        )
        assert browser.text(".link") == "LIVE"
        browser.eval("import('/static/dom.js').then((dom) => { setTimeout(() => dom.fill(null)); })")
        browser.wait_text("FAULT: this page has a fault", "#stale")


def test_a_page_from_before_an_upgrade_says_so_and_works_on(oven: Site, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        oven.visit(browser)
        browser.wait_text("Log in", ".person")
        assert not browser.text("#newer")
        browser.eval(
            """(() => {
              const real = window.fetch;
              window.fetch = async (path, how) => {
                const answer = await real(path, how);
                return path === "/api/about" ? Response.json({...(await answer.json()), version: "99.0"}) : answer;
              };
            })()"""
        )
        assert oven.console.child is not None
        oven.console.child.close()
        oven.console.start()
        browser.wait_text("another one than this page came from: load the page anew", "#newer")
        oven.house.put("OVEN", "REQUEST", "HOT")
        browser.wait_text("HOT", '.cell[data-node="OVEN"] .state')
        browser.click("Load it anew", "button")
        browser.wait("document.querySelector('#newer')?.checkVisibility() === false")


def test_a_journal_that_is_later_than_the_pvs_is_read_once_more(oven: Site, tmp_path: Path) -> None:
    """The page gets the answer of a moment ago, once."""
    with Browser(tmp_path) as browser:
        oven.visit(browser, "/n/OVEN")
        browser.wait("document.querySelectorAll('.reasons .events time').length > 0", "the last events")
        time.sleep(4)  # nothing is asked for any more
        browser.eval(
            """(async () => {
              const real = window.fetch;
              const old = await (await real("/api/events?node=OVEN&limit=10")).text();
              window.asked = 0;
              window.fetch = (path, how) => String(path).startsWith("/api/events") && !window.asked++
                ? Promise.resolve(new Response(old)) : real(path, how);
            })()"""
        )
        oven.house.put("OVEN", "OP", "PAUSE")
        try:
            browser.wait_text("paused", ".nodehead")
            browser.wait_text("PAUSE", ".reasons .events")
            assert browser.eval("window.asked") >= 2
        finally:
            oven.house.put("OVEN", "OP", "EXEC")


def test_a_pv_that_does_not_come_again_keeps_no_old_text(tmp_path: Path) -> None:
    values = "[...document.querySelectorAll('.pvs tbody .value')].map((one) => one.textContent)"
    with Guardhost(tmp_path, {"OVEN": OVEN}) as house, Site(tmp_path, house, free_port()).console as console:
        console.wait("/api/nodes/OVEN", lambda node: node["graph"])
        with Browser(tmp_path) as browser:
            browser.open(f"http://{console.address}/n/OVEN/pvs")
            browser.wait(f"{values}.includes('COLD')")
            assert console.child is not None
            console.child.kill9()
            house.kill9()
            stale(browser)
            assert browser.eval(f"{values}.includes('COLD')"), "what is stale is old, but there"
            console.child.close()
            console.start()
            browser.wait(f"{values}.length > 20 && {values}.every((text) => text === '?')")
            assert browser.eval("document.querySelector('.pvs tbody .sign').title") == "no answer"
