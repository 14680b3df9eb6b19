"""The set-point monitor of a running node, against a real EPICS IOC: what was set, what is there, since when."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from guardian.core.documents import read_rows
from tests.support import eventually, free_port
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

        # kill -9 of the worker: the next one knows it all, and since when
        os.kill(host.workers()["SUS"].pid, signal.SIGKILL)
        host.wait("SUS", "WORKER", "DEAD")
        host.wait("SUS", "WORKER", "RUN")
        host.put("SUS", "REQUEST", "REST")
        host.wait("SUS", "STATE", "REST")
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
