"""Connections to a real console that were idle, for longer than a request may take to come in, or are used for much.

It was there that earlier servers went wrong: a deadline that was left on what had become something else.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import pytest

from guardian.console.patience import Phase
from guardian.console.people import Role
from tests.console.consoling import GuardianConsole
from tests.console.visiting import Raw, alone, enrol

pytestmark = [pytest.mark.ca, pytest.mark.proc]
IDLE_S = Phase.ASKED.value + 2


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("users")
    return {"": str(folder / "users"), **enrol(folder / "users", oscar=Role.OPERATOR)}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, tokens: dict[str, str]) -> Iterator[GuardianConsole]:
    with alone(tmp_path_factory.mktemp("idle"), "--allow-write", "--users", tokens[""], nodes=["OVEN"]) as console:
        yield console
        assert "Traceback" not in console.report, console.report


def login(raw: Raw, token: str, *, split: bool = False) -> int:
    """Log in over this very connection; the status. `split`: the body comes later than the head."""
    body = json.dumps({"user": "oscar", "token": token}).encode()
    head = {"Origin": f"http://{raw.console.address}", "Content-Type": "application/json"}
    raw.request("POST", "/api/login", {**head, "Content-Length": str(len(body))}, b"" if split else body)
    if split:
        time.sleep(0.2)
        raw.send(body)
    return raw.answer()[0]


def asked(raw: Raw) -> int:
    raw.request("GET", "/api/about")
    return raw.answer()[0]


def test_connections_that_were_idle_are_as_good_as_new(console: GuardianConsole, tokens: dict[str, str]):
    uses: dict[str, Callable[[Raw], bool]] = {
        "a page": lambda raw: asked(raw) == 200,
        "a login": lambda raw: login(raw, tokens["oscar"]) == 200,
        "a login in two parts": lambda raw: login(raw, tokens["oscar"], split=True) == 200,
        "a feed": lambda raw: raw.open_feed() == 101 and raw.message()["t"] == "snap" and raw.message()["seq"] >= 0,
    }
    befores: dict[str, Callable[[Raw], bool]] = {
        "fresh": lambda _: True,
        "after a page": lambda raw: asked(raw) == 200,
        "after many pages": lambda raw: all(asked(raw) == 200 for _ in range(5)),
        "after a login": lambda raw: login(raw, tokens["oscar"]) == 200,
        "after a refusal": lambda raw: login(raw, "") == 403,
    }
    with contextlib.ExitStack() as stack:
        raws = {
            (before, use): stack.enter_context(Raw(console)) for before in befores for use in uses for _ in range(1)
        }
        for (before, _), raw in raws.items():
            assert befores[before](raw), before
        time.sleep(IDLE_S)
        for (before, use), raw in raws.items():
            assert uses[use](raw), (before, use)
        time.sleep(IDLE_S)  # no deadline of a request is left on what has become a feed
        for (before, use), raw in raws.items():
            if use != "a feed":
                assert uses[use](raw), (before, use, "again")
            else:
                assert {raw.message()["t"] for _ in range(4)} == {"beat"}, (before, use)


@pytest.mark.parametrize("count", [2, 20])
def test_requests_that_come_together_are_answered_one_after_the_other(console: GuardianConsole, count: int):
    with Raw(console) as raw:
        one = f"GET /api/about HTTP/1.1\r\nHost: {console.address}\r\n\r\n"
        for _ in range(3):
            raw.send(one * count + one[:20])
            assert [raw.answer()[0] for _ in range(count)] == [200] * count
            time.sleep(1.5)
            raw.send(one[20:])
            assert raw.answer()[0] == 200


def test_a_page_and_a_feed_that_come_together_are_both_answered(console: GuardianConsole):
    for _ in range(3):
        with Raw(console) as raw:
            raw.request("GET", "/api/about")
            assert raw.open_feed() == 200
            assert raw.answer()[0] == 101
            assert raw.message()["t"] == "snap"
            assert raw.message()["t"] == "beat"
