"""The set-point monitor of a running node, against a real EPICS IOC: what was set, what is there, since when."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from guardian.core.documents import read_rows
from tests.support import Child, eventually, free_port
from tests.support.softioc import SoftIoc
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

DB = """
record(ao, "$(P)GAIN") { field(VAL, "1") field(PREC, "3") field(PINI, "YES") }
record(ao, "$(P)OFFSET") { field(VAL, "0") field(PINI, "YES") }
record(ao, "$(P)LAG") { field(VAL, "7") field(MDEL, "100") field(PINI, "YES") }
record(mbbo, "$(P)SWITCH") {
    field(ZRVL, "0") field(ONVL, "1") field(ZRST, "OFF") field(ONST, "ON") field(PINI, "YES")
}
record(ao, "$(P)FILT_RSET") { field(VAL, "0") }
record(ao, "$(P)UNWATCHED") { field(VAL, "0") }
"""
MODULE = """
    from guardian import GuardState
    request = "REST"
    ca_monitor = True
    ca_monitor_notify = True
    ca_channels = ["OFFSET"]
    class REST(GuardState):
        goto = True
    class SET(GuardState):
        def main(self):
            ezca["GAIN"] = 3
            ezca["SWITCH"] = "ON"
            ezca["LAG"] = 8
            ezca["FILT_RSET"] = 2
            ezca.write("UNWATCHED", 5, monitor=False)
            return True
    class RAMP(GuardState):
        def run(self):
            ezca["GAIN"] = self.n = getattr(self, "n", 0) + 0.1
            return False
    edges = [("INIT", "REST"), ("REST", "SET"), ("REST", "RAMP")]
"""


def hosted(folder: Path, port: int, module: str = MODULE) -> Guardhost:
    host = Guardhost(folder, {"SUS": module})
    host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{host.port} 127.0.0.1:{port}"
    return host


def diffs(host: Guardhost) -> dict[str, dict[str, Any]]:
    rows, _left = read_rows(str(host.get("SUS", "SPM_DIFFS")), "changed")
    return {row["channel"].partition(":")[2]: row for row in rows}


def points(host: Guardhost) -> dict[str, Any]:
    rows, _left = read_rows(str(host.get("SUS", "SPM_SETPOINTS")), "setpoints")
    return {row["channel"].partition(":")[2]: row["set"] for row in rows}


def wait_diffs(host: Guardhost, *names: str) -> dict[str, dict[str, Any]]:
    seen: list[Any] = []

    def there() -> bool:
        seen[:] = [diffs(host)]
        return set(seen[0]) == set(names)

    try:
        eventually(there, 30, f"{names} to differ", period_s=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{seen}\n{host.child and host.child.report()}") from None
    return dict(seen[0])


def test_what_is_changed_by_hand_is_told_and_survives_a_kill_of_the_worker_and_of_the_host(tmp_path: Path) -> None:
    port = free_port()
    host = hosted(tmp_path, port)
    with SoftIoc(DB, port, macros=f"P={host.ifo}:"), host:
        host.wait("SUS", "STATUS", "DONE")
        assert host.get("SUS", "SPM_MONITOR") == "True"
        host.put("SUS", "REQUEST", "SET")
        host.wait("SUS", "STATE", "SET")
        eventually(
            lambda: points(host) == {"GAIN": 3.0, "SWITCH": "ON", "LAG": 8.0, "OFFSET": 0.0},
            30,
            "all set points to be told",
        )
        assert int(host.get("SUS", "SPM_TOTAL")) == 4
        before = time.time()
        host.ca.put(f"{host.ifo}:GAIN", 5)
        told = wait_diffs(host, "GAIN")["GAIN"]
        print(f"told after {time.time() - before:.1f} s")
        assert (told["set"], told["is"]) == (3.0, 5.0)
        assert before - 1 < told["since"] < time.time() and told["at"] < told["since"]
        host.wait("SUS", "NOTIFICATION", "True")
        assert f"{host.ifo}:GAIN is 5, set to 3 (since " in host.get("SUS", "USERMSG")
        assert int(host.get("SUS", "SPM_CHANGED")) == 1

        # kill -9 of the worker: the next one knows it all, and since when. In SET it would set it right.
        host.put("SUS", "REQUEST", "REST")
        host.wait("SUS", "STATE", "REST")
        os.kill(host.workers()["SUS"].pid, signal.SIGKILL)
        host.wait("SUS", "WORKER", "DEAD")
        host.wait("SUS", "WORKER", "RUN")
        host.wait("SUS", "NOTIFICATION", "True")
        assert wait_diffs(host, "GAIN")["GAIN"] == told

        # what a person switches stands over a restart of the host, and so do the set points
        host.put("SUS", "SPM_NOTIFY", 0)
        host.wait("SUS", "NOTIFICATION", "False")
        eventually(lambda: "GAIN" in (host.state_dir / "SUS.json").read_text(), 10, "it to be stored")
        host.kill9()
        assert host.child is not None
        host.child.wait(30)
        host.child.close()
        host.start()
        host.wait("SUS", "STATUS", "DONE")
        assert host.get("SUS", "SPM_NOTIFY") == "False"
        assert wait_diffs(host, "GAIN")["GAIN"] == told
        assert host.get("SUS", "NOTIFICATION") == "False"

        # put right by hand
        host.ca.put(f"{host.ifo}:GAIN", 3)
        wait_diffs(host)

        # LOAD: the module's variables count again
        host.put("SUS", "LOAD", 1)
        host.wait("SUS", "SPM_NOTIFY", "True")
        host.ca.put(f"{host.ifo}:SWITCH", "OFF")
        told = wait_diffs(host, "SWITCH")["SWITCH"]
        assert (told["set"], told["is"]) == ("ON", "OFF")
        host.put("SUS", "SPM_MONITOR", 0)
        wait_diffs(host)
        host.wait("SUS", "NOTIFICATION", "False")
        assert "SWITCH" in points(host), "what was set is remembered, also while nobody looks"


def setpoints(host: Guardhost, *words: str) -> tuple[int, str]:
    """Exit code and output of ``guardutil setpoints SUS``."""
    argv = [sys.executable, "-m", "guardian.cli.guardutil", "setpoints", "SUS", "--ifo", host.ifo, *words]
    with Child(argv, env={**host.env, "EPICS_CLI_TIMEOUT": "20"}, cwd=host.folder) as child:
        return child.wait(60), child.output


def test_the_command_says_what_there_is_and_how_to_switch_it_on(tmp_path: Path) -> None:
    port = free_port()
    off = MODULE.replace("ca_monitor = True", "").replace("ca_channels = [", "ca_channels = ['NOWHERE', ")
    host = hosted(tmp_path, port, off)
    with SoftIoc(DB, port, macros=f"P={host.ifo}:"), host:
        host.wait("SUS", "STATUS", "DONE")
        switch = f"caput {host.ifo}:GRD-SUS_SPM_MONITOR 1"
        code, said = setpoints(host)
        assert code == 0 and "nothing is set" in said and switch in said
        assert setpoints(host, "--json")[0] == 0

        host.put("SUS", "REQUEST", "SET")
        host.wait("SUS", "STATE", "SET")
        eventually(lambda: set(points(host)) == {"GAIN", "SWITCH", "LAG"}, 30, "what was set to be told")
        code, said = setpoints(host)
        assert code == 1 and "nobody looks" in said and switch in said
        assert re.search(rf"{host.ifo}:GAIN +3 +\? ", said), said

        host.put("SUS", "SPM_MONITOR", 1)
        eventually(lambda: set(points(host)) == {"GAIN", "SWITCH", "LAG", "OFFSET"}, 30, "OFFSET to be taken as it is")
        host.child.wait_for("NOWHERE does not answer, and is watched from when it does", 60)
        code, said = setpoints(host)
        assert code == 0 and "4 channels were set, none of them are otherwise now" in said
        host.ca.put(f"{host.ifo}:SWITCH", "OFF")
        wait_diffs(host, "SWITCH")
        code, said = setpoints(host)
        assert code == 1 and "4 channels were set, 1 of them is otherwise now" in said
        assert said.splitlines()[1].split()[:3] == [f"{host.ifo}:SWITCH", "ON", "OFF"], "what differs comes first"
        code, said = setpoints(host, "--changed", "--json")
        told = json.loads(said)
        assert (code, told["total"], told["changed"], told["monitor"]) == (1, 4, 1, True)
        (row,) = told["setpoints"]
        assert (row["set"], row["is"]) == ("ON", "OFF") and row["at"] < row["since"]

        host.put("SUS", "OP", "STOP")
        host.wait("SUS", "WORKER", "STOP")
        code, said = setpoints(host)
        assert code == 1 and "its worker does not run" in said
        eventually(lambda: host.ca.get(host.pv("SUS", "SPM_CHANGED")).severity == 3, 10, "it to be INVALID")

        # a new worker: what a person switched stands, and what was set
        host.put("SUS", "REQUEST", "REST")
        host.put("SUS", "OP", "EXEC")
        host.wait("SUS", "WORKER", "RUN")
        wait_diffs(host, "SWITCH")
        host.put("SUS", "REQUEST", "SET")
        wait_diffs(host)
    code, said = setpoints(host)
    assert code == 2 and "does not answer" in said


def test_an_IOC_that_comes_back_without_its_settings_is_told(tmp_path: Path) -> None:
    port = free_port()
    host = hosted(tmp_path, port)
    with host:
        with SoftIoc(DB, port, macros=f"P={host.ifo}:"):
            host.put("SUS", "REQUEST", "SET")
            host.wait("SUS", "STATUS", "DONE")
            host.wait("SUS", "STATE", "SET")
            eventually(lambda: len(points(host)) == 4, 30, "all to be known")
        told = wait_diffs(host, "GAIN", "SWITCH", "LAG", "OFFSET")
        assert {row["is"] for row in told.values()} == {"DEAD"}
        with SoftIoc(DB, port, macros=f"P={host.ifo}:"):
            back = {"GAIN": 1.0, "SWITCH": "OFF", "LAG": 7.0}  # one after the other, OFFSET as it was set
            eventually(lambda: {name: row["is"] for name, row in diffs(host).items()} == back, 30, f"{back}")
            host.put("SUS", "REENTER", 1)
            wait_diffs(host)


def test_what_was_set_survives_a_kill_by_redirect_and_a_ramp_does_not_write_the_disk_over_and_over(
    tmp_path: Path,
) -> None:
    port = free_port()
    hangs = MODULE.replace("class RAMP", HANGS + "    class RAMP").replace(
        '("REST", "RAMP")', '("REST", "RAMP"), ("REST", "HANGS")'
    )
    host = hosted(tmp_path, port, hangs)
    with SoftIoc(DB, port, macros=f"P={host.ifo}:"), host:
        host.wait("SUS", "STATUS", "DONE")
        host.put("SUS", "REQUEST", "HANGS")
        host.wait("SUS", "STATE", "HANGS")
        eventually(lambda: points(host).get("GAIN") == 4.0, 30, "what was set to be told while the method runs")
        host.put("SUS", "REQUEST", "REST")
        host.wait("SUS", "STATE", "REST")
        host.wait("SUS", "STATUS", "DONE")
        assert host.ca.get(host.pv("SUS", "KILLS")).value == 1
        assert points(host)["GAIN"] == 4.0
        host.ca.put(f"{host.ifo}:GAIN", 5)
        wait_diffs(host, "GAIN")

        host.put("SUS", "REQUEST", "RAMP")
        host.wait("SUS", "STATE", "RAMP")
        stamps: set[int] = set()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            stamps.add((host.state_dir / "SUS.json").stat().st_mtime_ns)
            time.sleep(0.005)
        assert 2 <= len(stamps) <= 12, "once a second, and now and then for something else"
        before = float(points(host)["GAIN"])
        eventually(lambda: float(points(host)["GAIN"]) > before, 10, "the ramp to go on")
        assert diffs(host) == {}
        host.put("SUS", "REQUEST", "REST")
        host.wait("SUS", "STATE", "REST")
        time.sleep(3)
        assert diffs(host) == {}, "the last step of the ramp is what counts"


HANGS = """class HANGS(GuardState):
        def main(self):
            import ctypes, time
            ezca["GAIN"] = 4
            while True:
                try:
                    time.sleep(0.5)  # for what was set to be told: in C nothing is
                    ctypes.PyDLL(None).sleep(3600)
                except BaseException:
                    pass  # a redirect may come before the call into C
"""
