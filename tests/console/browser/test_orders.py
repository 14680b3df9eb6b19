"""What an operator asks of a node: by mouse, by keys alone, and what stands in the way of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.console.browser.operating import Site
from tests.support.browser import Browser, needs_browser

pytestmark = [pytest.mark.ca, pytest.mark.proc, needs_browser]


@pytest.fixture
def cold(site: Site) -> Iterator[Site]:
    """The node OVEN rests in COLD."""
    for row, value in (("OP", "EXEC"), ("MODE", "AUTO"), ("REQUEST", "COLD")):
        site.house.put("OVEN", row, value)
    site.house.wait("OVEN", "STATE", "COLD")
    site.console.wait("/api/nodes/OVEN/way?state=COLD", lambda way: way["states"] == ["COLD"])
    yield site


def test_a_state_is_requested_by_click_and_the_node_is_seen_to_move(cold: Site, browser: Browser) -> None:
    cold.visit(browser, "/n/OVEN")
    browser.wait_text("COLD", ".big")
    assert browser.eval("[...document.querySelectorAll('.choices button')].every((one) => one.disabled)")
    browser.wait_text("Log in first", ".whynot")
    cold.login(browser, "ann")
    browser.wait("document.querySelector('#s-COLD.is-current') !== null", "the present state to be marked in the graph")
    browser.click("Request…", "button")
    browser.click("HOT", "option")
    browser.wait_text("COLD", ".preview .way li:first-child")
    browser.wait_text("HOT", ".preview .way li:last-child")
    browser.click("Request HOT (2 states", "button")
    browser.wait("document.querySelector('dialog') === null", "the dialog to close")
    browser.wait_text("HOT", ".big")
    browser.wait_text("OK", ".verdict")
    browser.wait(
        "document.querySelector('#s-HOT.is-current') !== null && !document.querySelector('#s-COLD.is-current')"
    )
    browser.wait_text("ann", ".events")
    assert cold.house.get("OVEN", "STATE") == "HOT"


def test_a_request_is_made_by_keys_alone(cold: Site, browser: Browser) -> None:
    cold.visit(browser)
    cold.login(browser, "ann")
    browser.keys("/")
    browser.wait("document.activeElement.type === 'search'")
    browser.type("ove")
    browser.wait_text("OVEN", "#hits")
    browser.keys("Enter")
    browser.wait_text("COLD", ".big")
    browser.keys("r")
    browser.wait("document.querySelectorAll('dialog [role=option]').length > 1")
    browser.type("hot")
    browser.wait("document.querySelectorAll('dialog [role=option]').length === 1")
    assert cold.house.get("OVEN", "REQUEST") == "COLD", "nothing is written before it is confirmed"
    browser.keys("Enter")
    browser.wait("document.activeElement.matches('dialog button.main:not(:disabled)')", "the focus on the verb")
    browser.keys("Enter")
    browser.wait_text("HOT", ".big")
    cold.house.wait("OVEN", "STATE", "HOT")


def test_keys_lead_from_page_to_page(site: Site, browser: Browser) -> None:
    site.visit(browser)
    browser.wait("document.querySelectorAll('.cell').length === 5")
    browser.keys("j", "j")
    browser.wait("document.activeElement.matches('.cell')")
    browser.keys("k", "j", "Enter")
    browser.wait("location.pathname.startsWith('/n/')")
    node = browser.eval("location.pathname")
    for key, path in (("g", f"{node}/graph"), ("s", f"{node}/states"), ("t", "/tree"), ("?", "/help"), ("w", "/")):
        browser.keys(key)
        browser.wait(f"location.pathname === {path!r}", f"{key} to lead to {path}")


def test_what_is_dangerous_takes_the_name_of_the_node(cold: Site, browser: Browser) -> None:
    cold.house.put("OVEN", "REQUEST", "HOT")
    cold.house.wait("OVEN", "STATUS", "DONE")
    cold.house.wait("OVEN", "STATE", "HOT")
    cold.visit(browser, "/n/OVEN/states")
    cold.login(browser, "ann")
    browser.click("DOWN", "button")
    browser.wait_text("HOT", ".preview .warnings.grave")
    assert browser.eval("document.querySelector('dialog button.main').disabled")
    browser.wait("document.activeElement.name === 'confirm'")
    browser.type("OVE")
    assert browser.eval("document.querySelector('dialog button.main').disabled")
    browser.type("N")
    browser.wait("!document.querySelector('dialog button.main').disabled")
    browser.keys("Enter")
    cold.house.wait("OVEN", "STATE", "DOWN")
    browser.wait("document.querySelector('li[aria-current] button')?.innerText === 'DOWN'")


def test_a_way_that_became_dangerous_is_shown_before_it_is_gone(cold: Site, browser: Browser) -> None:
    cold.visit(browser, "/n/OVEN")
    cold.login(browser, "ann")
    browser.click("Request…", "button")
    browser.click("HOT", "option")
    browser.wait_text("Request HOT", "dialog button.main")
    cold.house.put("OVEN", "MODE", "MANUAL")
    browser.wait_text("MANUAL", ".choices.odd [aria-pressed=true]")
    browser.click("Request HOT", "button")
    browser.wait_text("meanwhile", "dialog .trouble")
    browser.wait_text("MANUAL", ".preview .warnings.grave")
    assert "409" in browser.complaints.pop(), "Chromium tells every refusal"
    assert cold.house.get("OVEN", "REQUEST") == "COLD"


def test_orders_are_confirmed_and_a_viewer_gives_none(cold: Site, browser: Browser) -> None:
    cold.visit(browser, "/n/OVEN")
    cold.login(browser, "eve")
    browser.wait_text("eve is viewer", ".whynot")
    assert browser.eval("[...document.querySelectorAll('.choices button')].every((one) => one.disabled)")
    browser.click("Log out", "button")
    cold.login(browser, "ann")
    browser.wait("![...document.querySelectorAll('.choices button')].some((one) => one.disabled)")
    assert browser.eval(
        "[...document.querySelectorAll('.row button')].find((one) => one.innerText === 'Load…').disabled"
    )
    browser.click("PAUSE", "button")
    browser.wait_text("nothing is executed until EXEC", "dialog")
    assert cold.house.get("OVEN", "OP") == "EXEC"
    browser.click("Set OP of OVEN to PAUSE", "button")
    cold.house.wait("OVEN", "OP", "PAUSE")
    browser.wait_text("paused", ".verdict")
