"""How pages look: everything can be read, in light and dark, and on a telephone nothing is cut off."""

from __future__ import annotations

import pytest

from tests.console.browser.operating import Site
from tests.support.browser import Browser, needs_browser

pytestmark = [pytest.mark.ca, pytest.mark.proc, needs_browser]
#: With what has to be there before it is looked at.
PAGES = {
    "/": ".cell.major .why",
    "/?only=notok": ".cell.major .why",
    "/?kiosk=1": ".cell",
    "/tree": ".tree li li",
    "/help": ".help",
    "/n/VALVE": ".picture .node.is-current",
    "/n/OVEN": ".picture .node.is-current",
    "/n/LAB": ".children li",
    "/n/OVEN/graph": ".picture .node.is-current",
    "/n/OVEN/states": ".stateslist li",
    "/n/GAUGE/pvs": ".pvs tbody tr:nth-child(20)",
    "/events": ".table tbody tr",
    "/n/VALVE/events": ".table tbody tr",
    "/history?node=OVEN": ".band",
    "/n/VALVE/log": ".mono",
    "/n/OVEN/code": ".source",
    "/n/NOBODY": ".nothing",
}
#: WCAG 2 AA.
LEAST = 4.5
#: Of each text that is seen: what it is, and its contrast with what is behind it, if that is too little.
CONTRAST = """
(() => {
  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return {r, g, b, a};
  };
  const over = (top, below) => {
    const mix = (one) => top[one] * top.a + below[one] * (1 - top.a);
    return {r: mix("r"), g: mix("g"), b: mix("b"), a: 1};
  };
  const light = ({r, g, b}) => {
    const [x, y, z] = [r, g, b].map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const shape = one.matches(".node") && one.querySelector("path:not(.ring), ellipse:not(.ring)");
      const style = getComputedStyle(shape || one);
      layers.push(rgba(shape ? style.fill : style.backgroundColor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), {r: 255, g: 255, b: 255, a: 1});
  };
  const poor = [];
  const roots = document.querySelector("dialog[open]") ?? document.body;
  const walk = document.createTreeWalker(roots, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.data.trim();
    if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (element.closest(".aloud, .skip, option, noscript")) continue;
    const style = getComputedStyle(element);
    const behind = ground(element);
    const colour = over(rgba(element instanceof SVGElement ? style.fill : style.color), behind);
    const [a, b] = [light(colour), light(behind)].sort((x, y) => y - x);
    seen += 1;
    const contrast = (a + 0.05) / (b + 0.05);
    const what = `${text} <${element.tagName} ${element.getAttribute("class")}>`;
    if (contrast < LEAST) poor.push(`${contrast.toFixed(2)} ${what}`);
  }
  return {seen, poor};
})()
""".replace("LEAST", str(LEAST))


def visit(site: Site, browser: Browser, path: str, there: str) -> None:
    site.visit(browser, path)
    browser.wait(f"document.querySelector({there!r}) !== null", f"{there} on {path}")


def show_way(browser: Browser) -> None:
    """In the dialog: choose the first state."""
    browser.wait("document.querySelector('dialog [role=option][aria-selected=true]') !== null")
    browser.keys("Enter")
    browser.wait("document.querySelector('.preview .warnings') !== null")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(site: Site, browser: Browser, theme: str) -> None:
    browser.prefer(theme)
    grounds = set()
    for path, there in PAGES.items():
        visit(site, browser, path, there)
        told = browser.eval(CONTRAST)
        assert told["seen"] > 5, path
        assert told["poor"] == [], (theme, path)
        grounds.add(browser.eval("getComputedStyle(document.documentElement).backgroundColor"))
    assert grounds == {"rgb(217, 217, 217)" if theme == "light" else "rgb(36, 39, 43)"}
    site.login(browser, "ann")
    for path, button in (("/n/VALVE", "Request…"), ("/n/OVEN", "PAUSE")):
        visit(site, browser, path, PAGES[path])
        browser.click(button, "button")
        if button == "Request…":
            show_way(browser)
        told = browser.eval(CONTRAST)
        assert told["seen"] > 3 and told["poor"] == [], (theme, path, told)


def test_a_person_may_choose_another_theme_and_it_is_kept(site: Site, browser: Browser) -> None:
    browser.prefer("light")
    site.visit(browser)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert browser.eval(ground) == "rgb(217, 217, 217)"
    browser.click("Theme: system", "button")
    browser.click("Theme: light", "button")
    assert browser.eval(ground) == "rgb(36, 39, 43)"
    site.visit(browser, "/help")
    assert browser.eval(ground) == "rgb(36, 39, 43)"


def test_on_a_telephone_nothing_is_cut_off(site: Site, browser: Browser) -> None:
    browser.viewport(390, 844)
    for path, there in PAGES.items():
        visit(site, browser, path, there)
        width = browser.eval("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
        assert width <= 390, (path, width)
    visit(site, browser, "/", ".cell")
    tops = browser.eval("[...document.querySelectorAll('.cell')].map((one) => one.getBoundingClientRect().left)")
    assert len(set(tops)) == 1, "one column"
    assert browser.eval("document.querySelector('.cell').dataset.node") == "VALVE", "the worst first"
    site.login(browser, "ann")
    visit(site, browser, "/n/VALVE", ".picture .node.is-current")
    browser.click("Request…", "button")
    show_way(browser)
    assert browser.eval("document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth")


def test_who_wants_no_motion_sees_none(site: Site, browser: Browser) -> None:
    visit(site, browser, "/", ".cell.major")
    moving = "document.getAnimations().length"
    assert browser.eval(moving) == 0, "nothing blinks"
