"""A browser keeps connections for later, and uses them for whatever comes next: a login and a feed after a rest."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from guardian.console.patience import Phase
from guardian.console.people import Role
from tests.console.visiting import alone, enrol
from tests.support.browser import Browser, needs_browser

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.slow, needs_browser]
LOGIN = """
fetch("/api/login", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(%s)})
  .then((answer) => answer.json())
"""
FEED = """
new Promise((done) => {
  const feed = new WebSocket(`ws://${location.host}/feed`);
  feed.onmessage = (event) => { done(JSON.parse(event.data).t); feed.close(); };
  feed.onclose = (event) => done(`closed ${event.code}`);
})
"""


def test_a_login_and_a_feed_after_a_rest_are_there_at_once(tmp_path: Path):
    tokens = enrol(tmp_path / "users", oscar=Role.OPERATOR)
    console = alone(tmp_path, "--allow-write", "--users", str(tmp_path / "users"), nodes=["OVEN"])
    with console, Browser(tmp_path) as browser:
        browser.open(f"http://{console.address}/")
        browser.eval("Promise.all(Array.from({length: 6}, () => fetch('/api/about').then((answer) => answer.text())))")
        for _ in range(3):
            time.sleep(Phase.ASKED.value + 2)
            begun = time.monotonic()
            assert browser.eval(LOGIN % json.dumps({"user": "oscar", "token": tokens["oscar"]}))["user"] == "oscar"
            assert browser.eval(FEED) == "snap"
            assert browser.eval("fetch('/api/about').then((answer) => answer.json())")["user"] == "oscar"
            assert time.monotonic() - begun < 8, console.report
