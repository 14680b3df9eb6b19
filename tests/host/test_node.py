"""One node and its worker: what it shows, how it lives through every kind of worker, what it keeps."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
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
from guardian.core.graph import StateInfo, SystemFacts, assign_indices
from guardian.enums import Call, ErrorKind, LoadStatus, Mode, Op, Severity, Status, Worker
from guardian.errors import RefusedError
from guardian.host import worker as handle
from guardian.host.node import Node
from guardian.worker.link import Load
from tests.core.driver import system
from tests.host.fake_worker import FACTS
from tests.host.house import LIMITS, House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def aligned(home: House) -> Node:
    """A node that has come to rest in ALIGNED."""
    node = await home.host.add("SUS")
    await home.settled(node)
    return node


def states(home: House) -> list[str]:
    """The states shown, in order; a new severity of the same one does not count."""
    seen = home.face.seen("SUS", "STATE")
    return [state for i, state in enumerate(seen) if i == 0 or state != seen[i - 1]]


# --- the way to the request


async def test_a_node_walks_to_the_request_of_its_module(home: House) -> None:
    await aligned(home)
    pv = home.face["SUS"]
    assert states(home) == ["INIT", "SAFE", "DAMPED", "ALIGNED"]
    assert (pv["STATUS"], pv["OK"], pv["WHY"], pv["GRDMSG"]) == (Status.DONE, 1, "", "")
    assert (pv["REQUEST"], pv["NOMINAL"], pv["LOAD_STATUS"]) == ("ALIGNED", "ALIGNED", LoadStatus.DONE)
    assert pv["STATES"] == [s.name for s in sorted(FACTS.states, key=lambda s: s.index or 0)]
    (load,) = home.worker.commands(Load)
    assert (load.node, load.ifo, load.site) == ("SUS", "X1", "LAB")


async def test_status_tells_how_a_state_was_left_before_the_new_one(home: House) -> None:
    node = await aligned(home)
    home.face.put("SUS", "REQUEST", "DAMPED")
    await home.settled(node, "DAMPED")
    steps = [[(p.row, p.value) for p in batch] for batch in home.face.batches("SUS")]
    entered = next(step for step in reversed(steps) if ("STATE", "DAMPED") in step)
    assert entered[:2] == [("STATUS", Status.EDGE), ("STATUS", Status.ENTER)]
    assert home.face.seen("SUS", "STATUS")[-4:] == [Status.EDGE, Status.ENTER, Status.MAIN, Status.DONE]


async def test_a_state_that_is_left_on_arrival_leaves_no_old_status_behind(home: House) -> None:
    """A jump to ISLAND, from where the way leads to a goto state: two transitions in one moment."""
    node = await aligned(home)
    home.worker.returns("ISLAND")
    await home.reached(node, lambda v: v.state == "ISLAND" or "ISLAND" in states(home))
    await home.settled(node)
    statuses = home.face.seen("SUS", "STATUS")
    at = statuses.index(Status.JUMP)
    assert statuses[at : at + 4] == [Status.JUMP, Status.ENTER, Status.REDIRECT, Status.ENTER]
    entered = [command.state for command in home.worker.commands(Enter)]  # ISLAND was never entered by the worker
    assert entered == ["INIT", "SAFE", "DAMPED", "ALIGNED", "SAFE", "DAMPED", "ALIGNED"]


async def test_each_step_has_one_id_and_one_stamp_everywhere(home: House) -> None:
    node = await aligned(home)
    home.face.put("SUS", "REQUEST", "SAFE", "anna@control")
    await home.settled(node, "SAFE")
    event = next(e for e in home.face.events("SUS") if e["kind"] == "request")
    batch = next(
        b for b in home.face.batches("SUS") if any(p.row == "EVENT" and f'"id":{event["id"]},' in p.value for p in b)
    )
    (record,) = await home.journal(kind="request")
    assert {round(post.stamp, 6) for post in batch} == {event["stamp"]} == {record["stamp"]}
    assert record["id"] == event["id"]
    line = await home.logged("REQUEST SAFE by anna@control")
    assert line.split(".")[1][:6] == f"{event['stamp']:.6f}".split(".")[1]
    ids = [e["id"] for e in home.face.events("SUS")]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_a_request_shows_at_once_while_user_code_is_busy(home: House) -> None:
    node = await aligned(home)
    home.spawner.mute = {Judge, Leave}
    home.face.put("SUS", "REQUEST", "DAMPED")
    pv = home.face["SUS"]
    assert (pv["REQUEST"], pv["TARGET"], pv["STATE"], pv["STATUS"]) == ("DAMPED", "DAMPED", "ALIGNED", Status.RUN)
    home.worker.returns(True)
    await home.settled(node, "DAMPED")


# --- words that do not count


async def test_stale_and_doubled_words_change_nothing(home: House) -> None:
    node = await aligned(home)
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
    worker.raw(handle.link.encode(worker.gen, Stop()))  # a command, the wrong way
    worker.say(Notifications(entry=worker.entry, texts=("the last word",)))
    await home.reached(node, lambda v: v.notifications == ("the last word",))
    assert (node.view.state, node.view.status, node.view.graph) == (before.state, before.status, before.graph)
    assert len(home.face.events("SUS")) == count + 1


async def test_reports_of_a_worker_that_was_told_to_stop_do_not_count(home: House) -> None:
    node = await aligned(home)
    home.spawner.mute = {Stop}
    home.face.put("SUS", "OP", "STOP")
    home.worker.returns("SAFE")
    home.worker.say(Raised(entry=home.worker.entry, call=Call.RUN, kind=ErrorKind.ERROR, message="torn down"))
    await home.reached(node, lambda v: v.worker is Worker.STOP)
    assert (node.view.state, node.view.error) == ("ALIGNED", ErrorKind.NONE)


# --- workers that break


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b'{"t":"Returned","g":1,"m":{}}\n',
        b"\xff\xfe\n",
        b'{"t":"Left","g":1,"m":' + b"[" * 50_000 + b"\n",
    ],
    ids=["garbage", "fields missing", "no text", "deep"],
)
async def test_a_worker_that_says_what_is_no_message_is_replaced(home: House, line: bytes) -> None:
    node = await aligned(home)
    home.worker.raw(line + handle.link.encode(1, Returned(entry=home.worker.entry, call=Call.RUN, outcome="SAFE")))
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    await home.settled(node)
    assert home.worker.gen == 2
    await home.logged("ERROR", "SUS", "worker 1 is killed")


async def test_garbage_that_is_found_after_its_death_does_not_stop_the_node(home: House) -> None:
    node = await aligned(home)
    home.worker.raw(b"Traceback (most recent call last):\n{")
    home.worker.die(sig=11)
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    await home.settled(node)
    assert home.worker.gen == 2


async def test_half_a_line_and_death(home: House) -> None:
    node = await aligned(home)
    whole = handle.link.encode(1, Returned(entry=home.worker.entry, call=Call.RUN, outcome="SAFE"))
    home.worker.raw(whole[:-10])
    home.worker.die(sig=9)
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    assert states(home)[-1] == "ALIGNED"
    await home.settled(node)


async def test_a_line_in_pieces_is_one_line(home: House) -> None:
    node = await aligned(home)
    data = handle.link.encode(1, Returned(entry=home.worker.entry, call=Call.RUN, outcome="SAFE"))
    for i in range(0, len(data), 7):
        home.worker.raw(data[i : i + 7])
        await home.until(lambda: True)
    await home.reached(node, lambda v: states(home).count("SAFE") == 2)


@pytest.mark.parametrize("moment", ["unread", "loading", "begun", "leaving", "settled"])
async def test_a_worker_may_die_at_any_moment(home: House, moment: str) -> None:
    """R12, R25: the node says DEAD at once, and comes back in INIT with its REQUEST."""
    home.spawner.mute = {"unread": {Load}, "loading": {Load}, "leaving": {Leave}}.get(moment, set())
    home.spawner.outcomes = {"DAMPED": None} if moment == "begun" else {}
    node = await home.host.add("SUS")
    if moment in ("unread", "loading"):
        if moment == "loading":
            await home.until(lambda: home.worker.commands(Load), "Load")
    elif moment == "begun":
        await home.reached(node, lambda v: v.state == "DAMPED" and v.status is Status.MAIN)
    else:
        await home.settled(node)
        if moment == "leaving":
            home.face.put("SUS", "REQUEST", "SAFE")
            home.face.put("SUS", "REQUEST", "ALIGNED")
    home.spawner.mute, home.spawner.outcomes = set(), {}
    home.worker.die(sig=9)
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    pv, severity = home.face["SUS"], home.face.severities["SUS"]
    assert (pv["OK"], severity["OK"], severity["STATE"]) == (0, Severity.MAJOR, Severity.INVALID)
    assert "killed by SIGKILL" in pv["WHY"]
    await home.settled(node)
    after = [p.value for p in home.face.posts if p.node == "SUS" and p.row in ("STATE", "WORKER")]
    after = after[len(after) - after[::-1].index(Worker.DEAD) :]
    if moment in ("begun", "leaving", "settled"):
        assert [v for v in after if isinstance(v, str)] == ["INIT", "SAFE", "DAMPED", "ALIGNED"]
    assert home.worker.gen == 2
    await home.logged("ERROR", "worker died: killed by SIGKILL")


async def test_what_a_worker_said_before_it_died_counts(home: House) -> None:
    home.spawner.outcomes = {"DAMPED": None}
    node = await home.host.add("SUS")
    await home.reached(node, lambda v: v.state == "DAMPED" and v.status is Status.MAIN)
    home.spawner.hold = True  # the word is in the socket when the host hears of the end
    home.worker.returns(True, call=Call.MAIN)
    home.worker.die(sig=11)
    home.spawner.outcomes = {}
    home.spawner.release()
    assert states(home)[-1] == "ALIGNED"
    assert node.view.worker is Worker.DEAD
    await home.settled(node)


async def test_a_worker_that_dies_too_often_is_given_up_until_somebody_asks(home: House) -> None:
    node = await aligned(home)
    for gen in range(1, LIMITS.restarts + 2):
        await home.until(lambda gen=gen: home.worker.gen == gen and home.worker.state == "ALIGNED", f"worker {gen}")
        home.worker.die(sig=11)
        await home.reached(node, lambda v: v.worker is Worker.DEAD)
    assert node.view.failed
    assert "not started again" in home.face["SUS"]["WHY"]
    home.face.put("SUS", "REENTER", 1)
    await home.settled(node)
    assert not node.view.failed


async def test_a_worker_that_cannot_be_made(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    home.spawner.fail = "fork: Cannot allocate memory"
    node = await home.host.add("SUS")
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    assert "Cannot allocate memory" in home.face["SUS"]["WHY"]
    home.spawner.fail = ""
    await home.settled(node)

    def none_left(*_args: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", none_left)
        home.worker.die(sig=9)
        await home.reached(node, lambda v: "Too many open files" in v.message)
    await home.settled(node)


async def test_a_worker_that_closes_its_link_and_stays_is_killed(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "UNLINKED_S", 0.05)
    node = await aligned(home)
    home.worker.close_link()
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    await home.settled(node)


async def test_a_load_that_never_ends(home: House) -> None:
    home.spawner.mute = {Load, Stop}
    node = await home.host.add("SUS")
    pv = home.face["SUS"]
    assert (pv["STATE"], pv["STATUS"], pv["WORKER"]) == ("INIT", Status.INIT, Worker.INIT)
    with pytest.raises(RefusedError, match="not known yet"):
        home.face.put("SUS", "REQUEST", "ALIGNED")
    home.face.put("SUS", "OP", 0)
    await home.reached(node, lambda v: v.worker is Worker.STOP)
    home.spawner.mute = set()
    home.face.put("SUS", "OP", 2)
    await home.settled(node)


async def test_code_that_does_not_load(home: House) -> None:
    home.spawner.facts = None
    node = await home.host.add("SUS")
    await home.reached(node, lambda v: v.worker is Worker.STOP)
    pv = home.face["SUS"]
    assert pv["LOAD_STATUS"] == LoadStatus.ERROR
    assert "SyntaxError" in pv["GRDMSG"] and "SyntaxError" in pv["WHY"]
    await home.logged("ERROR", "load failed", "SyntaxError")
    home.spawner.facts = FACTS
    home.face.put("SUS", "OP", "EXEC")
    await home.settled(node)


@pytest.mark.proc
async def test_a_flood_of_reports_leaves_time_for_the_others(home: House) -> None:
    node = await aligned(home)
    other = await home.host.add("IMC")
    await home.settled(other)
    loud = next(w for w in home.spawner.workers if w.key == "SUS#1")
    notes = (Notifications(entry=loud.entry, texts=(text,)) for text in ("to", "fro"))
    lines = "".join(handle.link.encode(1, note).decode() for note in notes).strip()
    loud.stop_reading()
    loud.sock.setblocking(True)
    with subprocess.Popen(["yes", lines], stdout=loud.sock.fileno(), stderr=subprocess.DEVNULL) as yes:  # noqa: ASYNC220
        await home.reached(node, lambda v: bool(v.notifications))
        slowest = 0.0
        for state in ("SAFE", "ALIGNED", "SAFE"):
            begun = time.monotonic()
            home.face.put("IMC", "REQUEST", state)
            await home.settled(other, state)
            slowest = max(slowest, time.monotonic() - begun)
        assert yes.poll() is None
        yes.kill()
    assert slowest < 5, slowest  # some turns each; without a limit it never comes back


# --- leaving a state


async def test_a_redirect_that_is_not_heeded_kills_and_enters_the_target(home: House) -> None:
    """R8, R25: and the TARGET is that of the moment; what the method returns meanwhile does not count."""
    node = await aligned(home)
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
    assert states(home) == ["INIT", "SAFE", "DAMPED", "ALIGNED", "SAFE", "SLOW"]
    assert [c.state for c in home.worker.commands(Enter)] == ["SAFE", "SLOW"]
    assert home.spawner.kills[0] == ("SUS#1", handle.DUMP_SIGNAL)  # it says where it stands
    assert home.face["SUS"]["KILLS"] == 1
    await home.logged("worker 1 killed", "ALIGNED did not end within 0.2 s")


async def test_a_state_that_may_not_be_left_is_waited_for(home: House) -> None:
    node = await aligned(home)
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
    node = await aligned(home)
    home.spawner.mute = {Stop}
    begun = time.monotonic()
    home.face.put("SUS", "OP", "STOP", "anna@control")
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
    assert states(home)[-2:] == ["INIT", "SAFE"]


async def test_stop_and_exec_back_to_back_are_two_orders(home: House) -> None:
    node = await aligned(home)
    home.face.put("SUS", "OP", "STOP")
    home.face.put("SUS", "OP", "EXEC")
    await home.reached(node, lambda v: home.worker.gen == 2 and v.state == "ALIGNED")
    assert states(home)[4:] == ["INIT", "SAFE", "DAMPED", "ALIGNED"]


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
    node = await aligned(home)
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
    assert states(home)[-1] == "ALIGNED" and home.worker.gen == 1


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
    await aligned(home)
    before = home.face["SUS"][row]
    with pytest.raises(RefusedError, match=says):
        home.face.put("SUS", row, value, "eve@office (10.0.0.9)")
    assert home.face["SUS"][row] == before
    assert all(word in home.face["SUS"]["GRDMSG"] for word in (row, "eve@office", says))
    (record,) = await home.journal(kind="refused")
    assert record["state"] == "ALIGNED" and "eve@office" in record["text"]
    await home.logged("WARNING", f"{row}={value}", "eve@office")
    home.face.put("SUS", "REQUEST", "ALIGNED")
    assert home.face["SUS"]["GRDMSG"] == ""


async def test_a_client_cannot_forge_lines_of_the_log(home: House) -> None:
    await aligned(home)
    with pytest.raises(RefusedError):
        home.face.put("SUS", "REQUEST", "X\n2026-01-01_00:00:00Z SUS REQUEST SAFE by the director")
    line = await home.logged("refused")
    assert "the director" in line


async def test_reenter_zero_means_nothing(home: House) -> None:
    await aligned(home)
    count = len(home.face.events("SUS"))
    home.face.put("SUS", "REENTER", 0)
    assert len(home.face.events("SUS")) == count


async def test_the_journal_has_every_request_with_who_and_every_transition_with_its_cause(home: House) -> None:
    node = await aligned(home)
    home.face.put("SUS", "REQUEST", "SAFE", "anna@control")
    await home.settled(node, "SAFE")
    home.worker.returns("SLOW")
    home.face.put("SUS", "MODE", "MANAGED", "IMC")
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
    assert (request["by"], request["request"]) == ("anna@control", "SAFE")
    (mode,) = await home.journal(kind="mode")
    assert (mode["by"], mode["mode"]) == ("IMC", "MANAGED")


# --- settings


async def test_settings_are_kept_and_restored(tmp_path: Path) -> None:
    """R21: and the log says by whom."""
    async with house(tmp_path) as home:
        await aligned(home)
        for row, value in (("REQUEST", "SAFE"), ("MANAGER", "IMC"), ("MODE", "MANUAL")):
            home.face.put("SUS", row, value, "anna@control")
        await home.stored("SUS", request="SAFE", mode="MANUAL", request_by="anna@control", mode_by="anna@control")
        last = home.face.events("SUS")[-1]["id"]
    async with house(tmp_path) as home:
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.status is Status.DONE or v.status is Status.RUN)
        pv = home.face["SUS"]
        assert (pv["REQUEST"], pv["MODE"], pv["MANAGER"], pv["REQUEST_ID"]) == ("SAFE", Mode.MANUAL, "IMC", 1)
        assert pv["REQUEST_BY"] == "anna@control"
        assert pv["STATE"] == "INIT"  # a restored MANUAL enters nothing
        assert home.face.events("SUS")[0]["id"] > last
        await home.logged("restored after", "REQUEST SAFE (set by anna@control at")


async def test_a_node_stored_as_stop_loads_once_and_ends_its_worker(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await aligned(home)
        home.face.put("SUS", "OP", "STOP", "anna@control")
    async with house(tmp_path) as home:
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.worker is Worker.STOP)
        assert (node.view.op, node.view.load_status) == (Op.STOP, LoadStatus.DONE)
        assert home.face["SUS"]["STATES_N"] == len(FACTS.states)


@pytest.mark.parametrize(
    ("changes", "request_", "mode"),
    [
        ({"fresh": True}, "ALIGNED", Mode.AUTO),
        ({"on_start": "request"}, "ALIGNED", Mode.AUTO),
        ({"on_start": "hold"}, "NONE", Mode.MANAGED),
        ({"resume_within_s": -1.0}, "ALIGNED", Mode.AUTO),
        ({}, "SAFE", Mode.MANAGED),
    ],
)
async def test_what_a_node_starts_with_is_the_sites_choice(
    tmp_path: Path, changes: dict[str, Any], request_: str, mode: Mode
) -> None:
    async with house(tmp_path) as home:
        await aligned(home)
        home.face.put("SUS", "REQUEST", "SAFE")
        home.face.put("SUS", "MODE", "MANAGED")
    async with house(tmp_path, **changes) as home:
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.load_status is LoadStatus.DONE)
        assert (node.view.request, node.view.mode) == (request_, mode)
        assert node.view.request_id >= 1  # never falls


async def test_a_restored_request_that_is_gone_becomes_none(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        node = await aligned(home)
        home.face.put("SUS", "REQUEST", "SLOW")
        await home.settled(node, "SLOW")
    async with house(tmp_path) as home:
        home.spawner.facts = system("INIT>SAFE SAFE>DAMPED", goto="SAFE", request="DAMPED")
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.load_status is LoadStatus.DONE)
        assert home.face["SUS"]["REQUEST"] == "NONE"
        await home.logged("REQUEST SLOW is no state any more")
        await home.stored("SUS", request="NONE")


async def test_automatic_indices_are_remembered(tmp_path: Path) -> None:
    """R20: over a restart of the worker and of the host; a load that failed does not count."""
    indices = {s.name: s.index for s in FACTS.states if s.index is not None and s.index < -1}
    async with house(tmp_path) as home:
        node = await aligned(home)
        home.worker.die(sig=9)
        await home.reached(node, lambda v: v.worker is Worker.DEAD)
        await home.settled(node)
        assert home.worker.commands(Load)[0].indices == indices
    async with house(tmp_path) as home:
        twins = tuple(StateInfo(name=name, index=-50) for name in ("A", "B"))
        home.spawner.facts = SystemFacts(states=twins, edges=())
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.worker is Worker.STOP)
        assert node.view.load_status is LoadStatus.ERROR
        fresh = (StateInfo(name="NEW"), StateInfo(name="INIT"))
        home.spawner.facts = SystemFacts(states=assign_indices(fresh, indices), edges=())
        home.face.put("SUS", "OP", "EXEC")
        await home.reached(node, lambda v: v.load_status is LoadStatus.DONE)
        assert home.worker.commands(Load)[0].indices == indices
        await home.stored("SUS", indices={**indices, "NEW": min(indices.values()) - 1})


async def test_event_ids_never_fall(tmp_path: Path) -> None:
    """They are saved in blocks ahead of use: so also after kill -9, when nothing can be saved any more."""
    async with house(tmp_path) as home:
        node = await aligned(home)
        saved = await home.stored("SUS")
        home.worker.say(*(Notifications(entry=1, texts=(str(i),)) for i in range(300)))
        await home.reached(node, lambda v: v.notifications == ("299",))
        assert json.loads(home.face["SUS"]["SUMMARY"])["id"] < saved["event_id"]
