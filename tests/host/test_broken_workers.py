"""A node outlives every kind of worker: those that die, say nonsense, never stop talking, or cannot be made (R12)."""

from __future__ import annotations

import errno
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import (
    Leave,
    Notifications,
    Returned,
    Stop,
)
from guardian.enums import Call, LoadStatus, Severity, Status, Worker
from guardian.errors import RefusedError
from guardian.host import worker as handle
from guardian.worker import link
from guardian.worker.link import Load
from tests.host.fake_worker import FACTS
from tests.host.house import LIMITS, House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


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
    node = await home.aligned()
    home.worker.raw(line + link.encode(1, Returned(entry=home.worker.entry, call=Call.RUN, outcome="SAFE")))
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    await home.settled(node)
    assert home.worker.gen == 2
    await home.logged("ERROR", "SUS", "worker 1 is killed")


async def test_garbage_that_is_found_after_its_death_does_not_stop_the_node(home: House) -> None:
    node = await home.aligned()
    home.worker.raw(b"Traceback (most recent call last):\n{")
    home.worker.die(sig=11)
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    await home.settled(node)
    assert home.worker.gen == 2


async def test_half_a_line_and_death(home: House) -> None:
    node = await home.aligned()
    whole = link.encode(1, Returned(entry=home.worker.entry, call=Call.RUN, outcome="SAFE"))
    home.worker.raw(whole[:-10])
    home.worker.die(sig=9)
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    assert home.states()[-1] == "ALIGNED"
    await home.settled(node)


async def test_a_line_in_pieces_is_one_line(home: House) -> None:
    node = await home.aligned()
    data = link.encode(1, Returned(entry=home.worker.entry, call=Call.RUN, outcome="SAFE"))
    for i in range(0, len(data), 7):
        home.worker.raw(data[i : i + 7])
        await home.until(lambda: True)
    await home.reached(node, lambda v: home.states().count("SAFE") == 2)


@pytest.mark.parametrize("moment", ["unread", "loading", "begun", "leaving", "settled"])
async def test_a_worker_may_die_at_any_moment(home: House, moment: str) -> None:
    """R12, R25: the node says DEAD at once, and comes back in INIT with its REQUEST."""
    mute: dict[str, set[type]] = {"unread": {Load}, "loading": {Load}, "leaving": {Leave}}
    home.spawner.mute = mute.get(moment, set())
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
    assert home.states()[-1] == "ALIGNED"
    assert node.view.worker is Worker.DEAD
    await home.settled(node)


async def test_a_worker_that_dies_too_often_is_given_up_until_somebody_asks(home: House) -> None:
    node = await home.aligned()
    for gen in range(1, LIMITS.restarts + 2):
        await home.reached(node, lambda v: v.worker is Worker.RUN and v.state == "ALIGNED")
        assert home.worker.gen == gen
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
    node = await home.aligned()
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
    node = await home.aligned()
    other = await home.host.add("IMC")
    await home.settled(other)
    loud = next(w for w in home.spawner.workers if w.key == "SUS#1")
    notes = (Notifications(entry=loud.entry, texts=(text,)) for text in ("to", "fro"))
    lines = "".join(link.encode(1, note).decode() for note in notes).strip()
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
