"""What the console tells of what was: events and writes, from the journals of a real host, and those put aside."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from guardian.console.elsewhere import told
from guardian.host.claim import Claim
from tests.console.consoling import GuardianConsole
from tests.console.ovens import journal, older, played, records
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with played(tmp_path_factory.mktemp("ev")) as host:
        yield host


@pytest.fixture(scope="module")
def console(house: Guardhost) -> Iterator[GuardianConsole]:
    with GuardianConsole(house) as one:
        one.wait("/api/about", lambda about: about["nodes"] == 2)
        yield one


def all_of(console: GuardianConsole, query: str) -> list[dict[str, Any]]:
    return console.all_of(f"/api/events?{query}", "records")


def test_events_come_newest_first_in_pages_that_miss_none_and_repeat_none(
    house: Guardhost, console: GuardianConsole
) -> None:
    kept = [(one["stamp"], one["node"], one["id"], one["kind"]) for one in reversed(records(house))]
    for limit in (1, 2, 3, 1000):
        found = all_of(console, f"limit={limit}")
        assert [(one["stamp"], one["node"], one["id"], one["kind"]) for one in found] == kept


def test_an_event_is_told_as_guardlog_tells_it(house: Guardhost, console: GuardianConsole) -> None:
    for order in ("events", "audit"):
        argv = [sys.executable, "-m", "guardian.cli.guardlog", "--state-dir", str(house.state_dir), order, "OVEN"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        lines = done.stdout.splitlines()
        kinds = ("write",) if order == "audit" else {one["kind"] for one in records(house)} - {"write"}
        found = all_of(console, f"node=OVEN&kind={','.join(kinds)}")[::-1]
        assert len(found) == len(lines) > 3
        for line, event in zip(lines, found, strict=True):
            assert line.endswith(event["text"]) and event["text"]


def test_who_was_behind_an_event_is_told_in_parts_and_why_it_happened_in_a_word(console: GuardianConsole) -> None:
    found = console.told("/api/events?node=OVEN&kind=request,enter,error,write")["records"][::-1]
    told = [(one["kind"], one["cause"], one.get("from"), one.get("to")) for one in found]
    for expected in (
        ("request", "manager", None, "HOT"),
        ("enter", "edge", "COLD", "WARM"),
        ("enter", "jump", "WARM", "HOT"),
        ("request", "request", None, "COLD"),
        ("write", "refused", "COLD", "NOWHERE"),
        ("error", "error", None, None),
        ("enter", "goto", "BAD", "DOWN"),
    ):
        assert expected in told, told
    managed = next(one for one in found if one["kind"] == "request" and one["cause"] == "manager")
    assert (managed["manager"], managed["person"], managed["address"]) == ("LAB", "bob", "127.0.0.1")
    person = next(one for one in found if one["kind"] == "request" and one.get("person") == "ann lee")
    assert "@" in person["who"] and "manager" not in person and '"ann lee" at ' in person["text"]
    refused = next(one for one in found if one["cause"] == "refused")
    assert refused["taken"] is False and "no such state" in refused["why"]


def test_events_are_looked_for_by_node_kind_person_and_words(console: GuardianConsole) -> None:
    assert {one["node"] for one in all_of(console, "node=LAMP")} == {"LAMP"}
    assert {one["node"] for one in all_of(console, "node=L*&node=OVEN")} == {"LAMP", "OVEN"}
    assert {one["kind"] for one in all_of(console, "kind=err*,load")} == {"error", "load"}
    assert {one["person"] for one in all_of(console, "who=ANN")} == {"ann lee"}
    assert [one["to"] for one in all_of(console, "text=zu")] == []
    assert {one["to"] for one in all_of(console, "text=nowHERE")} == {"NOWHERE"}


def test_times_are_epoch_seconds_or_iso_and_nothing_else(console: GuardianConsole) -> None:
    found = all_of(console, "node=OVEN")
    middle = found[len(found) // 2]["stamp"]
    at = datetime.fromtimestamp(middle, UTC)
    later = [one for one in found if one["stamp"] >= middle]
    for text in (repr(middle), at.isoformat().replace("+00:00", "Z"), quote(at.isoformat())):
        assert all_of(console, f"node=OVEN&since={text}") == later
    assert all_of(console, f"node=OVEN&until={middle!r}")[-1] == found[-1]
    for text in ("yesterday", "1e99", "nan", "2026-13-01"):
        assert "is no time; give epoch seconds, or a date" in console.get(f"/api/events?since={text}").error
    assert console.get("/api/events?since=20&until=10").error.startswith("until is not later than since")
    places = ("before=nan", "before=1~x", "before=1~999999999")
    for bad in ("limit=0", "limit=x", "limit=100000", *places, "node=../x", f"text={'x' * 400}"):
        assert console.get(f"/api/events?{bad}").status == 400, bad


def test_what_a_node_says_is_data_and_steers_nothing(console: GuardianConsole) -> None:
    answer = console.get("/api/events?kind=error")
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json["records"]
    assert "<img src=x onerror=alert(1)>" in error["text"] and "\x1b" not in answer.body.decode()


def test_what_was_put_aside_is_read_too_and_what_cannot_be_read_is_said(tmp_path: Path, house: Guardhost) -> None:
    state = tmp_path / "state"
    state.mkdir()
    kept = journal(house).read_text().splitlines(keepends=True)
    half = len(kept) // 2
    (state / "journal.jsonl.20261128T000000Z").write_text("".join(kept[:half]))
    (state / "journal.jsonl").write_text("".join(kept[half:]) + '{"kind": "enter", "stamp": \n{"torn')
    with gzip.open(state / "journal.jsonl.1.gz", "wt") as packed:
        packed.write(older(house, 86400))
    os.utime(state / "journal.jsonl.1.gz", (1.79e9, 1.79e9))  # what others put aside is put in order by this
    (state / "journal.jsonl.2").mkdir()
    (state / "journal.jsonl.3.xz").write_bytes(b"\xfd7zXZ")
    with GuardianConsole(house, options=("--state-dir", str(state))) as console:
        console.wait("/api/about", lambda about: about["nodes"] == 2)
        answer = console.told("/api/events?limit=1000")
        found = [(one["stamp"], one["id"], one["kind"]) for one in answer["records"]]
        now = [(one["stamp"], one["id"], one["kind"]) for one in reversed(records(house))]
        assert found[: len(now)] == now and len(found) == 2 * len(now)
        assert answer["begin"] == pytest.approx(records(house)[0]["stamp"] - 86400)
        said = "\n".join(answer["says"])
        assert "journal.jsonl.2: Is a directory" in said and "unpack this one" in said
        assert "damaged lines that were passed over: 2" in said
        assert all_of(console, "limit=7") == answer["records"]


def test_where_there_is_no_journal_it_is_said_where_the_host_keeps_it(tmp_path: Path, house: Guardhost) -> None:
    with GuardianConsole(house, options=("--state-dir", str(tmp_path))) as console:
        console.wait("/api/about", lambda about: about["nodes"] == 2)
        where = f"the records of OVEN are in {house.state_dir} on this machine, which this console does not read"
        answer = console.wait("/api/events?node=OVEN&node=NOBODY", lambda told: where in str(told["says"]))
        assert answer["records"] == [] and not answer["more"]
        assert "nothing of NOBODY is on this machine, and no host lists such a node" in answer["says"]


def test_that_nothing_was_found_is_not_that_there_is_nothing(console: GuardianConsole) -> None:
    for path in (
        "events?node=OVEN&text=nothing-like-it",
        "log?node=OVEN&text=nothing-like-it",
        "history?node=OVEN&until=9",
    ):
        assert console.told(f"/api/{path}")["says"] == [], path


def test_a_host_on_another_machine_is_named() -> None:
    claim = Claim(machine="h1guard1", pid=1, user="ops", port=5064, dir="/var/x", since=1.0, id="a", runs=True)
    assert told(claim, "OVEN", "10.0.0.7", [Path("/var/x")]) == (
        "the records of OVEN are on another machine: its host runs at 10.0.0.7 (h1guard1, in /var/x); look there, or "
        "start a console there"
    )
    here = Claim(machine=socket.gethostname(), pid=1, user="ops", port=5064, dir="/var/x", since=1.0, id="a")
    assert told(here, "OVEN", "10.0.0.7", [Path("/var/x")]) == ""


def test_a_large_journal_is_looked_through_in_bounded_steps(tmp_path: Path, house: Guardhost) -> None:
    state = tmp_path / "state"
    state.mkdir()
    record = {**records(house)[-1], "text": "x" * 800}
    lines = [json.dumps({**record, "node": "BUSY", "stamp": 1.7e9 + n, "id": n}) for n in range(60_000)]
    (state / "journal.jsonl").write_text("\n".join([json.dumps({**record, "stamp": 1.6e9}), *lines, ""]))
    with GuardianConsole(house, options=("--state-dir", str(state))) as console:
        found = all_of(console, "text=nothing-like-it")
        assert found == []
        assert [one["stamp"] for one in all_of(console, "node=OVEN")] == [1.6e9]
        assert console.told("/api/events?limit=3")["records"][0]["id"] == 59_999
