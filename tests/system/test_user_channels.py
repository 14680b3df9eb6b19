"""The channels of user code in a real node: a real guardhost, and real EPICS IOCs that come and go."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.access.records import DB
from tests.support import eventually, free_port, random_prefix
from tests.support.softioc import SoftIoc
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

READERS = {
    "EVERY": """
        from guardian import GuardState
        request = nominal = "WATCH"
        class WATCH(GuardState):
            def run(self):
                ezca["NUM"]
                return True
        edges = [("INIT", "WATCH")]
    """,
    "SELDOM": """
        from guardian import GuardState
        request = nominal = "ONCE"
        class ONCE(GuardState):
            def main(self):
                ezca["NUM"], ezca["COUNT"]
        edges = [("INIT", "ONCE")]
    """,
    "HELPED": """
        from ezca import Ezca
        from guardian import GuardState
        request = nominal = "ONCE"
        class ONCE(GuardState):
            def main(self):
                Ezca("", IFO)["NUM"], Ezca("", IFO, timeout=5)["COUNT"]
        edges = [("INIT", "ONCE")]
    """,
    "ASLEEP": """
        import time
        from guardian import GuardState
        request = nominal = "REST"
        class REST(GuardState):
            def run(self):
                return True
        class SLEEP(GuardState):
            def main(self):
                ezca["NUM"]
                log("asleep")
                time.sleep(3600)
        edges = [("INIT", "REST"), ("REST", "SLEEP")]
    """,
}


class Site:
    """An IOC that can be ended and started again, and a host whose nodes look for it."""

    def __init__(self, folder: Path, modules: dict[str, str], *, db: str = DB, **env: str) -> None:
        prefix = random_prefix()
        self.ioc_port, self.db, self.macros = free_port(), db, f"P={prefix}"
        self.ioc: SoftIoc | None = None
        modules = {name: textwrap.dedent(source) for name, source in modules.items()}
        self.host = Guardhost(folder, modules, ifo=prefix.rstrip(":"))
        self.host.env |= env | {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{self.host.port} 127.0.0.1:{self.ioc_port}"}

    def start_ioc(self) -> None:
        self.ioc = SoftIoc(self.db, self.ioc_port, macros=self.macros)

    def end_ioc(self, sig: int = signal.SIGKILL) -> None:
        assert self.ioc is not None
        os.kill(self.ioc.child.pid, sig)
        self.ioc.child.wait(30)
        self.close_ioc()

    def close_ioc(self) -> None:
        if self.ioc is not None:
            self.ioc.close()
            self.ioc = None

    def plant(self, name: str) -> float:
        return self.host.ca.get(f"{self.host.ifo}:{name}").value  # type: ignore[no-any-return]


@contextmanager
def site(folder: Path, modules: dict[str, str], *, db: str = DB, **env: str) -> Iterator[Site]:
    made = Site(folder, modules, db=db, **env)
    try:
        made.start_ioc()
        with made.host:
            yield made
    finally:
        made.close_ioc()


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_R13_a_lost_ioc_shows_in_CONNECT_whether_code_reads_in_each_cycle_or_has_read_once_or_sleeps(
    tmp_path: Path, sig: signal.Signals
) -> None:
    with site(tmp_path, READERS) as at:
        host = at.host
        for node in READERS:
            host.wait(node, "OK", "True")
        host.put("ASLEEP", "REQUEST", "SLEEP")
        assert host.child is not None
        host.child.wait_for("asleep")
        at.end_ioc(sig)
        for node in READERS:
            host.wait(node, "CONNECT", "LOST")
            assert host.get(node, "OK") == "False" and f"{host.ifo}:NUM" in host.get(node, "CONNECT_S")
        host.wait("EVERY", "ERROR", "Connect")
        for node in ("SELDOM", "HELPED"):
            assert host.get(node, "ERROR") == "False" and host.get(node, "STATUS") == "DONE"
            eventually(lambda node=node: f"{host.ifo}:COUNT" in host.get(node, "CONNECT_S"), what="both channels")
        assert "it has lost" in host.get("SELDOM", "WHY")
        at.start_ioc()
        for node in READERS:
            host.wait(node, "CONNECT", "OK")
        for node in ("EVERY", "SELDOM", "HELPED"):
            host.wait(node, "OK", "True")


def test_R11_what_new_code_does_not_use_any_more_is_not_lost(tmp_path: Path) -> None:
    with site(tmp_path, {"SELDOM": READERS["SELDOM"]}) as at:
        host = at.host
        host.wait("SELDOM", "OK", "True")
        at.end_ioc()
        host.wait("SELDOM", "CONNECT", "LOST")
        host.write("SELDOM", READERS["SELDOM"].replace('ezca["NUM"], ezca["COUNT"]', "pass"))
        host.put("SELDOM", "LOAD", 1)
        host.wait("SELDOM", "CONNECT", "OK")
        host.wait("SELDOM", "OK", "True")


SLOW = {
    "SLOW": """
        from guardian import GuardState
        request = nominal = "WRITE0"
        class SAFE(GuardState):
            goto = True
        class WRITE0(GuardState):
            number = 0
            def main(self):
                log("writing %d", self.number)
                ezca["SLOW%d" % self.number] = 1
                log("written %d", self.number)
        class WRITE1(WRITE0):
            number = 1
        edges = [("INIT", "WRITE0"), ("SAFE", "WRITE0"), ("SAFE", "WRITE1")]
    """
}


def test_R8_R10_a_write_that_is_waited_for_ends_at_a_redirect_and_at_STOP(tmp_path: Path) -> None:
    """The record takes a minute; EZCA_TIMEOUT, which the workers have from the host, allows for more."""
    with site(tmp_path, SLOW, EZCA_TIMEOUT="300") as at:
        host = at.host
        assert host.child is not None
        host.child.wait_for("writing 0")
        host.put("SLOW", "REQUEST", "SAFE")
        host.wait("SLOW", "STATE", "SAFE")
        host.wait("SLOW", "STATUS", "DONE")
        assert host.ca.get(host.pv("SLOW", "KILLS")).value == 0
        host.put("SLOW", "REQUEST", "WRITE1")
        host.child.wait_for("writing 1")
        host.put("SLOW", "OP", "STOP")
        host.wait("SLOW", "WORKER", "STOP")
        assert host.ca.get(host.pv("SLOW", "KILLS")).value == 0
        assert "written" not in host.child.output


OWN = {
    "OWN": """
        from guardian import GuardState
        request = "ASK"
        class ASK(GuardState):
            def main(self):
                for turn in range(30):
                    ezca["GRD-OWN_REQUEST"] = ("ASK", "REST")[turn % 2]
                    assert ezca["GRD-OWN_REQUEST"] == ("ASK", "REST")[turn % 2], turn
                    assert ezca["GRD-OWN_STATE"] == "ASK" and ezca["GRD-OWN_STATE_N"] == self.index
                log("asked")
            def run(self):
                return ezca["GRD-OWN_STATE"] == "ASK"
            index = 5
        class REST(GuardState):
            pass
        edges = [("INIT", "ASK"), ("ASK", "REST")]
    """
}


def test_a_state_that_writes_its_own_REQUEST_and_waits_never_deadlocks(tmp_path: Path) -> None:
    with Guardhost(tmp_path, OWN) as host:
        host.wait("OWN", "STATE", "REST")
        assert host.get("OWN", "ERROR") == "False"
        assert host.ca.get(host.pv("OWN", "REQUEST_ID")).value >= 30


USES = """
    import math
    from guardian import GuardState
    request = nominal = "USE"
    class USE(GuardState):
        def main(self):
            ezca["NUM"] = 9
            ezca["NOWHERE"] = 9
            notify("%s %s" % (ezca["NUM"], "nan" if math.isnan(ezca.read("NOWHERE")) else "?"))
        def run(self):
            notify("%s" % ezca["NUM"])
            return True
    edges = [("INIT", "USE")]
"""


@pytest.mark.parametrize(("value", "said", "left"), [("NOFAIL", "9.0", 9.0), ("DISABLE", "nan", 1.5)])
def test_a_host_passes_EZCA_CA_to_its_workers(tmp_path: Path, value: str, said: str, left: float) -> None:
    with site(tmp_path, {"USES": USES}, EZCA_CA=value, EZCA_TIMEOUT="0.5") as at:
        at.host.wait("USES", "STATUS", "DONE")
        at.host.wait("USES", "USERMSG0", said)
        assert at.host.get("USES", "ERROR") == "False" and at.plant("NUM") == left
        assert at.host.child is not None and at.host.child.output.count(f"EZCA_CA={value}: ") == 1


MANAGER = {
    "CHIEF": """
        from guardian import GuardState, NodeManager
        nodes = NodeManager(["ONE"])
        request = "TAKE"
        class TAKE(GuardState):
            def main(self):
                ezca["NUM"] = 9
                nodes.set_managed()
                nodes["ONE"] = "WATCH"
                nodes["ONE"].release()
            def run(self):
                notify("%s in %s" % (ezca["NUM"], nodes["ONE"].state))
                return not nodes.arrived
        edges = [("INIT", "TAKE")]
    """,
    "ONE": READERS["EVERY"].replace('"WATCH"\n', '"INIT"\n', 1),
}


@pytest.mark.parametrize(("value", "seen"), [("READONLY", "1.5 in INIT"), ("DISABLE", "nan in None")])
def test_where_EZCA_CA_forbids_it_nothing_is_written_and_no_node_commanded(
    tmp_path: Path, value: str, seen: str
) -> None:
    with site(tmp_path, MANAGER, EZCA_CA=value) as at:
        host = at.host
        host.wait("CHIEF", "STATUS", "DONE")
        host.wait("CHIEF", "USERMSG0", seen)
        assert host.get("ONE", "MODE") == "AUTO" and host.get("ONE", "REQUEST") == "INIT"
        assert at.plant("NUM") == 1.5
        assert host.child is not None
        assert host.child.output.count(f"EZCA_CA={value}: ") == len(MANAGER)


def test_what_the_environment_says_and_nobody_understands_is_an_error_of_the_load(tmp_path: Path) -> None:
    with site(tmp_path, {"USES": USES}, EZCA_CA="SOMETIMES") as at:
        at.host.wait("USES", "LOAD_STATUS", "ERROR")
        assert "EZCA_CA='SOMETIMES'" in at.host.get("USES", "WHY")


MANY = 1000
ABSENT = [n for n in range(MANY) if n % 20 == 7]
MANY_DB = "".join(
    f'record(ao, "$(P)C{n}") {{ field(VAL, "{n}") field(PINI, "YES") }}\n' for n in range(MANY) if n not in ABSENT
)
BULK = {
    "BULK": f"""
        from guardian import GuardState
        from ezca import EzcaConnectError
        NAMES = ["C%d" % n for n in range({MANY})]
        request = "READ"
        class SAFE(GuardState):
            goto = True
        class READ(GuardState):
            def main(self):
                try:
                    ezca.connect(*NAMES)
                except EzcaConnectError:
                    pass
            def run(self):
                there = missing = 0
                for n, name in enumerate(NAMES):
                    try:
                        assert ezca[name] == n
                        there += 1
                    except EzcaConnectError:
                        missing += 1
                notify("%d there, %d missing" % (there, missing))
                return True
        class ONE_BY_ONE(READ):
            def main(self):
                pass
        edges = [("INIT", "READ"), ("SAFE", "READ"), ("SAFE", "ONE_BY_ONE")]
    """
}


def test_a_thousand_channels_of_which_fifty_never_exist_do_not_stall_a_node(tmp_path: Path) -> None:
    expected = f"{MANY - len(ABSENT)} there, {len(ABSENT)} missing"
    with site(tmp_path, BULK, db=MANY_DB) as at:
        host = at.host
        host.wait("BULK", "USERMSG0", expected, 60)
        host.wait("BULK", "STATUS", "DONE")
        assert host.get("BULK", "CONNECT") == "OK", "what never was there is not lost"
        eventually(lambda: host.ca.get(host.pv("BULK", "PV_TOTAL")).value == MANY, what="the count of channels")
        # And the node answers at once, whatever it reads.
        host.put("BULK", "REQUEST", "SAFE")
        host.wait("BULK", "STATUS", "DONE")


def test_a_thousand_channels_that_are_used_one_by_one_are_all_found_and_the_node_answers_meanwhile(
    tmp_path: Path,
) -> None:
    expected = f"{MANY - len(ABSENT)} there, {len(ABSENT)} missing"
    source = BULK["BULK"].replace('request = "READ"', 'request = "SAFE"')
    with site(tmp_path, {"BULK": source}, db=MANY_DB) as at:
        host = at.host
        host.wait("BULK", "STATE", "SAFE")
        host.put("BULK", "REQUEST", "ONE_BY_ONE")
        host.wait("BULK", "STATE", "ONE_BY_ONE")
        host.wait("BULK", "STATUS", "RUN")
        host.put("BULK", "REQUEST", "SAFE")  # a redirect, in the middle of it
        host.wait("BULK", "STATE", "SAFE")
        assert host.ca.get(host.pv("BULK", "KILLS")).value == 0
        host.put("BULK", "REQUEST", "ONE_BY_ONE")
        host.wait("BULK", "USERMSG0", expected, 120)


def test_a_new_worker_has_the_channels_of_the_last_one_before_its_code_asks(tmp_path: Path) -> None:
    """R8, R25: what must be safe at once after a kill does not wait 30 ms for each of its channels."""
    source = """
        import time
        from guardian import GuardState
        request = "READ"
        class READ(GuardState):
            def main(self):
                began = time.monotonic()
                for n in range(200):
                    if n % 20 != 7:
                        ezca["C%d" % n]
                log("read in= %.3f s", time.monotonic() - began)
        edges = [("INIT", "READ")]
    """

    with site(tmp_path, {"READER": source}, db=MANY_DB) as at:
        host = at.host
        host.wait("READER", "STATUS", "DONE")
        eventually(lambda: host.ca.get(host.pv("READER", "PV_TOTAL")).value == 190)
        assert host.child is not None
        host.workers()["READER"].kill()
        host.child.wait_for(r"read in= [\s\S]*read in= ")
        took = [float(text) for text in re.findall(r"read in= (\S+)", host.child.output)]
        assert took[1] < took[0] / 3, took
