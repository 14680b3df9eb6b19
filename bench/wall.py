"""The wall of the operator console, with 500 nodes that change a thousand times a second, served over real CA.

A server (:mod:`bench.crowd`), a real ``guardian-console`` and a real Chromium with the page ``/``.

* open: from the order to go to the page until all cells are there and tell a state. Limit: 2 s.
* change to pixel: from the time of a step, as the server stamps it, until the frame that shows it is drawn. Limit of
  the 95th percentile: 200 ms.
* memory, for ten minutes: of the console (PSS) and of the page (heap and nodes of its document, after its garbage is
  collected), the last third beside the second one. Limit: 1.1 x, which is flat.
* CPU: of the console, all the time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.crowd import READY
from bench.figures import Report, percentile
from bench.machine import cpu_s
from tests.support import REPO, Child, ca_env, free_port, random_prefix
from tests.support.browser import PROGRAM, Browser

NODES, CHANGES_S = 500, 1000
OPEN_S, PIXEL_MS, FLAT = 2.0, 200.0, 1.1
MINUTES = 10
LOOK_S = 10.0

#: All nodes of the site are drawn, and none of them is still unknown.
DRAWN = """
document.querySelectorAll(".cell").length === {count}
  && ![...document.querySelectorAll(".cell .state")].some((one) => one.textContent === "?")
"""
#: For each frame: how old, in ms, the changes are that it shows once it is drawn.
WATCH = """
(async () => {
  const board = await import("/static/board.js");
  window.ages = [];
  board.on(({ nodes }) => {
    const stamps = [...nodes].map((node) => board.cells.get(node)?.since ?? 0).filter((stamp) => stamp > 0);
    requestAnimationFrame(() => setTimeout(() => {
      const now = Date.now() / 1000;
      for (const stamp of stamps) window.ages.push((now - stamp) * 1000);
    }));
  });
})()
"""
TAKE = "window.ages.splice(0, window.ages.length)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """At one moment: MB of the console, MB and nodes of the page."""

    console_mb: float
    page_mb: float
    page_nodes: int


def run(report: Report) -> None:
    """All of it, with one site and one page."""
    if PROGRAM is None:
        report.note("no Chromium here, so nothing is measured; Debian has it in the package chromium")
        return
    count, per_s = report.size(NODES, 20), report.size(CHANGES_S, 40)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, ifo = free_port(), random_prefix().rstrip(":")
        env = ca_env(port, XDG_STATE_HOME=str(folder))
        crowd = [sys.executable, "-m", "bench.crowd", str(count), str(per_s), ifo, str(port)]
        site = stack.enter_context(Child(crowd, env=env, cwd=REPO, stdin=True))
        site.wait_for(READY, 120)
        words = ["--ifo", ifo, "--port", "0"]
        console = Child([sys.executable, "-m", "guardian.cli.console", *words], env=env, cwd=REPO)
        address = stack.enter_context(console).wait_for(r"http://\S+/", 60)[0]
        browser = stack.enter_context(Browser(folder))
        browser.viewport(1920, 1080)
        _wait_until_found(browser, address, count)
        _open(report, browser, address, count)
        _follow(report, browser, psutil.Process(console.pid), count, per_s)
        report.check("the page has nothing to complain of", not browser.complaints, browser.complaints[:3])


def _wait_until_found(browser: Browser, address: str, count: int) -> None:
    """The console has begun this moment, and finds its nodes first."""
    browser.open(address)
    browser.wait(DRAWN.format(count=count), f"{count} nodes on the wall", 120)
    browser.open("about:blank")


def _open(report: Report, browser: Browser, address: str, count: int) -> None:
    took = []
    for _ in range(report.size(10, 2)):
        browser.open("about:blank")
        began = time.monotonic()
        browser.open(address)
        browser.wait(DRAWN.format(count=count), f"{count} nodes on the wall", 60)
        took.append(time.monotonic() - began)
    report.part(f"the wall of {count} nodes")
    report.figure("open until all cells are there", took, "s", limit=OPEN_S)


def _follow(report: Report, browser: Browser, console: psutil.Process, count: int, per_s: int) -> None:
    browser.eval(WATCH)
    ages: list[float] = []
    looks: list[Look] = []
    minutes = report.size(MINUTES, 0)
    began, cpu = time.monotonic(), cpu_s(console)
    until = began + (minutes * 60 or 3)
    while time.monotonic() < until:
        time.sleep(min(LOOK_S, until - began))
        ages += browser.eval(TAKE)
        heap_mb, nodes = browser.memory()
        pss = console.memory_full_info().pss / 1e6
        looks.append(Look(console_mb=pss, page_mb=heap_mb, page_nodes=nodes))
    seconds = time.monotonic() - began
    ages.sort()
    report.part(f"{per_s} changes a second" + (f", {minutes} min" if minutes else ""))
    report.check("the page shows at least half of all changes", len(ages) > 0.5 * per_s * seconds, len(ages))
    report.figure("change to pixel, median", statistics.median(ages), "ms", n=len(ages))
    report.figure("change to pixel, 95 %", percentile(ages, 95), "ms", limit=PIXEL_MS, n=len(ages))
    report.figure("CPU of the console", (cpu_s(console) - cpu) / seconds * 100, "% of a core")
    third = len(looks) // 3
    if third == 0:
        return
    middle, last = looks[third : 2 * third], looks[-third:]
    for what, unit, of in (
        ("PSS of the console", "MB", lambda look: look.console_mb),
        ("heap of the page", "MB", lambda look: look.page_mb),
        ("nodes of its document", "nodes", lambda look: look.page_nodes),
    ):
        before, after = (statistics.median(map(of, part)) for part in (middle, last))
        report.figure(what, after, unit, peer="minutes before", beside=before, goal=FLAT)
