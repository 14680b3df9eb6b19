"""What nodes have said: pages of lines that miss none, filters, and expressions that would never end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from tests.console.consoling import GuardianConsole
from tests.console.ovens import played
from tests.support import eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with played(tmp_path_factory.mktemp("lo")) as host:
        log = host.state_dir / "logs" / "OVEN.log"
        eventually(lambda: "Traceback" in log.read_text() and "REDIRECT" in log.read_text(), 30, "all to be in the log")
        eventually(lambda: "archived as" in log.read_text(), 30, "the code to be archived")
        yield host


@pytest.fixture(scope="module")
def console(house: Guardhost) -> Iterator[GuardianConsole]:
    with GuardianConsole(house) as one:
        one.wait("/api/about", lambda about: about["nodes"] == 2)
        yield one


def lines_of(console: GuardianConsole, query: str) -> list[dict[str, Any]]:
    return console.all_of(f"/api/log?{query}", "lines")


def test_lines_come_newest_first_in_pages_that_miss_none_also_of_a_traceback(
    house: Guardhost, console: GuardianConsole
) -> None:
    written = (house.state_dir / "logs" / "OVEN.log").read_text().splitlines()
    for limit in (1, 3, 7, 2000):
        found = lines_of(console, f"node=OVEN&limit={limit}")
        assert sorted(one["time"] + one["text"] for one in found) == sorted(
            line[:27] + text_of(line) for line in written
        )
        assert [one["stamp"] for one in found] == sorted((one["stamp"] for one in found), reverse=True)
    both = lines_of(console, "node=LAMP,OVEN")
    assert {one["node"] for one in both} == {"LAMP", "OVEN"}
    assert {"LAMP", "OVEN"} <= {one["node"] for one in lines_of(console, "")}


def text_of(line: str) -> str:
    """Of a line: what follows node, context and level."""
    rest = line.split(" ", 2)[2]
    if rest.startswith("["):
        rest = rest.partition("] ")[2]
    for level in ("DEBUG", "WARNING", "ERROR", "CRITICAL"):
        rest = rest.removeprefix(f"{level}: ")
    return rest


def test_lines_are_looked_for_by_level_words_and_time(console: GuardianConsole) -> None:
    assert {one["level"] for one in lines_of(console, "level=warning")} == {"WARNING", "ERROR"}
    (hot,) = lines_of(console, "text=OVEN%20is%20HOT")
    assert (hot["context"], hot["level"], hot["text"]) == ("HOT.main", "WARNING", "the oven is hot")
    assert lines_of(console, "text=is.hot") == []
    assert lines_of(console, "text=is.ho%5Bt%5D&regex=1") == [hot]
    later = lines_of(console, f"node=OVEN&since={hot['stamp']!r}")
    assert hot in later and all(one["stamp"] >= hot["stamp"] for one in later)
    assert lines_of(console, f"node=OVEN&until={hot['stamp']!r}")[0]["stamp"] == hot["stamp"]
    assert "it is one of DEBUG, INFO, WARNING" in console.get("/api/log?level=LOUD").error
    assert "is no regular expression" in console.get("/api/log?text=(&regex=1").error
    told = console.told("/api/log?node=NOBODY")
    assert told["lines"] == [] and "no host lists such a node" in told["says"][0]


def test_hostile_lines_are_shown_and_steer_nothing(console: GuardianConsole) -> None:
    (line,) = [one for one in lines_of(console, "text=onerror") if one["context"] == "HOT.main"]
    assert line["text"] == "<img src=x onerror=alert(1)>\\x1b[31m"


def test_an_expression_that_would_take_for_ever_is_given_up_and_others_are_answered_meanwhile(
    tmp_path: Path, house: Guardhost
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "OVEN.log").write_text(f"2026-11-28_08:00:00.000000Z OVEN {'a' * 4000}!\n" * 10)
    with GuardianConsole(house, options=("--state-dir", str(tmp_path))) as console:
        console.wait("/api/about", lambda about: about["nodes"] == 2)
        assert console.child is not None
        begun = time.monotonic()
        answer = console.get(f"/api/log?node=OVEN&text={quote('(a+)+$')}&regex=1")
        assert answer.status == 400 and "takes too long, and was given up" in answer.error
        assert time.monotonic() - begun < 30
        assert psutil.Process(console.child.pid).children(recursive=True) == []


def test_what_is_read_for_a_page_that_has_gone_is_given_up(tmp_path: Path, house: Guardhost) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "OVEN.log").write_text(f"2026-11-28_08:00:00.000000Z OVEN {'a' * 4000}!\n" * 10)
    with GuardianConsole(house, options=("--state-dir", str(tmp_path))) as console:
        console.wait("/api/about", lambda about: about["nodes"] == 2)
        assert console.child is not None
        process = psutil.Process(console.child.pid)
        gone = HTTPConnection(console.host, console.port, timeout=30)
        gone.request("GET", f"/api/log?node=OVEN&text={quote('(a+)+$')}&regex=1")
        eventually(process.children, 30, "a process that looks")
        assert console.told("/api/log?node=OVEN")["lines"], "others are answered meanwhile"
        gone.close()
        begun = time.monotonic()
        eventually(lambda: not process.children(), 30, "it to be ended")
        assert time.monotonic() - begun < 8, "it was ended by its bound, and not as the page had gone"


def test_a_live_tail_is_told_only_what_came_since(house: Guardhost, console: GuardianConsole) -> None:
    last = lines_of(console, "node=LAMP")[0]["stamp"]
    house.put("LAMP", "REQUEST_CMD", json.dumps({"state": "INIT", "person": "eve"}))
    told = console.wait(f"/api/log?node=LAMP&since={last + 1e-6!r}", lambda answer: answer["lines"])
    assert any("by eve at" in one["text"] for one in told["lines"])
