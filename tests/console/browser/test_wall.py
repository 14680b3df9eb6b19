"""The wall, in a real browser, beside a real host."""

from __future__ import annotations

import time

import pytest

from tests.console.browser.operating import Site, cell
from tests.support.browser import Browser, needs_browser

pytestmark = [pytest.mark.ca, pytest.mark.proc, needs_browser]


def test_the_wall_shows_all_nodes_under_their_managers_the_worst_first(site: Site, browser: Browser) -> None:
    site.visit(browser)
    browser.wait("document.querySelectorAll('.cell').length === 5")
    browser.wait_text("LAB", ".section .path")
    browser.wait_text("major alarm", ".section:first-child .worst")
    names = "[...document.querySelectorAll('.section')].map((one) => [...one.querySelectorAll('.cell .name')]"
    browser.wait(f"{names}.map((name) => name.innerText).join()).join('; ') === 'VALVE,LAB,PUMP; GAUGE,OVEN'")


def test_what_is_abnormal_has_a_shape_a_word_and_a_colour(site: Site, browser: Browser) -> None:
    site.visit(browser)
    browser.wait_text("error", '.cell[data-node="VALVE"] .word')
    assert browser.eval(f"{cell('VALVE')}.querySelector('svg rect') !== null"), "a square"
    browser.wait_text("has a message", '.cell[data-node="GAUGE"] .word')
    assert browser.eval(f"{cell('GAUGE')}.querySelector('svg.minor path') !== null"), "a triangle"
    colours = [browser.eval(f"getComputedStyle({cell(node)}).backgroundColor") for node in ("VALVE", "GAUGE", "PUMP")]
    assert len(set(colours)) == 3
    grey = {*browser.eval(f"getComputedStyle({cell('PUMP')}).backgroundColor.match(/[0-9]+/g)")}
    assert len(grey) == 1, "what is well has no colour"


def test_the_wall_follows_its_nodes_and_leaves_the_other_cells_alone(site: Site, browser: Browser) -> None:
    site.visit(browser)
    browser.wait_text("COLD", '.cell[data-node="OVEN"] .state')
    browser.eval(
        "window.touched = new Set(); new MutationObserver((all) => all.forEach((one) => {"
        " const at = one.target.nodeType === 1 ? one.target : one.target.parentElement;"
        " const cell = at.closest('.cell');"
        " if (cell && !at.closest('.time')) window.touched.add(cell.dataset.node); }))"
        ".observe(document.querySelector('.wall'), {subtree: true, characterData: true, childList: true})"
    )
    site.house.put("OVEN", "REQUEST", "HOT")
    browser.wait_text("HOT", '.cell[data-node="OVEN"] .state')
    browser.wait(f"{cell('OVEN')}.classList.contains('ok')", "OVEN to be OK")
    assert browser.eval("[...window.touched]") == ["OVEN"]
    site.house.put("OVEN", "REQUEST", "COLD")
    browser.wait_text("not nominal", '.cell[data-node="OVEN"] .word')


def test_a_worker_that_is_killed_is_an_alarm_and_the_events_say_of_what_it_died(site: Site, browser: Browser) -> None:
    """A new one comes at once; so the words that were there meanwhile are kept."""
    site.visit(browser)
    browser.wait(f"{cell('PUMP')}.classList.contains('ok')", "PUMP to be OK")
    browser.eval(
        f"window.seen = []; new MutationObserver(() => window.seen.push({cell('PUMP')}.className + ' ' +"
        f" {cell('PUMP')}.querySelector('.word').textContent)).observe({cell('PUMP')}, {{subtree: true,"
        " attributes: true, characterData: true, childList: true})"
    )
    site.house.workers()["PUMP"].kill()
    browser.wait("window.seen.some((one) => one.includes('worker dead'))", "the death on the wall")
    browser.wait(f"{cell('PUMP')}.classList.contains('ok')", "a new worker that is OK")
    site.visit(browser, "/events?node=PUMP")
    browser.wait_text("SIGKILL", "main")


def test_filters_stand_in_the_address(site: Site, browser: Browser) -> None:
    site.visit(browser)
    browser.wait("document.querySelectorAll('.cell').length === 5")
    browser.click("only not OK", "label")
    browser.wait("![...document.querySelectorAll('.cell .name')].some((one) => one.innerText === 'PUMP')")
    assert browser.eval("location.search") == "?only=notok"
    site.visit(browser, "/?text=valve&sort=name")
    browser.wait("[...document.querySelectorAll('.cell .name')].map((one) => one.innerText).join() === 'VALVE'")
    site.visit(browser, "/?mode=MANAGED")
    browser.wait(
        "[...document.querySelectorAll('.cell .name')].map((one) => one.innerText).sort().join() === 'PUMP,VALVE'"
    )


def test_the_strip_says_how_all_is_and_leads_to_what_is_not_ok(site: Site, browser: Browser) -> None:
    site.visit(browser, "/help")
    browser.wait_text("of 5 nodes not OK: VALVE error", ".overall")
    browser.click("VALVE error", "link")
    browser.wait("location.search === '?only=notok'")
    browser.wait_text("ZeroDivisionError", '.cell[data-node="VALVE"] .why')


def test_nothing_moves_under_the_pointer(site: Site, browser: Browser) -> None:
    site.house.put("OVEN", "REQUEST", "COLD")
    site.visit(browser)
    order = "[...document.querySelectorAll('.cell')].map((one) => one.dataset.node).join()"
    browser.wait("document.querySelectorAll('.cell').length === 5")
    browser.wait(f"{cell('OVEN')}.classList.contains('minor')", "OVEN away from nominal")
    time.sleep(1.5)  # the order is brought up once a second
    before = browser.eval(order)
    x, y = browser.eval(
        f"(() => {{ const r = {cell('PUMP')}.getBoundingClientRect(); return [r.x + 20, r.y + 10]; }})()"
    )
    site.house.put("PUMP", "OP", "PAUSE")
    for _ in range(8):
        browser.move_to(x, y)
        x += 1
        time.sleep(0.25)
    assert browser.eval(f"{cell('PUMP')}.classList.contains('hand')"), "it shows what is new at once"
    assert browser.eval(order) == before, "but stays where it is"
    browser.wait(f"{order} !== {before!r}", "the new order, once the pointer rests")
    site.house.put("PUMP", "OP", "EXEC")


def test_a_kiosk_has_no_controls(site: Site, browser: Browser) -> None:
    site.visit(browser, "/?kiosk=1")
    browser.wait("document.querySelectorAll('.cell').length === 5")
    assert not browser.eval(
        "[...document.querySelectorAll('button, input, select')].some((one) => one.checkVisibility())"
    )
