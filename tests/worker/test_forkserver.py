"""The forkserver by itself: its messages, its refusals, its end; and what it knows of processes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardian.worker import system_calls
from guardian.worker.descendants import MARK, kill_family, look, make_mark, mark_of
from guardian.worker.forkserver import MAX_MESSAGE
from tests.support.procs import alive
from tests.support.waiting import eventually

REPO = Path(__file__).resolve().parents[2]
BORN = "tests.worker.born"


class Keeper:
    """A forkserver and the host's end of its socket, without anything in between."""

    def __init__(self, **changes: str) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(30)
        self.token = secrets.token_hex(8)
        env = {**os.environ, "PYTHONPATH": str(REPO), MARK: make_mark(self.token, 0)}
        host = changes.pop("host", str(os.getpid()))
        command = [sys.executable, "-P", "-m", "guardian.worker.forkserver", "--host", host]
        command += ["--control", str(theirs.fileno())]
        self.process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), env={**env, **changes}, stderr=subprocess.PIPE, start_new_session=True
        )
        theirs.close()

    def ask(self, *fds: int, **message: Any) -> None:
        socket.send_fds(self.control, [json.dumps(message).encode()], list(fds))

    def spawn(self, key: str, entry: str, **spec: Any) -> None:
        self.ask(op="spawn", key=key, entry=f"{BORN}:{entry}", spec=spec, nfds=0)

    def hear(self) -> dict[str, Any]:
        text = self.control.recv(MAX_MESSAGE)
        assert text, f"it ended: {self.end()}"
        return json.loads(text)

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code, and what it said on stderr."""
        _, words = self.process.communicate(timeout=30)
        return self.process.returncode, words.decode()

    def close(self) -> None:
        self.control.close()
        if self.process.poll() is None:
            self.end()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    made = Keeper()
    try:
        ready = made.hear()
        assert ready == {"op": "ready", "pid": made.process.pid, "missing": {}, "threads": 1}
        yield made
    finally:
        made.close()


@pytest.mark.proc
def test_a_life_in_messages(keeper: Keeper) -> None:
    keeper.spawn("A", "returns", code=3)
    started = keeper.hear()
    assert started.pop("start_ticks") > 0
    pid = started.pop("pid")
    assert started == {"op": "started", "key": "A"}
    assert keeper.hear() == {"op": "exited", "key": "A", "pid": pid, "left": [], "code": 3}


@pytest.mark.proc
def test_a_key_is_free_again_after_its_exit_and_not_before(keeper: Keeper) -> None:
    for word in ("started", "failed"):
        keeper.spawn("A", "sleeps")
        assert keeper.hear()["op"] == word
    keeper.ask(op="kill", key="A", signal=9)
    assert keeper.hear()["signal"] == 9
    keeper.spawn("A", "returns")
    assert [keeper.hear()["op"] for _ in range(2)] == ["started", "exited"]


@pytest.mark.proc
def test_a_spawn_that_makes_no_sense_is_refused_and_nothing_leaks(keeper: Keeper) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"key": ""}, "the key must be a name"),
        ({"entry": "main"}, "must be 'module:function'"),
        ({"spec": [1]}, "the spec must be an object, found list"),
        ({"spec": {"cwd": 3}}, "spec['cwd'] must be a path"),
        ({"nfds": 2}, "2 descriptors were sent, 1 arrived"),
    ]
    fds = Path(f"/proc/{keeper.process.pid}/fd")
    before = len(os.listdir(fds))
    for message, words in cases:
        keeper.ask(0, **{"op": "spawn", "key": "A", "entry": "a:b", "spec": {}, "nfds": 1, **message})
        failed = keeper.hear()
        assert failed["op"] == "failed" and words in failed["reason"]
    eventually(lambda: len(os.listdir(fds)) == before, what="the descriptors of the last one to be closed")


@pytest.mark.proc
def test_idle_it_sleeps_in_poll_without_a_timeout(keeper: Keeper) -> None:
    keeper.spawn("A", "sleeps")
    keeper.hear()

    def switches() -> int:
        text = Path(f"/proc/{keeper.process.pid}/status").read_text()
        return int(text.partition("nonvoluntary_ctxt_switches:")[0].rpartition("voluntary_ctxt_switches:")[2])

    eventually(lambda: look(keeper.process.pid) and "poll" in Path(f"/proc/{keeper.process.pid}/wchan").read_text())
    before = switches()
    keeper.control.settimeout(0.3)
    with pytest.raises(TimeoutError):
        keeper.hear()
    assert switches() == before


@pytest.mark.proc
@pytest.mark.parametrize("how", ["quit", "SIGTERM"])
def test_told_to_end_it_kills_all_says_so_and_exits(keeper: Keeper, how: str) -> None:
    pids = []
    for key in ("A", "B"):
        keeper.spawn(key, "sleeps")
        pids.append(keeper.hear()["pid"])
    if how == "quit":
        keeper.ask(op="quit")
    else:
        keeper.process.terminate()
    assert sorted(keeper.hear()["pid"] for _ in pids) == sorted(pids)
    assert keeper.end() == (0, "")
    assert not any(map(alive, pids))


@pytest.mark.proc
def test_a_closed_socket_means_that_the_host_is_gone(keeper: Keeper) -> None:
    keeper.spawn("A", "sleeps")
    pid = keeper.hear()["pid"]
    keeper.control.close()
    assert keeper.end() == (0, "")
    assert not alive(pid)


@pytest.mark.proc
def test_signals_of_a_terminal_are_the_hosts_business(keeper: Keeper) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        keeper.process.send_signal(number)
    keeper.spawn("A", "returns")
    assert [keeper.hear()["op"] for _ in range(2)] == ["started", "exited"]


@pytest.mark.proc
def test_a_host_that_died_meanwhile_is_noticed_at_the_start() -> None:
    keeper = Keeper(host="1")  # alive, but not the parent
    assert keeper.end() == (1, "")
    keeper.close()


@pytest.mark.proc
def test_started_by_hand_it_says_that_this_is_not_the_way() -> None:
    keeper = Keeper(**{MARK: ""})
    code, words = keeper.end()
    assert code == 2 and "started by guardhost, not by hand" in words
    keeper.close()


@pytest.mark.proc
def test_a_session_number_that_was_given_away_protects_its_new_owner() -> None:
    other = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    try:
        born = look(other.pid)
        assert born is not None
        assert kill_family("0" * 16, {other.pid: born.start_ticks - 1}, timeout_s=5) == ()
        assert alive(other.pid)
        assert kill_family("0" * 16, {other.pid: born.start_ticks}, timeout_s=5) == ()
        assert other.wait(30) == -signal.SIGKILL
    finally:
        other.kill()
        other.wait()


@pytest.mark.proc
def test_a_mark_is_read_from_outside_and_names_the_whole_family() -> None:
    token = secrets.token_hex(8)
    env = {**os.environ, MARK: make_mark(token, 7)}
    marked = subprocess.Popen(["sleep", "3600"], env=env)
    try:
        eventually(lambda: mark_of(marked.pid) == f"{token}.0000000007")
        assert kill_family(token, {}, timeout_s=5) == ()
        assert marked.wait(30) == -signal.SIGKILL
    finally:
        marked.kill()
        marked.wait()


def test_a_process_that_is_not_there_is_none() -> None:
    assert look(2**22) is None
    assert mark_of(2**22) == ""


def test_only_equal_lengths_are_written_over_each_other() -> None:
    with pytest.raises(ValueError, match="only equal lengths"):
        system_calls.replace_in_environment("abc", "ab")
    assert system_calls.replace_in_environment("\1not there\1", "\1nor there\1") is False


def test_the_parent_is_asked_for_after_the_call() -> None:
    script = (
        "import os, sys; from guardian.worker.system_calls import die_with_parent as d;"
        "print(d(os.getppid()), d(os.getpid()))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout.split() == ["True", "False"]
