"""What a heartbeat is, and what is none."""

from __future__ import annotations

import json

import pytest

from guardian.core.heartbeat import MOST_BYTES, Heartbeat, read
from guardian.enums import ProcessState
from guardian.errors import ExosError

FULL = Heartbeat(
    name="camera",
    beat=12,
    host="ctrl7",
    pid=4711,
    run="a1b2",
    state=ProcessState.LOADCFG,
    uptime_s=3600.5,
    mem_bytes=50_000_000,
    late=("reader",),
    sent=1764374400.125,
    seq=7,
    period_s=5.0,
    stall_s=20.0,
    facts={"not_ok": 2, "version": "0.1.0", "busy": True},
)


def test_what_is_sent_is_what_is_read():
    assert read(FULL.as_json()) == FULL
    assert read(FULL.as_json().decode()) == FULL
    assert read(FULL.as_dict()) == FULL
    assert read(FULL) is FULL


def test_a_name_and_a_counter_are_enough():
    heartbeat = read(b'{"name": "shell script", "beat": 3}')
    assert heartbeat == Heartbeat(name="shell script", beat=3)
    assert read({"name": "x", "beat": 1, "period_s": 2}).stall_s == 6


def test_what_a_newer_sender_adds_is_passed_over():
    assert read({**FULL.as_dict(), "colour": ["blue"]}) == FULL


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 60_000, "no JSON"),
        (b"[1]", "JSON object"),
        (b"{}", "name of a process"),
        ({"name": "x"}, "beat of a heartbeat"),
        ({"name": "x", "beat": True}, "counter"),
        ({"name": "x", "beat": [1]}, "counter"),
        (b'{"name": "x", "beat": NaN}', "counter"),
        (b'{"name": "x", "beat": 1' + 400 * b"0" + b"}", "counter"),
        (b'{"name": "x", "beat": "1\\nroot: all is well"}', "counter"),
        (b'{"name": "x", "beat": 1, "facts": {"a": 1' + 400 * b"0" + b"}}", "fact 'a'"),
        ({"name": "a\nb", "beat": 1}, "printable"),
        ({"name": "x" * 81, "beat": 1}, "80"),
        ({"name": 5, "beat": 1}, "name of a process"),
        ({"name": "x", "beat": 1, "period_s": 0}, "period_s"),
        ({"name": "x", "beat": 1, "period_s": "1"}, "period_s"),
        (b'{"name": "x", "beat": 1, "stall_s": Infinity}', "stall_s"),
        (b'{"name": "x", "beat": 1, "uptime_s": NaN}', "uptime_s"),
        ({"name": "x", "beat": 1, "pid": -1}, "pid"),
        ({"name": "x", "beat": 1, "state": "FINE"}, "READY"),
        ({"name": "x", "beat": 1, "state": {}}, "READY"),
        ({"name": "x", "beat": 1, "late": "abc"}, "late"),
        ({"name": "x", "beat": 1, "late": [1]}, "name of a process"),
        ({"name": "x", "beat": 1, "host": "a\nb"}, "host"),
        ({"name": "x", "beat": 1, "facts": {"a": [1]}}, "fact"),
        ({"name": "x", "beat": 1, "facts": {str(n): n for n in range(40)}}, "32"),
        (b" " * (MOST_BYTES + 1), "bytes"),
    ],
)
def test_what_is_no_heartbeat_is_refused_with_a_reason(said, words):
    with pytest.raises(ExosError, match=words):
        read(said)


def test_it_is_one_line_of_json():
    assert b"\n" not in FULL.as_json()
    assert json.loads(FULL.as_json())["state"] == "LOADCFG"
