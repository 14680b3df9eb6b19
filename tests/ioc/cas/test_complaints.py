"""Few lines in the log about many bad clients."""

from __future__ import annotations

import logging

import pytest

from ioc.cas import complaints
from ioc.cas.complaints import LINES, PERIOD_S, Complaints


class Clock:
    """What :func:`time.monotonic` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(complaints.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.WARNING)
    return Clock(monkeypatch)


def test_an_address_has_a_few_lines_and_then_one_that_counts(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    said = Complaints()
    for number in range(100):
        said.about("10.0.0.1", f"bad {number}")
    assert [record.getMessage() for record in caplog.records[:LINES]] == [f"bad {n}" for n in range(LINES)]
    assert len(caplog.records) == LINES + 1 and "in silence" in caplog.messages[-1]
    said.about("10.0.0.2", "another address has its own")
    assert caplog.messages[-1] == "another address has its own"
    clock.now += PERIOD_S + 1
    said.about("10.0.0.1", "bad again")
    assert caplog.messages[-2:] == [f"{100 - LINES} lines more about clients at 10.0.0.1 were left out", "bad again"]


def test_the_table_does_not_grow(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "ADDRESSES", 10)
    said = Complaints()
    for number in range(1000):
        said.about(f"10.0.{number // 256}.{number % 256}", "bad")
    assert len(said._accounts) == 10
