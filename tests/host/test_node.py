"""One node: what it shows on its way, what does not count, OP, errors and refusals."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import (
    Began,
    Channels,
    Enter,
    Judge,
    Leave,
    Left,
    Loaded,
    Notifications,
    Pause,
    Raised,
    Resume,
    Returned,
    Stop,
)
from guardian.enums import Call, ErrorKind, LoadStatus, Severity, Status, Worker
from guardian.errors import RefusedError
from guardian.worker import link
from guardian.worker.interrupt import DUMP_SIGNAL
from guardian.worker.link import Load
from tests.core.driver import system
from tests.host.dict_face import ANNA, EVE
from tests.host.fake_worker import FACTS
from tests.host.house import LIMITS, House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


# --- the way to the request


async def test_a_node_walks_to_the_request_of_its_module(home: House) -> None:
    await home.aligned()
    pv = home.face["SUS"]
    assert home.states() == ["INIT", "SAFE", "DAMPED", "ALIGNED"]
    assert (pv["STATUS"], pv["OK"], pv["WHY"], pv["GRDMSG"]) == (Status.DONE, 1, "", "")
    assert (pv["REQUEST"], pv["NOMINAL"], pv["LOAD_STATUS"]) == ("ALIGNED", "ALIGNED", LoadStatus.DONE)
    assert pv["STATES"] == [s.name for s in sorted(FACTS.states, key=lambda s: s.index or 0)]
    (load,) = home.worker.commands(Load)
    assert (load.node, load.ifo, load.site) == ("SUS", "X1", "LAB")


async def test_status_tells_how_a_state_was_left_before_the_new_one(home: House) -> None:
    node = await home.aligned()
    home.face.put("SUS", "REQUEST", "DAMPED")
    await home.settled(node, "DAMPED")
    steps = [[(p.row, p.value) for p in batch] for batch in home.face.batches("SUS")]
    entered = next(step for step in reversed(steps) if ("STATE", "DAMPED") in step)
    assert entered[:2] == [("STATUS", Status.EDGE), ("STATUS", Status.ENTER)]
    assert home.face.seen("SUS", "STATUS")[-4:] == [Status.EDGE, Status.ENTER, Status.MAIN, Status.DONE]


async def test_a_state_that_is_left_on_arrival_leaves_no_old_status_behind(home: House) -> None:
    """A jump to ISLAND, from where the way leads to a goto state: two transitions in one moment."""
    node = await home.aligned()
    home.worker.returns("ISLAND")
    await home.reached(node, lambda v: v.state == "ISLAND" or "ISLAND" in home.states())
    await home.settled(node)
    statuses = home.face.seen("SUS", "STATUS")
    at = statuses.index(Status.JUMP)
    assert statuses[at : at + 4] == [Status.JUMP, Status.ENTER, Status.REDIRECT, Status.ENTER]
    entered = [command.state for command in home.worker.commands(Enter)]  # ISLAND was never entered by the worker
    assert entered == ["INIT", "SAFE", "DAMPED", "ALIGNED", "SAFE", "DAMPED", "ALIGNED"]


async def test_each_step_has_one_id_and_one_stamp_everywhere(home: House) -> None:
    node = await home.aligned()
    home.face.put("SUS", "REQUEST", "SAFE", ANNA)
    await home.settled(node, "SAFE")
    event = next(e for e in home.face.events("SUS") if e["kind"] == "request")
    batch = next(
        b for b in home.face.batches("SUS") if any(p.row == "EVENT" and f'"id":{event["id"]},' in p.value for p in b)
    )
    (record,) = await home.journal(kind="request")
    assert {round(post.stamp, 6) for post in batch} == {event["stamp"]} == {record["stamp"]}
    assert record["id"] == event["id"]
    line = await home.logged(f"REQUEST SAFE by {ANNA}")
    assert line.split(".")[1][:6] == f"{event['stamp']:.6f}".split(".")[1]
    ids = [e["id"] for e in home.face.events("SUS")]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_a_request_shows_at_once_while_user_code_is_busy(home: House) -> None:
    node = await home.aligned()
    home.spawner.mute = {Judge, Leave}
    home.face.put("SUS", "REQUEST", "DAMPED")
    pv = home.face["SUS"]
    assert (pv["REQUEST"], pv["TARGET"], pv["STATE"], pv["STATUS"]) == ("DAMPED", "DAMPED", "ALIGNED", Status.RUN)
    home.worker.returns(True)
    await home.settled(node, "DAMPED")


# --- what a worker says in one go


async def test_what_a_worker_says_in_one_go_is_shown_once_and_in_order_whatever_it_is(home: House) -> None:
    node = await home.aligned()
    home.spawner.mute = {Enter}
    home.face.put("SUS", "REQUEST", "DAMPED")
    await home.until(lambda: home.worker.commands(Enter)[-1].state == "DAMPED")
    entry, before = home.worker.commands(Enter)[-1].entry, len(home.face.events("SUS"))
    home.worker.say(
        Began(entry=entry),
        Returned(entry=entry, call=Call.MAIN, outcome=False),
        Notifications(entry=0, texts=("careful",)),
        Returned(entry=entry, call=Call.RUN, outcome=True),
        Channels(total=3, met=()),
        Returned(entry=entry, call=Call.RUN, outcome=False),
        Returned(entry=entry, call=Call.RUN, outcome="SAFE"),
        Began(entry=entry + 1),
        Raised(entry=entry + 1, call=Call.MAIN, kind=ErrorKind.ERROR, message="SAFE.main() raised KeyError"),
    )
    home.worker.die(sig=signal.SIGKILL)
    await home.reached(node, lambda v: v.restarts == 1 and v.worker is Worker.RUN)
    events = home.face.events("SUS")
    assert [e["kind"] for e in events[before : before + 9]] == [
        "status", "status", "notify", "status", "status", "enter", "status", "error", "worker",
    ], events[before:]  # fmt: skip
    ids = [e["id"] for e in events]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    for kind in ("enter", "worker", "error"):
        wanted = [e["id"] for e in events if e["kind"] == kind]
        assert [record["id"] for record in await home.journal(kind=kind, least=len(wanted))][: len(wanted)] == wanted


async def test_what_a_worker_says_while_its_node_leaves_is_not_shown(home: House) -> None:
    node = await home.aligned()
    home.spawner.mute = {Stop}
    for number in range(1, 4):
        home.worker.returns(False)
        home.worker.returns("SAFE")
        if number == 1:
            leaving = asyncio.create_task(home.host.remove("SUS"))
            await asyncio.sleep(0)
    shown = len(home.face.posts)
    await home.until(lambda: node.has_ended)
    await leaving
    assert len(home.face.posts) == shown


async def test_a_word_that_is_none_behind_good_ones_takes_nothing_from_them(home: House) -> None:
    node = await home.aligned()
    home.worker.raw(
        link.encode(home.worker.gen, Returned(entry=home.worker.entry, call=Call.RUN, outcome="SAFE", seq=0)) + b"?\n"
    )
    await home.reached(node, lambda v: v.restarts == 1)
    events = home.face.events("SUS")
    assert [e["text"].partition(" ")[0] for e in events if e["kind"] == "enter"].count("JUMP:") == 1
    assert events[-1]["id"] == node.view.event_id


# --- words that do not count


async def test_stale_and_doubled_words_change_nothing(home: House) -> None:
    node = await home.aligned()
    worker, before, count = home.worker, node.view, len(home.face.events("SUS"))
    jump = Returned(entry=worker.entry, call=Call.RUN, outcome="SAFE")
    worker.say(jump, gen=worker.gen - 1)
    worker.say(jump, gen=worker.gen + 1)
    worker.say(
        replace(jump, entry=worker.entry - 1),
        replace(jump, entry=worker.entry + 1),
        Raised(entry=worker.entry - 1, call=Call.MAIN, kind=ErrorKind.ERROR, message="old"),
        Left(entry=worker.entry),
        Left(entry=worker.entry - 1),
        Began(entry=worker.entry),
        Began(entry=1),
        replace(jump, outcome=True),
        replace(jump, outcome=True),
        replace(jump, outcome=True, seq=99),
        Channels(total=7),
        Loaded(facts=system("INIT>OTHER")),
    )
    worker.raw(b"\n\n")
    worker.raw(link.encode(worker.gen, Stop()))  # a command, the wrong way
    worker.say(Notifications(entry=worker.entry, texts=("the last word",)))
    await home.reached(node, lambda v: v.notifications == ("the last word",))
    assert (node.view.state, node.view.status, node.view.graph) == (before.state, before.status, before.graph)
    assert len(home.face.events("SUS")) == count + 1


async def test_reports_of_a_worker_that_was_told_to_stop_do_not_count(home: House) -> None:
    node = await home.aligned()
    home.spawner.mute = {Stop}
    home.face.put("SUS", "OP", "STOP")
    home.worker.returns("SAFE")
    home.worker.say(Raised(entry=home.worker.entry, call=Call.RUN, kind=ErrorKind.ERROR, message="torn down"))
    await home.reached(node, lambda v: v.worker is Worker.STOP)
    assert (node.view.state, node.view.error) == ("ALIGNED", ErrorKind.NONE)


# --- leaving a state


async def test_a_redirect_that_is_not_heeded_kills_and_enters_the_target(home: House) -> None:
    """R8, R25: and the TARGET is that of the moment; what the method returns meanwhile does not count."""
    node = await home.aligned()
    home.spawner.mute = {Leave}
    begun = time.monotonic()
    home.face.put("SUS", "REQUEST", "SAFE")
    assert home.face["SUS"]["STATUS"] == Status.REDIRECT
    await home.until(lambda: home.worker.commands(Leave), "Leave")
    assert home.worker.commands(Leave)[-1].interrupt
    home.worker.returns("ISLAND")
    home.face.put("SUS", "REQUEST", "SLOW")
    await home.reached(node, lambda v: v.kills == 1)
    assert time.monotonic() - begun >= LIMITS.redirect_timeout_s
    await home.settled(node, "SLOW")
    assert home.states() == ["INIT", "SAFE", "DAMPED", "ALIGNED", "SAFE", "SLOW"]
    assert [c.state for c in home.worker.commands(Enter)] == ["SAFE", "SLOW"]
    assert home.spawner.kills[0] == ("SUS#1", DUMP_SIGNAL)  # it says where it stands
    assert home.face["SUS"]["KILLS"] == 1
    await home.logged("worker 1 killed", "ALIGNED did not end within 0.2 s")


async def test_a_state_that_may_not_be_left_is_waited_for(home: House) -> None:
    node = await home.aligned()
    home.spawner.outcomes = {"SLOW": False}
    home.face.put("SUS", "REQUEST", "SLOW")
    await home.reached(node, lambda v: v.state == "SLOW" and v.status is Status.RUN)
    home.face.put("SUS", "REQUEST", "SAFE")
    await home.until(lambda: home.worker.commands(Judge), "Judge")
    assert (node.view.state, node.view.target, node.view.kills) == ("SLOW", "SAFE", 0)
    home.worker.returns(True)
    await home.settled(node, "SAFE")
    assert not home.worker.commands(Leave)[1:]


# --- OP


async def test_stop_kills_what_does_not_end_and_exec_starts_anew(home: House) -> None:
    node = await home.aligned()
    home.spawner.mute = {Stop}
    begun = time.monotonic()
    home.face.put("SUS", "OP", "STOP", ANNA)
    await home.reached(node, lambda v: v.worker is Worker.STOP)
    assert LIMITS.stop_timeout_s <= time.monotonic() - begun < 5
    pv, severity = home.face["SUS"], home.face.severities["SUS"]
    assert (pv["STATE"], pv["TARGET"], pv["STATUS"], pv["KILLS"]) == ("ALIGNED", "ALIGNED", Status.DONE, 1)
    assert {severity[name] for name in ("STATE", "TARGET", "STATUS")} == {Severity.INVALID}
    assert (severity["OK"], home.spawner.alive()) == (Severity.NO_ALARM, [])
    home.face.put("SUS", "REQUEST", "SAFE")  # settings stay writable
    home.spawner.mute = set()
    home.face.put("SUS", "OP", "EXEC")
    await home.settled(node, "SAFE")
    assert home.states()[-2:] == ["INIT", "SAFE"]


async def test_stop_and_exec_back_to_back_are_two_orders(home: House) -> None:
    node = await home.aligned()
    home.face.put("SUS", "OP", "STOP")
    home.face.put("SUS", "OP", "EXEC")
    await home.reached(node, lambda v: home.worker.gen == 2 and v.state == "ALIGNED")
    assert home.states()[4:] == ["INIT", "SAFE", "DAMPED", "ALIGNED"]


async def test_pause_keeps_the_result_and_the_entry(home: House) -> None:
    home.spawner.outcomes = {"DAMPED": None}
    node = await home.host.add("SUS")
    await home.reached(node, lambda v: v.state == "DAMPED" and v.status is Status.MAIN)
    home.face.put("SUS", "OP", "PAUSE")
    home.worker.returns(True, call=Call.MAIN)
    home.worker.say(Notifications(entry=home.worker.entry, texts=("read after the return",)))
    await home.reached(node, lambda v: bool(v.notifications))
    assert (node.view.state, node.view.worker) == ("DAMPED", Worker.PAUSE)
    home.face.put("SUS", "OP", "EXEC")
    await home.settled(node)
    assert home.worker.gen == 1
    assert len(home.worker.commands(Pause)) == len(home.worker.commands(Resume)) == 1


# --- errors and refusals


async def test_an_error_of_user_code_is_told_everywhere(home: House) -> None:
    node = await home.aligned()
    home.worker.say(
        Raised(entry=home.worker.entry, call=Call.RUN, kind=ErrorKind.ERROR, message="ZeroDivisionError: SUS.py:31")
    )
    await home.reached(node, lambda v: v.error is ErrorKind.ERROR)
    pv = home.face["SUS"]
    assert "SUS.py:31" in pv["GRDMSG"] and "SUS.py:31" in pv["WHY"]
    (record,) = await home.journal(kind="error")
    assert "SUS.py:31" in record["text"]
    await home.logged("ERROR", "SUS.py:31")
    home.face.put("SUS", "REENTER", 1)
    await home.settled(node)
    assert home.states()[-1] == "ALIGNED" and home.worker.gen == 1


@pytest.mark.parametrize(
    ("row", "value", "says"),
    [
        ("REQUEST", "ALIGND", "did you mean ALIGNED"),
        ("REQUEST", "", "no such state"),
        ("REQUEST_N", 77, "no state has index 77"),
        ("OP", 9, "none of"),
        ("OP", "FLY", "none of"),
        ("MODE", -1, "none of"),
        ("MANAGER", "M" * 40, "40 bytes"),
    ],
)
async def test_a_write_that_is_refused_is_told_everywhere(home: House, row: str, value: Any, says: str) -> None:
    await home.aligned()
    before = home.face["SUS"][row]
    with pytest.raises(RefusedError, match=says):
        home.face.put("SUS", row, value, EVE)
    assert home.face["SUS"][row] == before
    assert all(word in home.face["SUS"]["GRDMSG"] for word in (row, "eve@office", says))
    (record,) = await home.journal(kind="write")
    event = home.face.events("SUS")[-1]
    assert (record["id"], record["stamp"], event["kind"]) == (event["id"], event["stamp"], "refused")
    assert (record["pv"], record["user"], record["taken"]) == (f"X1:GRD-SUS_{row}", "eve", False) and says in record[
        "why"
    ]
    await home.logged("WARNING", f"{row}={value}", "eve@office")
    home.face.put("SUS", "REQUEST", "ALIGNED")
    assert home.face["SUS"]["GRDMSG"] == ""


async def test_a_client_cannot_forge_lines_of_the_log(home: House) -> None:
    await home.aligned()
    with pytest.raises(RefusedError):
        home.face.put("SUS", "REQUEST", "X\n2026-01-01_00:00:00Z SUS REQUEST SAFE by the director")
    line = await home.logged("refused")
    assert "the director" in line


async def test_reenter_zero_means_nothing(home: House) -> None:
    await home.aligned()
    count = len(home.face.events("SUS"))
    home.face.put("SUS", "REENTER", 0)
    assert len(home.face.events("SUS")) == count


async def test_the_journal_has_every_request_with_who_and_every_transition_with_its_cause(home: House) -> None:
    node = await home.aligned()
    home.face.put("SUS", "REQUEST", "SAFE", ANNA)
    await home.settled(node, "SAFE")
    home.worker.returns("SLOW")
    home.face.put("SUS", "MODE", "MANAGED", EVE)
    records = await home.journal(kind="enter", least=6)
    assert [(r["state"], r["via"]) for r in records[:5]] == [
        ("INIT", ""),
        ("SAFE", "EDGE"),
        ("DAMPED", "EDGE"),
        ("ALIGNED", "EDGE"),
        ("SAFE", "REDIRECT"),
    ]
    assert "returned 'SLOW'" in records[5]["text"] and "main() completed" in records[1]["text"]
    (request,) = await home.journal(kind="request")
    assert (request["by"], request["request"]) == (str(ANNA), "SAFE")
    (mode,) = await home.journal(kind="mode")
    assert (mode["by"], mode["mode"]) == (str(EVE), "MANAGED")
