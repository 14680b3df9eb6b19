"""``reactive = True`` (R18): run() is called when a channel has changed that the last call has read. A real IOC.

Rates are told by the times that user code logs, and the bounds lie far from what a cycle gives: 16 calls a second, or
up to a hundred.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.core.events import Reload, Reloaded
from guardian.worker.loop import CYCLE_S, EXTRA_CALL_S
from tests.support import CaClient, ca_env, free_port
from tests.support.softioc import SoftIoc
from tests.worker.conftest import Start
from tests.worker.fake_host import Host, Worker

pytestmark = [pytest.mark.proc, pytest.mark.ca]

DB = """
record(ao, "X1:A") { field(PINI, "YES") }
record(ao, "X1:B") { field(PINI, "YES") }
record(ao, "X1:N") { field(PINI, "YES") }
record(ao, "X1:OUT") { field(PINI, "YES") field(DRVH, "5") field(DRVL, "-5") }
"""

CODE = """
import time
from guardian import GuardState

def now(mark, value=0):
    log('%s= %.6f %r', mark, time.monotonic(), value)

class READS(GuardState):
    def run(self):
        now('run', ezca['A'])

class COUNTS(GuardState):
    def run(self):
        now('run', ezca['N'])
        ezca['N'] = ezca['N'] + 1

class SENDS(GuardState):
    def run(self):
        now('run', ezca['N'])
        ezca.write('N', ezca['N'] + 1, wait=False)

class CLIPPED(GuardState):
    number = 0
    def run(self):
        now('run', ezca['OUT'])
        self.number += 1
        ezca['OUT'] = (10 if self.number % 2 else -10)

class ONCE(GuardState):
    def main(self):
        ezca['A']
    def run(self):
        now('run')
"""
ON = "reactive = True\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    with SoftIoc(DB, port):
        yield port


@pytest.fixture(scope="module")
def host(port: int) -> Iterator[Host]:
    made = Host(ca_env(port))
    yield made
    made.close()


@pytest.fixture(scope="module")
def ca(port: int) -> Iterator[CaClient]:
    with CaClient(ca_env(port)) as client:
        yield client


def runs_during(worker: Worker, ca: CaClient, changes: int = 150, name: str = "X1:A") -> list[float]:
    """When run() was called while somebody changed a channel so many times, as fast as he can."""
    worker.until(lambda: len(worker.numbers("run= ")) > 2, "three calls")
    before = len(worker.numbers("run= "))
    for value in range(changes):
        ca.put(name, 1000 + value, wait=True)
        time.sleep(0.004)
    return worker.numbers("run= ")[before:]


def gap(runs: list[float]) -> float:
    return statistics.median(b - a for a, b in itertools.pairwise(runs))


def test_R18_run_is_called_when_a_channel_has_changed_and_not_more_often_than_every_10_ms(
    run: Start, ca: CaClient
) -> None:
    worker = run(ON + CODE)
    worker.enter("READS")
    runs = runs_during(worker, ca)
    assert gap(runs) < CYCLE_S / 2
    for few in itertools.pairwise(runs[::10]):
        assert few[1] - few[0] > 9 * EXTRA_CALL_S * 0.95
    worker.says("1149.0")
    rest = len(worker.numbers("run= "))
    worker.listen(0.5)
    assert gap(worker.numbers("run= ")[rest + 2 :]) > CYCLE_S * 0.8, "without changes it is called on the cycle"


@pytest.mark.parametrize("head", ["", "reactive = False\n", "reactive = None\n", "reactive = 'yes'\n"])
def test_R18_a_system_that_does_not_ask_for_it_is_not_called_for_channels(run: Start, ca: CaClient, head: str) -> None:
    worker = run(head + CODE)
    worker.enter("READS")
    assert gap(runs_during(worker, ca, 60)) > CYCLE_S * 0.8


def test_R18_a_channel_that_the_last_call_has_not_read_wakes_nobody(run: Start, ca: CaClient) -> None:
    worker = run(ON + CODE)
    worker.enter("ONCE")
    assert gap(runs_during(worker, ca, 60)) > CYCLE_S * 0.8
    worker.enter("READS")
    assert gap(runs_during(worker, ca, 60, "X1:B")) > CYCLE_S * 0.8


@pytest.mark.parametrize("state", ["COUNTS", "SENDS", "CLIPPED"])
def test_R18_code_that_reads_what_it_writes_does_not_call_itself(run: Start, state: str) -> None:
    worker = run(ON + CODE)
    worker.enter(state)
    worker.until(lambda: len(worker.numbers("run= ")) > 20, "twenty calls")
    assert gap(worker.numbers("run= ")[3:]) > CYCLE_S * 0.8


def test_R11_reactive_is_that_of_the_new_code(run: Start, ca: CaClient, tmp_path: Path) -> None:
    worker = run(CODE)
    worker.enter("READS")
    assert gap(runs_during(worker, ca, 60)) > CYCLE_S * 0.8
    (tmp_path / "SUS.py").write_text(ON + CODE)
    worker.tell(Reload())
    worker.hear(Reloaded)
    assert gap(runs_during(worker, ca)) < CYCLE_S / 2
