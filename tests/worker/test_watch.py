"""The set-point monitor in a real worker, against a real IOC: it depends on nothing that user code does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.core.events import Differences, Loaded, Notifications, Reload, Reloaded, Setpoints, Stop, Watch
from guardian.core.setpoints import Setpoint
from tests.support import CaClient, ca_env, free_port
from tests.support.softioc import SoftIoc
from tests.worker.conftest import Start
from tests.worker.fake_host import Host, Worker

pytestmark = [pytest.mark.proc, pytest.mark.ca]

DB = """
record(ao, "X1:A") { field(PINI, "YES") }
record(ao, "X1:B") { field(VAL, "7") field(PINI, "YES") }
record(stringout, "LAB:SUS:REQUEST") { field(PINI, "YES") }
"""
CODE = """
import time
from guardian import GuardState
ca_monitor = True
ca_channels = ['B']
class QUICK(GuardState):
    def main(self):
        ezca['A'] = 3
class SLEEPS(GuardState):
    def main(self):
        ezca['A'] = 4
        time.sleep(3600)
class FORKS(GuardState):
    def main(self):
        import os
        ezca['A'] = 5
        pid = os.fork()
        if not pid:
            ezca.init_setpoints([], init=True)
            os._exit(0)
        return os.waitpid(pid, 0)[1] == 0
"""
ON = Watch(monitor=True, notify=True)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with SoftIoc(DB, free_port()) as ioc:
        yield ioc.port


@pytest.fixture(scope="module")
def host(port: int) -> Iterator[Host]:
    made = Host(env=ca_env(port))
    yield made
    made.close()


@pytest.fixture
def other(port: int) -> Iterator[CaClient]:
    with CaClient(ca_env(port)) as client:
        client.put("X1:A", 0)
        yield client


def told(worker: Worker) -> dict[str, Setpoint]:
    points: dict[str, Setpoint] = {}
    for report in worker.of(Setpoints):
        points = {**points, **{one.channel: one for one in report.points}}
        points = {full: one for full, one in points.items() if full not in report.gone}
    return points


def test_what_was_set_is_told_and_what_is_otherwise_while_the_method_goes_on(start: Start, other: CaClient) -> None:
    worker = start(CODE)
    worker.hear(Loaded)
    worker.enter("SLEEPS")
    worker.hear(Setpoints, lambda report: report.points[0].value == "4.0")
    worker.tell(ON)
    worker.hear(Setpoints, lambda report: report.points[0].channel == "X1:B" and report.points[0].module)
    worker.hear(Differences, lambda report: report.count == 0)
    other.put("X1:A", 9)
    found = worker.hear(Differences, lambda report: report.count == 1)
    assert (found.first[0].set, found.first[0].now) == (4.0, 9.0)
    texts = worker.hear(Notifications).texts
    assert len(texts) == 1 and texts[0].startswith("X1:A is 9, set to 4 (since ")
    worker.tell(Watch(monitor=True, notify=False))
    assert worker.hear(Notifications).texts == ()
    worker.tell(Watch(monitor=False, notify=False))
    assert worker.hear(Differences).count == 0
    assert worker.leave() < 5


def test_what_was_set_last_is_told_before_the_worker_ends(start: Start, other: CaClient) -> None:
    worker = start(CODE)
    worker.hear(Loaded)
    worker.enter("QUICK")
    worker.tell(Stop())
    worker.end()
    assert not told(worker) or told(worker)["X1:A"].value == "3.0"
    worker = start(CODE)
    worker.hear(Loaded)
    worker.enter("QUICK")
    worker.outcome()
    worker.tell(Stop())
    worker.end()
    assert told(worker)["X1:A"].value == "3.0"


def test_what_the_last_worker_had_set_is_watched_before_any_code_runs(start: Start, other: CaClient) -> None:
    other.put("X1:B", 8)
    point = Setpoint(channel="X1:B", name="B", value="7.0", at=time.time() - 100, module=True)
    worker = start(CODE, setpoints=(point,))
    worker.hear(Loaded)
    worker.tell(ON)
    found = worker.hear(Differences, lambda report: report.count == 1).first[0]
    assert (found.channel, found.set, found.now) == ("X1:B", 7.0, 8.0), "it is not taken once more as it is"
    worker.tell(Reload())
    worker.hear(Reloaded)
    assert worker.hear(Differences, lambda report: report.count == 0), "LOAD takes it as it is"
    other.put("X1:B", 7)


def test_a_forked_child_forgets_nothing_here_and_a_new_module_says_what_is_listed(
    start: Start, other: CaClient, tmp_path: Path
) -> None:
    worker = start(CODE)
    worker.hear(Loaded)
    worker.tell(ON)
    worker.enter("FORKS")
    assert worker.outcome() is True
    worker.until(lambda: set(told(worker)) == {"X1:A", "X1:B"}, "both to be told")
    (tmp_path / "SUS.py").write_text(CODE.replace("ca_channels = ['B']", "ca_channels = [('B', 6)]"))
    worker.tell(Reload())
    worker.hear(Reloaded)
    found = worker.hear(Differences, lambda report: report.count == 1).first[0]
    assert (found.channel, found.set, found.now) == ("X1:B", 6, 7.0)
    (tmp_path / "SUS.py").write_text(CODE.replace("ca_channels = ['B']", ""))
    worker.tell(Reload())
    worker.until(lambda: set(told(worker)) == {"X1:A"}, "what is not listed to go")


def test_a_request_to_a_node_is_no_set_point_however_the_site_names_it(start: Start) -> None:
    asks = "def main(self):\n        from ezca import Ezca\n        ezca[':LAB:SUS:REQUEST'] = 'UP'\n"
    asks += "        Ezca(ifo=None)['LAB:SUS:REQUEST'] = 'UP'\n        ezca[':X1:A'] = 3"
    worker = start(CODE.replace("def main(self):\n        ezca['A'] = 3", asks), pv="LAB:{node}:{name}", ifo="")
    worker.hear(Loaded)
    worker.enter("QUICK")
    worker.until(lambda: told(worker), "what was set to be told")
    assert set(told(worker)) == {"X1:A"}


def test_a_worker_whose_monitor_is_off_has_no_thread_for_it(start: Start) -> None:
    """One that writes to the disk how far the worker has come ends soon."""
    worker = start(
        """
import os, time
from guardian import GuardState
class UP(GuardState):
    def main(self):
        until = time.monotonic() + 10
        while len(os.listdir('/proc/self/task')) > 2 and time.monotonic() < until:
            time.sleep(0.02)
        log('threads= %d', len(os.listdir('/proc/self/task')))
"""
    )
    worker.hear(Loaded)
    worker.tell(Watch(monitor=False, notify=True))
    worker.enter("UP")
    worker.outcome()
    worker.says("threads=")
    assert worker.numbers("threads=") == [2.0], "the main thread, and the one that reads the link"
