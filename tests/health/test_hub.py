"""A hub and real programs that it watches: stopped, hung, killed, started again. And what it makes of odd callers."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from guardian.enums import Pulse
from guardian.errors import ExosError
from guardian.health import Change, HealthMonitor, Hub
from guardian.health import receiver as receiving
from guardian.health.receiver import Receiver
from tests.support import REPO, Child, eventually

SENDER = REPO / "tests/health/sender.py"


class Watching:
    """A hub with a receiver, and what it told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.hub = Hub(self.changes.append)
        self.hub.start()
        self.url = self.hub.serve(port=0).url

    @property
    def told(self) -> list[str]:
        return [change.pulse.name for change in self.changes]

    def wait(self, *told: str) -> None:
        """Until all of this was told, and nothing else."""
        try:
            eventually(lambda: len(self.told) >= len(told))
        finally:
            assert self.told == list(told), [change.sentence for change in self.changes]


@pytest.fixture
def watching() -> Iterator[Watching]:
    made = Watching()
    yield made
    made.hub.stop()


@pytest.fixture
def sender(child: Callable[..., Child], watching: Watching) -> Callable[[], Child]:
    """Start a program that sends heartbeats five times a second."""

    def start() -> Child:
        started = child([sys.executable, SENDER, "camera", watching.url], stdin=True)
        started.wait_for("SENDER READY")
        return started

    return start


@pytest.mark.proc
def test_a_program_that_is_stopped_is_silent_and_beats_again_when_it_goes_on(watching, sender):
    program = sender()
    watching.wait("BEATING")
    program.signal(signal.SIGSTOP)
    watching.wait("BEATING", "SILENT")
    assert f"pid {program.pid}" in watching.changes[-1].sentence
    program.signal(signal.SIGCONT)
    watching.wait("BEATING", "SILENT", "BEATING")


@pytest.mark.proc
def test_a_loop_that_hangs_has_stalled_though_its_heartbeats_come(watching, sender):
    program = sender()
    watching.wait("BEATING")
    program.send("hang\n")
    watching.wait("BEATING", "STALLED")
    before = watching.hub.heartbeats["camera"].seq
    eventually(lambda: watching.hub.heartbeats["camera"].seq > before + 2)
    assert watching.hub.pulses == {"camera": Pulse.STALLED}
    program.send("go on\n")
    watching.wait("BEATING", "STALLED", "BEATING")


@pytest.mark.proc
def test_a_program_that_was_killed_is_silent_and_the_next_one_restarted(watching, sender):
    first = sender()
    watching.wait("BEATING")
    first.kill9()
    watching.wait("BEATING", "SILENT")
    second = sender()
    watching.wait("BEATING", "SILENT", "RESTARTED", "BEATING")
    assert f"pid {second.pid}" in watching.changes[2].sentence and f"pid {first.pid}" in watching.changes[2].sentence


@pytest.mark.proc
def test_a_program_that_ends_as_it_should_is_stopped_and_no_alarm_later(watching, sender):
    program = sender()
    watching.wait("BEATING")
    program.send("end\n")
    assert program.wait() == 0
    watching.wait("BEATING", "STOPPED")
    time.sleep(1.5)  # longer than three periods
    watching.wait("BEATING", "STOPPED")


@pytest.mark.proc
def test_a_program_that_crashes_does_not_say_that_it_stops(watching, sender):
    program = sender()
    watching.wait("BEATING")
    program.send("crash\n")
    watching.wait("BEATING", "SILENT")


def test_in_one_process_without_a_network(watching):
    with HealthMonitor("here", period_s=0.1, receivers=[watching.hub.receive]) as monitor:
        eventually(lambda: monitor.beat() or watching.told == ["BEATING"])
    watching.wait("BEATING", "STOPPED")


def test_an_expected_one_that_does_not_come_is_told(watching):
    watching.hub.expect("ghost", 0.2)
    watching.wait("SILENT")
    assert "ghost: SILENT: it is expected" in watching.changes[0].sentence
    watching.hub.forget("ghost")
    assert watching.hub.pulses == {}


def test_a_callback_that_hangs_or_fails_keeps_nobody_from_being_judged(caplog):
    changes: list[Change] = []
    go_on = threading.Event()

    def bad(_change: Change) -> None:
        go_on.wait(60)
        raise RuntimeError("no mail today")

    hub = Hub(bad, changes.append)
    with hub:
        hub.receive({"name": "a", "beat": 1, "period_s": 0.05})
        eventually(lambda: hub.pulses == {"a": Pulse.SILENT})
        assert changes == []
        go_on.set()
        eventually(lambda: len(changes) == 2)
    assert "no mail today" in caplog.text


def test_without_a_callback_changes_are_in_the_log(caplog):
    with Hub() as hub:
        hub.receive({"name": "a", "beat": 1, "period_s": 0.05})
        eventually(lambda: "a: SILENT: no heartbeat" in caplog.text)


def test_it_can_be_stopped_and_started_again():
    changes: list[Change] = []
    hub = Hub(changes.append)
    for number in range(3):
        hub.start()
        hub.start()
        hub.serve(port=0)
        hub.receive({"name": f"p{number}", "beat": 1})
        eventually(lambda number=number: len(changes) == number + 1)
        hub.stop()
        hub.stop()


# --- odd callers ------------------------------------------------------------------------------------------------------


def post(url: str, body: bytes, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


GOOD = json.dumps({"name": "curl", "beat": 1}).encode()


def test_whoever_can_post_json_can_send_heartbeats(watching):
    assert post(watching.url, GOOD) == (204, "")
    watching.wait("BEATING")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"405 "),
        (b"POST / HTTP/1.1\r\n\r\n", b"411 "),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"411 "),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413 "),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"name of a process"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\xff\xff", b"400 "),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431 "),
        (b"\x16\x03\x01\r\n\r\n", b"400 "),
        (b"POST / HTTP/9\r\n\r\n", b"400 "),
    ],
)
def test_what_is_no_heartbeat_is_answered_with_a_reason(sent, answer, watching):
    with socket.create_connection(("127.0.0.1", int(watching.url.rstrip("/").rpartition(":")[2])), 20) as caller:
        caller.sendall(sent)
        said = b""
        while more := caller.recv(65536):
            said += more
    assert said.startswith(b"HTTP/1.1 4") and answer in said
    assert post(watching.url, GOOD)[0] == 204


def test_callers_that_say_nothing_are_closed_and_hold_up_nobody(watching, monkeypatch):
    monkeypatch.setattr(receiving, "REQUEST_S", 0.3)
    address = ("127.0.0.1", int(watching.url.rstrip("/").rpartition(":")[2]))
    callers = [socket.create_connection(address, 20) for _ in range(receiving.MOST_CONNECTIONS + 20)]
    for caller in callers[::2]:
        caller.sendall(b"POST / HTTP/1.1\r\nContent-Le")
    for caller in callers:
        with suppress(ConnectionResetError):  # closed, with what it had said unread
            assert caller.recv(10) == b""
        caller.close()
    assert post(watching.url, GOOD)[0] == 204


def test_callers_that_go_away_in_the_middle_harm_nothing(watching):
    address = ("127.0.0.1", int(watching.url.rstrip("/").rpartition(":")[2]))
    for cut in range(1, 60, 7):
        with socket.create_connection(address, 20) as caller:
            caller.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"[:cut])
    assert post(watching.url, GOOD)[0] == 204


def test_a_token_is_asked_for(watching):
    with_token = watching.hub.serve(port=0, token="s3cret")
    assert post(with_token.url, GOOD)[0] == 401
    assert post(with_token.url, GOOD, Authorization="Bearer other")[0] == 401
    assert post(with_token.url, GOOD, Authorization="Bearer s3cret")[0] == 204
    got = []
    monitor = HealthMonitor("mine", webhook=with_token.url, token="s3cret", receivers=[got.append])
    monitor.beat()
    monitor.send_heartbeat()
    eventually(lambda: "mine" in watching.hub.pulses)
    monitor.stop()


def test_other_machines_are_not_served_without_a_token():
    with pytest.raises(ExosError, match="give it a token"):
        Receiver(lambda _body: None, "0.0.0.0", 0)


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ExosError, match="choose another port"):
        Receiver(lambda _body: None, "127.0.0.1", taken.getsockname()[1])


async def test_it_can_be_made_inside_an_event_loop(watching):
    watching.hub.serve(port=0)
