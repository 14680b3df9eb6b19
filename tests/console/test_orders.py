"""Ways and orders: what a page is shown before it asks, who may ask, and what the node and its journal say of it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from guardian.console.people import Role
from guardian.core.facts import PLAIN_ROWS
from tests.console.consoling import Answer, GuardianConsole
from tests.console.visiting import Visitor, enrol
from tests.support import REPO, CaClient, Child, eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]
OVEN = """\
from guardian import GuardState
nominal = 'HOT'
request = 'COLD'
class DOWN(GuardState):
    index = 5
    goto = True
class COLD(GuardState):
    index = 10
class WARM(GuardState):
    index = 20
class HOT(GuardState):
    index = 30
edges = [('INIT', 'COLD'), ('DOWN', 'COLD'), ('COLD', 'WARM'), ('WARM', 'HOT')]
"""
ROLES = {"ann": Role.OPERATOR, "bob": Role.EXPERT, "eve": Role.VIEWER}


class Room(GuardianConsole):
    """A console with people who have logged in."""

    def __init__(self, house: Guardhost, nodes: Sequence[str] = ()) -> None:
        users = house.folder / "users"
        self.tokens = enrol(users, **ROLES)
        self.people = {"": Visitor(self)}
        super().__init__(house, nodes=nodes, options=("--allow-write", "--users", str(users)))

    def start(self) -> None:
        super().start()
        for name, token in self.tokens.items():
            self.people[name] = Visitor(self)
            assert self.people[name].login(name, token).status == 200


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with Guardhost(tmp_path_factory.mktemp("orders"), {"OVEN": OVEN}) as host:
        host.wait("OVEN", "STATE", "COLD")
        yield host


@pytest.fixture(scope="module")
def console(running: Guardhost) -> Iterator[Room]:
    with opened(running) as one:
        yield one


@contextmanager
def opened(host: Guardhost) -> Iterator[Room]:
    with Room(host) as one:
        one.wait("/api/nodes/OVEN", lambda node: node["graph"])
        yield one


@pytest.fixture
def house(running: Guardhost, console: Room) -> Guardhost:
    """With its node in COLD, as the console sees it too."""
    for row, value in (("OP", "EXEC"), ("MODE", "AUTO"), ("REQUEST", "DOWN"), ("REQUEST", "COLD")):
        running.put("OVEN", row, value)
    running.wait("OVEN", "STATE", "COLD")
    console.wait("/api/nodes/OVEN/way?state=COLD", lambda way: way["states"] == ["COLD"] and not way["dangerous"])
    return running


def audit(house: Guardhost, *words: str) -> str:
    argv = [sys.executable, "-m", "guardian.cli.guardlog", "audit", *words, "--state-dir", str(house.state_dir)]
    with Child(argv, env=house.env, cwd=house.folder) as child:
        assert child.wait(60) == 0, child.report()
        return child.output


def audited(house: Guardhost, row: str) -> dict[str, Any]:
    """The record of the write to this row."""

    def found() -> Any:
        lines = [json.loads(line) for line in audit(house, "--json").splitlines() if line.startswith("{")]
        return [line for line in lines if line["row"] == row]

    found_at_last: list[dict[str, Any]] = eventually(found, 30, f"a write of {row} in the journal", period_s=0.2)
    return found_at_last[-1]


def way(console: Room, state: str) -> Any:
    return console.told(f"/api/nodes/OVEN/way?state={state}")


def request(console: Room, state: str, who: str = "ann", **more: Any) -> Answer:
    return console.people[who].post("/api/nodes/OVEN/request", {"state": state, **more})


def write(console: Room, row: str, value: str, who: str = "ann", **more: Any) -> Answer:
    return console.people[who].post("/api/nodes/OVEN/write", {"row": row, "value": value, **more})


def in_hot(house: Guardhost, console: Room) -> None:
    house.put("OVEN", "REQUEST", "HOT")
    house.wait("OVEN", "STATE", "HOT")
    console.wait("/api/nodes/OVEN/way?state=DOWN", lambda way: way["states"] == ["HOT", "DOWN"])


# --- the way ----------------------------------------------------------------------------------------------------------


def test_the_way_is_shown_with_how_long_it_takes_and_what_is_dangerous_of_it(house: Guardhost, console: Room) -> None:
    told = console.wait("/api/nodes/OVEN/way?state=HOT", lambda way: way["untimed"] == ["WARM", "HOT"])
    assert told["states"] == ["COLD", "WARM", "HOT"]
    assert (told["dangerous"], told["warnings"], told["word"]) == (False, [], "Request HOT (2 states)")
    assert told["basis"]["state"] == "COLD"
    in_hot(house, console)
    told = way(console, "WARM")
    assert told["states"] == ["HOT", "DOWN", "COLD", "WARM"] and told["passes_goto"] == ["DOWN"]
    assert told["leaves_nominal"] and told["dangerous"]
    assert "the way passes DOWN, a goto state" in told["warnings"]
    assert "it gives up its nominal state, HOT" in told["warnings"]


def test_there_is_no_way_to_a_state_that_the_node_does_not_have(console: Room) -> None:
    answer = console.get("/api/nodes/OVEN/way?state=HOTT")
    assert (answer.status, answer.error) == (404, "OVEN has no state 'HOTT'; did you mean HOT?")
    assert console.get("/api/nodes/OVEN/way").status == 400
    assert console.get("/api/nodes/OVNE/way?state=HOT").status == 404


# --- a request --------------------------------------------------------------------------------------------------------


def test_a_request_moves_the_node_and_its_journal_names_the_person_and_the_reason(
    house: Guardhost, console: Room
) -> None:
    answer = request(console, "HOT", reason="supper")
    assert answer.status == 200 and answer.json["asked"], answer
    house.wait("OVEN", "STATE", "HOT")
    assert json.loads(house.get("OVEN", "SUMMARY"))["cmd"] == answer.json["id"]
    assert house.get("OVEN", "REQUEST_BY").startswith("ann at ")
    record = audited(house, "REQUEST_CMD")
    assert (record["person"], record["new"], record["reason"]) == ("ann", "HOT", "supper")
    assert "by ann at " in audit(house) and "reason: 'supper'" in audit(house)


def test_nobody_and_a_viewer_ask_for_nothing(house: Guardhost, console: Room) -> None:
    answer = request(console, "HOT", "")
    assert answer.status == 401 and "log in" in answer.error
    answer = request(console, "HOT", "eve")
    assert answer.status == 403 and "it takes an operator" in answer.error
    assert house.get("OVEN", "REQUEST") == "COLD"


def test_what_is_dangerous_takes_the_name_of_the_node(house: Guardhost, console: Room) -> None:
    in_hot(house, console)
    answer = request(console, "WARM")
    assert answer.status == 409 and "confirm it by the name of the node" in answer.error
    assert answer.json["way"]["passes_goto"] == ["DOWN"]
    assert request(console, "WARM", confirm="oven").status == 409
    assert house.get("OVEN", "REQUEST") == "HOT"
    assert request(console, "WARM", confirm="OVEN", basis=answer.json["way"]["basis"]).status == 200
    house.wait("OVEN", "STATE", "WARM")


def test_what_has_become_dangerous_since_somebody_looked_is_refused_though_the_name_was_typed(
    house: Guardhost, console: Room
) -> None:
    seen = way(console, "WARM")
    assert not seen["dangerous"]
    in_hot(house, console)
    answer = request(console, "WARM", confirm="OVEN", basis=seen["basis"])
    assert answer.status == 409
    assert answer.error.startswith("OVEN was not asked for WARM, since meanwhile the way passes DOWN")
    assert answer.json["way"]["states"] == ["HOT", "DOWN", "COLD", "WARM"]
    assert house.get("OVEN", "REQUEST") == "HOT"


def test_a_refusal_of_the_node_comes_back_in_its_own_words(house: Guardhost, console: Room) -> None:
    answer = write(console, "RESET_FAILED", "1")
    assert answer.status == 409
    assert answer.error.endswith("was not set to 'True': it has not failed, WORKER is RUN; nothing was done")


def test_a_host_that_is_gone_is_not_asked(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"OVEN": OVEN}) as host, opened(host) as console:
        host.kill9()
        eventually(lambda: request(console, "HOT").status == 409, 60, "the console to see that the host is gone")
        assert "does not answer" in request(console, "HOT").error
        assert "does not answer" in write(console, "OP", "STOP").error
        assert "cannot be asked for HOT: it does not answer" in console.get("/api/nodes/OVEN/way?state=HOT").error


def test_a_host_that_hangs_is_said_to_and_nobody_is_told_that_it_obeyed(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"OVEN": OVEN}) as host, opened(host) as console:
        assert host.child is not None
        host.child.signal(signal.SIGSTOP)
        assert "try again" in console.get("/api/nodes/OVEN/way?state=HOT").error
        answer = write(console, "OP", "PAUSE")
        assert answer.status == 504 and "or nobody knows" in answer.error, answer


def test_a_console_that_is_killed_changes_nothing_for_any_node(tmp_path: Path) -> None:
    """While pages look, and just after somebody asked for something, which stays asked for."""
    with Guardhost(tmp_path, {"OVEN": OVEN}) as house, opened(house) as console:
        journal = house.state_dir / "journal.jsonl"
        with connect(f"ws://{console.address}/feed", origin=f"http://{console.address}") as page:  # type: ignore[arg-type]
            page.recv(30)
            assert request(console, "HOT").status == 200
            house.wait("OVEN", "STATE", "HOT")
            house.wait("OVEN", "STATUS", "DONE")
            before = str(house.get("OVEN", "SUMMARY")), house.workers(), journal.read_bytes()
            assert console.child is not None
            console.child.kill9()
            time.sleep(2)  # for what would come of it, if anything did
            assert (str(house.get("OVEN", "SUMMARY")), house.workers(), journal.read_bytes()) == before
        house.put("OVEN", "REQUEST", "COLD")
        house.wait("OVEN", "STATE", "COLD")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"[]", 400),
        (b"{", 400),
        (b'{"state": 3}', 400),
        (b'{"state": ""}', 400),
        (b'{"state": "%s"}' % (b"S" * 40), 400),
        (b'{"state": "HOT\\u0000"}', 400),
        (b'{"state": "HOT", "reason": "%s"}' % (b"x" * 201), 400),
        (b'{"state": "HOT", "basis": 3}', 400),
        (b'{"state": "HOT", "basis": {}}', 400),
        (b'{"state": "\\ud800"}', 400),
        (b"[" * 8000, 400),
        (b'{"state": "HOT", "x": "%s"}' % (b"x" * 70_000), 413),
    ],
)
def test_an_order_that_cannot_be_read_changes_nothing(
    house: Guardhost, console: Room, said: bytes, status: int
) -> None:
    answer = console.people["ann"].post("/api/nodes/OVEN/request", said)
    assert (answer.status, bool(answer.error)) == (status, True)
    assert house.get("OVEN", "REQUEST") == "COLD"


# --- a write ----------------------------------------------------------------------------------------------------------


def test_a_write_names_the_person_in_the_journal_of_the_node(house: Guardhost, console: Room) -> None:
    assert write(console, "OP", "PAUSE", reason="lunch").json == {"written": True}
    house.wait("OVEN", "OP", "PAUSE")
    record = audited(house, "OP")
    assert (record["person"], record["old"], record["new"], record["reason"]) == ("ann", "EXEC", "PAUSE", "lunch")
    assert "ann at " in house.get("OVEN", "WHY")


def test_what_changes_how_a_node_works_takes_an_expert(house: Guardhost, console: Room) -> None:
    for row, value in (("LOAD", "1"), ("LOGLEVEL", "DEBUG"), ("MANAGER", "IFO")):
        answer = write(console, row, value)
        assert (answer.status, "it takes an expert" in answer.error) == (403, True)
    assert write(console, "LOGLEVEL", "DEBUG", "bob").status == 200
    house.wait("OVEN", "LOGLEVEL", "DEBUG")
    assert write(console, "MODE", "AUTO", "").status == 401


@pytest.mark.parametrize(
    ("row", "value", "says"),
    [
        ("STATE", "HOT", "'STATE' of OVEN cannot be written here; OP, "),
        ("REQUEST", "HOT", "'REQUEST' of OVEN cannot be written here"),
        ("REQUEST_CMD", "{}", "'REQUEST_CMD' of OVEN cannot be written here"),
        ("WRITE_CMD", "{}", "'WRITE_CMD' of OVEN cannot be written here"),
        ("", "", "'' of OVEN cannot be written here"),
        ("OP", "FLY", "OP is one of STOP, PAUSE, EXEC, not 'FLY'"),
        ("OP", "7", "OP is one of STOP, PAUSE, EXEC, not '7'"),
        ("REENTER", "maybe", "REENTER is one of False, True"),
        ("MANAGER", "M" * 40, "MANAGER holds 39 bytes, and this has 40"),
    ],
)
def test_a_write_that_makes_no_sense_is_refused_before_the_node_hears_of_it(
    console: Room, row: str, value: str, says: str
) -> None:
    answer = write(console, row, value, "bob")
    assert answer.status == 400 and says in answer.error


# --- an original Guardian's nodes -------------------------------------------------------------------------------------


def test_an_original_guardians_node_is_asked_plainly_and_the_log_of_the_console_names_the_person(
    tmp_path: Path,
) -> None:
    house = Guardhost(tmp_path, {})
    argv = [sys.executable, "-m", "tests.access.original", f"{house.ifo}:", "plain"]
    with Child(argv, env=house.env, cwd=REPO) as server, Room(house, ["OLD", "STUBBORN"]) as console:
        server.wait_for("SERVER READY", 60)
        told = console.wait("/api/nodes/OLD/way?state=LOCKED", lambda way: way["warnings"])
        assert (told["states"], told["word"], told["dangerous"]) == ([], "Request LOCKED", False)
        assert {one["row"] for one in console.told("/api/nodes/OLD")["pvs"]} == {*PLAIN_ROWS}
        ann = console.people["ann"]
        answer = ann.post("/api/nodes/OLD/request", {"state": "LOCKED", "reason": "as ever"})
        assert answer.json == {"asked": True, "id": ""}
        assert console.child is not None
        console.child.wait_for("ann asks OLD for LOCKED, reason: as ever")
        assert ann.post("/api/nodes/OLD/write", {"row": "OP", "value": "PAUSE"}).json == {"written": True}
        console.child.wait_for("ann writes PAUSE to OP of OLD")
        with CaClient(house.env) as client:
            assert client.get(house.pv("OLD", "REQUEST"), as_string=True).value == "LOCKED"
            assert client.get(house.pv("OLD", "OP"), as_string=True).value == "PAUSE"
        console.wait("/api/nodes/STUBBORN/way?state=LOCKED", lambda way: way["warnings"])
        answer = ann.post("/api/nodes/STUBBORN/request", {"state": "LOCKED"})
        assert answer.status == 409 and "not today" in answer.error
