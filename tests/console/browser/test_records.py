"""The pages of what was, in a real browser: looked for, followed, moved about in by keys and mouse."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.consoling import GuardianConsole
from tests.console.ovens import HOSTILE, played, records
from tests.support import eventually
from tests.support.browser import Browser, needs_browser
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc, needs_browser]
PAGES = ("/events", "/log", "/history", "/n/OVEN/events", "/n/OVEN/log", "/n/OVEN/history", "/n/OVEN/code")
ROWS = "[...document.querySelectorAll('.events tbody tr')]"
LINES = "[...document.querySelectorAll('.lines li')]"
SHOWN = HOSTILE.replace("\\\\", "\\")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with played(tmp_path_factory.mktemp("pa")) as host:
        yield host


@pytest.fixture(scope="module")
def console(house: Guardhost) -> Iterator[GuardianConsole]:
    with GuardianConsole(house) as one:
        one.wait("/api/nodes/OVEN/code", lambda code: code["archive_id"] and code["says"] == [])
        yield one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("br")) as one:
        yield one


@pytest.fixture
def browser(shared: Browser) -> Iterator[Browser]:
    shared.viewport(1280, 800)
    shared.complaints.clear()
    yield shared
    assert shared.complaints == []


def go(browser: Browser, console: GuardianConsole, path: str) -> None:
    browser.open(f"http://{console.address}{path}")
    browser.wait_text("LIVE", ".link")


def test_events_are_a_table_that_believes_no_text_and_goes_on_by_itself(
    house: Guardhost, console: GuardianConsole, browser: Browser
) -> None:
    go(browser, console, "/events")
    browser.wait_text("the log has the traceback", ".events")
    assert SHOWN in browser.text(".events") and browser.eval("document.querySelectorAll('main img').length") == 0
    browser.wait_text("manager LAB", ".events")
    assert "ann lee" in browser.text(".events") and "WARM → HOT" in browser.text(".events")
    house.put("LAMP", "REQUEST_CMD", json.dumps({"state": "INIT", "person": "zoe"}))
    browser.wait(f"{ROWS}.slice(0, 8).some((row) => row.innerText.includes('zoe'))", "the new request on top")
    times = browser.eval(f"{ROWS}.map((row) => row.cells[0].innerText)")
    assert times == sorted(times, reverse=True)


def test_what_is_looked_for_stands_in_the_address(console: GuardianConsole, browser: Browser) -> None:
    go(browser, console, "/events?kind=write&who=ann")
    browser.wait(f"{ROWS}.length === 1", "the one write of ann")
    assert browser.eval("document.querySelector('[name=kind]').value") == "write"
    browser.eval("document.querySelector('[name=who]').focus(); document.querySelector('[name=who]').select()")
    browser.type("bob")
    browser.keys("Enter")
    browser.wait(f"{ROWS}.length === 1 && {ROWS}[0].innerText.includes('bob')", "the one write of bob")
    assert browser.eval("location.search") == "?kind=write&who=bob"
    browser.eval("document.querySelector('[name=since]').focus()")
    browser.type("tomorrow")
    browser.keys("Enter")
    browser.wait_text("tomorrow is no time: write", ".asking")
    assert "since" not in browser.eval("location.search")
    browser.eval("document.querySelector('[name=since]').select()")
    browser.type("2h")
    browser.keys("Enter")
    browser.wait(
        "/since=\\d{4}-\\d\\d-\\d\\dT/.test(decodeURIComponent(location.search))", "an exact time in the address"
    )
    go(browser, console, "/events?text=there-is-nothing-like-it")
    browser.wait_text("No such event", ".events")


def test_the_log_goes_on_and_holds_still_while_somebody_reads(
    house: Guardhost, console: GuardianConsole, browser: Browser
) -> None:
    browser.viewport(900, 420)
    go(browser, console, "/n/OVEN/log")
    browser.wait_text("the oven is hot", ".lines")
    assert browser.eval(
        "(() => { const l = document.querySelector('.lines'); return l.scrollHeight > l.clientHeight; })()"
    )
    house.put("OVEN", "REQUEST_CMD", json.dumps({"state": "COLD", "person": "first"}))
    browser.wait(f"{LINES}.some((one) => one.innerText.includes('first at'))", "the line to come")
    browser.eval("document.querySelector('.lines').scrollTop = 0")
    browser.wait_text("PAUSED", ".logpage")
    house.put("OVEN", "REQUEST_CMD", json.dumps({"state": "DOWN", "person": "second"}))
    browser.wait("/Go on \\(\\d+ new\\)/.test(document.querySelector('.logpage').innerText)", "that there is more")
    assert "second at" not in browser.text(".lines")
    assert browser.eval("document.querySelector('.lines').scrollTop") == 0
    browser.click("Go on")
    browser.wait_text("second at", ".lines")
    browser.wait_text("goes on by itself", ".logpage")
    stamps = browser.eval(f"{LINES}.map((one) => Number(one.dataset.stamp))")
    assert stamps == sorted(stamps)


def test_the_log_is_sifted_and_leads_to_the_code(console: GuardianConsole, browser: Browser) -> None:
    go(browser, console, "/log?node=OVEN&level=ERROR")
    browser.wait_text("Traceback", ".lines")
    assert browser.eval(f"{LINES}.every((one) => one.innerText.includes('ERROR'))")
    browser.eval(f"{LINES}.find((one) => one.innerText.includes('in main')).querySelector('a[href*=code]').click()")
    browser.wait("location.pathname === '/n/OVEN/code'", "the code")
    browser.wait("document.querySelector('.listing .there')?.innerText.includes('raise ValueError')", "the line")
    go(browser, console, "/log?node=OVEN&text=(&regex=1")
    browser.wait_text("'(' is no regular expression", ".logpage")
    browser.complaints.clear()  # the browser's own words about that answer


def test_a_jump_to_a_time_shows_what_was_said_then(
    house: Guardhost, console: GuardianConsole, browser: Browser
) -> None:
    error = next(one for one in records(house) if one["kind"] == "error")
    go(browser, console, f"/log?node=OVEN&at={error['stamp']}")
    browser.wait_text("it does not go on by itself", ".logpage")
    browser.wait(
        "document.querySelector('.lines .there')?.innerText.includes('raised ValueError')", "the line of that time"
    )
    browser.click("Now")
    browser.wait_text("goes on by itself", ".logpage")


def test_history_is_moved_about_in_by_keys(house: Guardhost, console: GuardianConsole, browser: Browser) -> None:
    go(browser, console, "/history?node=OVEN,LAMP")
    browser.wait("document.querySelectorAll('.bands .band').length > 1", "bands")
    browser.eval("document.querySelector('.field[role=group]').focus()")
    browser.keys("ArrowDown", "ArrowUp", "End")
    browser.wait_text("OVEN at ", ".readout")
    browser.keys("+", "+", "+", "+", "+", "+")
    browser.wait("location.search.includes('since=')", "the time in the address")
    browser.wait_text("Time in state", "main")
    browser.wait("document.querySelector('.timesin')?.innerText.includes('DOWN')", "the sums")
    browser.eval("document.querySelector('.field[role=group]').focus()")
    browser.keys("End", "Enter")
    browser.wait_text("Events up to then", ".picked")
    browser.wait_text("REDIRECT", ".picked")
    assert browser.eval("document.querySelector('.picked a[href^=\"/log\"]').getAttribute('href')").startswith(
        "/log?node=OVEN"
    )
    before = browser.eval("location.search")
    browser.keys("-")
    browser.wait(f"location.search !== {json.dumps(before)}", "another time")
    browser.click("1 h")
    browser.wait("location.search.includes('range=3600')", "the last hour")


def test_a_part_of_the_history_is_marked_with_the_mouse(console: GuardianConsole, browser: Browser) -> None:
    go(browser, console, "/n/OVEN/history")
    browser.wait("document.querySelectorAll('.bands .band').length > 0", "bands")
    field = (
        "(() => { const r = document.querySelector('.bandchart .field').getBoundingClientRect();"
        " return [r.x, r.y + 30, r.width]; })()"
    )
    x, y, width = browser.eval(field)
    browser.drag((x + width * 0.25, y), (x + width * 0.75, y))
    browser.wait("location.search.includes('since=') && location.search.includes('until=')", "the part in the address")
    span = browser.eval(
        "(() => { const q = new URLSearchParams(location.search); return (Date.parse(q.get('until'))"
        " - Date.parse(q.get('since'))) / 1000; })()"
    )
    assert 1790 < span < 1810

    def picked() -> bool:
        x, y, _ = browser.eval(field)  # what came meanwhile may have moved it
        browser.press_at(x + 5, y)
        return bool(browser.eval("document.querySelector('.picked')?.innerText.includes('Log at that second')"))

    eventually(picked, 60, "a moment to be picked", period_s=0.3)


def test_the_code_that_runs_is_shown_beside_what_is_on_disk(
    house: Guardhost, console: GuardianConsole, browser: Browser
) -> None:
    go(browser, console, "/n/OVEN/code")
    browser.wait_text("The files on disk are as they were loaded", ".codepage")
    source = (house.folder / "OVEN.py").read_text()
    assert (
        SHOWN.split("\\x")[0] in browser.text(".source")
        and browser.eval("document.querySelectorAll('main img').length") == 0
    )
    house.write("OVEN", source.replace("the oven is cold", "the oven is icy"))
    browser.wait_text("1 file is otherwise on disk", ".codepage")
    browser.click("Difference to disk")
    browser.wait("document.querySelector('.listing .added')?.innerText.includes('icy')", "the difference")
    browser.click("Side by side")
    browser.wait("document.querySelector('.listing .changed .new')?.innerText.includes('icy')", "both sides")
    assert "the oven is cold" in browser.text(".listing .changed .old")
    house.write("OVEN", source)
    browser.wait_text("The files on disk are as they were loaded", ".codepage")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_cut_off_on_a_telephone(console: GuardianConsole, browser: Browser, theme: str) -> None:
    browser.viewport(390, 844)
    browser.prefer(theme)
    for path in PAGES:
        go(browser, console, path)
        browser.wait(
            "document.querySelector('.events tbody tr, .lines li, .bands .band, .listing tr') !== null",
            f"{path} to be filled",
        )
        assert browser.eval("document.documentElement.scrollWidth <= innerWidth"), path
    browser.prefer("light")


@pytest.mark.parametrize(("path", "shown"), [("/events", ".events"), ("/log", ".logpage")])
def test_a_page_that_is_not_followed_says_why_and_goes_on_later(
    console: GuardianConsole, browser: Browser, path: str, shown: str
) -> None:
    go(browser, console, path)
    browser.wait_text("OVEN", shown)
    browser.eval(
        "(() => { window.real = window.fetch; window.fetch = async () => "
        """new Response('{"error": "all readers are busy"}', {status: 503}); })()"""
    )
    browser.wait_text("Not followed at the moment, trying again: all readers are busy", shown)
    assert browser.text(".link") == "LIVE"
    browser.eval("(() => { window.fetch = window.real; })()")
    browser.wait(f"!document.querySelector({shown!r}).innerText.toLowerCase().includes('not followed')")


def test_a_page_of_events_goes_on_when_it_is_full(console: GuardianConsole, browser: Browser) -> None:
    """Full of made-up ones, as the console would have to run for hours."""
    go(browser, console, "/help")
    browser.eval(
        """(() => {
          window.asked = [];
          const one = (id) => ({stamp: 1e9 + id, id, node: 'OVEN', kind: 'enter', text: `step ${id}.`, cause: ''});
          const some = (from, to) => Array.from({length: to - from}, (_, at) => one(to - 1 - at));
          let last = 3000;
          window.fetch = async (path) => {
            const query = new URLSearchParams(String(path).split('?')[1]);
            let records = some(0, 3000);
            if (query.has('before')) {
              window.asked.push(query.get('before'));
              records = some(0, Number(query.get('before')) - 1e9 + 1);
            } else if (query.has('since')) records = some(last, last += 50);
            const told = {records, more: false, before: null, begin: null, says: [], now: 1e9};
            return new Response(JSON.stringify(told));
          };
        })()"""
    )
    browser.press('nav a[href="/events"]')
    browser.wait(f"{ROWS}.length === 3000 && {ROWS}[0].innerText.includes('step 3099.')", "the newest on top")
    oldest = browser.eval(f"{ROWS}.at(-1).innerText")
    assert "step 0." not in oldest
    browser.click("Older…", "button")
    browser.wait(f"{ROWS}.at(-1).innerText.includes('step 0.')", "what had left is there again")
    numbers = browser.eval(rf"{ROWS}.map((row) => Number(/step (\d+)\./.exec(row.innerText)[1]))")
    assert numbers == list(range(numbers[0], -1, -1)), "none is missing, none stands twice"


def test_a_page_that_lost_its_console_asks_no_more_and_says_so(
    tmp_path: Path, house: Guardhost, browser: Browser
) -> None:
    with GuardianConsole(house) as console:
        go(browser, console, "/n/OVEN/log")
        browser.wait_text("the oven is hot", ".lines")
        assert console.child is not None
        console.child.close()
        browser.wait_text("STALE since", "#stale")
        time.sleep(3)
        assert "the oven is hot" in browser.text(".lines")
    browser.complaints.clear()  # that the socket is gone
