"""What a HealthMonitor sends, and that nothing it sends to holds it up."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time

import pytest

from guardian.enums import ProcessState
from guardian.errors import ExosError
from guardian.health import HealthMonitor, Heartbeat
from tests.support import eventually


def test_a_heartbeat_says_who_sends_and_how_far_its_loop_is():
    got: list[Heartbeat] = []
    monitor = HealthMonitor("camera", receivers=[got.append], facts=lambda: {"not_ok": 2})
    monitor.beat()
    monitor.beat()
    sent = monitor.send_heartbeat()
    assert got == [sent]
    assert (sent.name, sent.pid, sent.host) == ("camera", os.getpid(), socket.gethostname())
    assert sent.beat == 2 and sent.seq == 1 and sent.facts == {"not_ok": 2}
    assert 0 < sent.uptime_s < 1e7 and 1e6 < sent.mem_bytes < 1e11
    assert abs(sent.sent - time.time()) < 60
    assert (sent.period_s, sent.stall_s) == (10, 30)
    again = monitor.send_heartbeat()
    assert again.seq == 2 and again.run == sent.run and again.beat == 2


def test_it_sends_each_period_from_its_own_thread_and_says_that_it_stops():
    got: list[Heartbeat] = []
    with HealthMonitor("camera", period_s=0.05, receivers=[got.append]):
        eventually(lambda: len(got) > 3)
    count = len(got)
    assert got[-1].state is ProcessState.STOPPED
    assert all(one.state is not ProcessState.STOPPED for one in got[:-1])
    assert not [thread for thread in threading.enumerate() if thread.name == "guardian-heartbeat"]
    time.sleep(0.2)
    assert len(got) == count


def test_a_program_that_ends_by_an_exception_says_so():
    got: list[Heartbeat] = []
    with pytest.raises(ZeroDivisionError), HealthMonitor("camera", receivers=[got.append]):
        _ = 1 / 0
    assert got[-1].state is ProcessState.FAIL


def test_it_can_be_started_again():
    got: list[Heartbeat] = []
    monitor = HealthMonitor("camera", period_s=0.05, receivers=[got.append])
    for _ in range(3):
        monitor.start()
        monitor.start()
        count = len(got)
        eventually(lambda count=count: len(got) > count + 2)
        monitor.stop()
        monitor.stop()
    assert [one.seq for one in got] == list(range(1, len(got) + 1))


def test_a_receiver_that_fails_is_told_once_and_the_others_go_on(caplog):
    got: list[Heartbeat] = []
    fails = [True]

    def broken(_heartbeat: Heartbeat) -> None:
        if fails[0]:
            raise OSError("nobody there")

    monitor = HealthMonitor("camera", receivers=[broken, got.append], facts=lambda: {"x": [1]})  # type: ignore[dict-item]
    for _ in range(5):
        monitor.send_heartbeat()
    assert len(got) == 5 and got[0].facts == {}
    assert len([r for r in caplog.records if "nobody there" in r.message]) == 1
    assert len([r for r in caplog.records if "fact" in r.message]) == 1
    fails[0] = False
    monitor.send_heartbeat()
    fails[0] = True
    monitor.send_heartbeat()
    assert len([r for r in caplog.records if "nobody there" in r.message]) == 2


def test_a_forked_child_is_not_that_process():
    got: list[Heartbeat] = []
    with HealthMonitor("camera", period_s=0.05, receivers=[got.append]) as monitor:
        eventually(lambda: got)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                monitor.beat()
                monitor.send_heartbeat()
            except ExosError as error:
                os.write(writing, str(error).encode())
            monitor.stop()
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as said:
            assert f"of process {os.getpid()}, and this is {pid}" in said.read()
        assert os.waitpid(pid, 0)[1] == 0


def test_it_goes_on_without_a_descriptor():
    monitor = HealthMonitor("camera")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        sent = monitor.send_heartbeat()
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sent.mem_bytes == 0 and sent.uptime_s > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": ""}, "name of a process"),
        ({"name": "a\nb"}, "name of a process"),
        ({"period_s": 0}, "period_s"),
        ({"period_s": "10"}, "period_s"),
        ({"stall_s": float("nan")}, "stall_s"),
        ({"webhook": "ftp://hub/"}, "http://"),
        ({"webhook": "http:///x"}, "http://"),
        ({"webhook": "http://hub:99999/"}, "http://"),
        ({"webhook": "http://user:secret@hub/"}, "with a user"),
        ({"webhook": "http://hub/a b"}, "without spaces"),
        ({"webhook": "http://hub/", "token": "a\nb"}, "token"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(given, words):
    with pytest.raises(ExosError, match=words) as refused:
        HealthMonitor(**given)
    assert "secret" not in str(refused.value)
