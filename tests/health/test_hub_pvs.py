"""A hub and PVs: a real EPICS IOC with the names of devIocStats, and a node of a real host."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guardian.errors import ExosError
from tests.support import REPO, Child, SoftIoc, ca_env
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

#: As devIocStats has them. HEARTBEAT counts by itself, ten times a second.
IOC = """
record(calc, "{prefix}HEARTBEAT") {{
    field(INPA, "{prefix}HEARTBEAT") field(CALC, "A+1") field(SCAN, ".1 second") field(DISV, "1")
}}
record(longin, "{prefix}PROCESS_ID") {{ field(VAL, "{pid}") field(PINI, "YES") }}
record(stringin, "{prefix}STARTTOD") {{ field(VAL, "{start}") field(PINI, "YES") }}
record(stringin, "{prefix}HOSTNAME") {{ field(VAL, "ioc-crate") field(PINI, "YES") }}
"""
MODULE = """
    import os, signal
    from guardian import GuardState
    request = nominal = 'IDLE'

    class IDLE(GuardState):
        goto = True
"""


def watching(child: Callable[..., Child], port: int, *prefixes: str, **environment: str) -> Child:
    argv = [sys.executable, REPO / "tests/health/hub_of_pvs.py", *prefixes]
    hub = child(argv, env=ca_env(port, **environment), cwd=REPO, stdin=True)
    hub.wait_for("HUB READY", 60)
    return hub


def known(hub: Child) -> dict[str, Any]:
    """What the hub knows now."""
    start = len(hub.output)
    hub.send("state\n")
    found: dict[str, Any] = json.loads(hub.wait_for(r"^KNOWN (.*)$", start=start)[1])
    return found


def test_a_real_ioc_that_beats_stalls_goes_and_comes_back(child, prefix, ca_port, ca):
    def ioc(pid: int, start: str) -> SoftIoc:
        return SoftIoc(IOC.format(prefix=prefix, pid=pid, start=start), ca_port)

    name = prefix.rstrip(":")
    hub = watching(child, ca_port, prefix)
    hub.wait_for(rf"CHANGE SILENT {name}: SILENT: it is expected, and no heartbeat has come for 5", 60)
    with ioc(100, "11/29/2026 00:00:01"):
        at = hub.wait_for(rf"CHANGE BEATING .*{name}: BEATING again.* pid 100 on ioc-crate", 60).end()
        assert known(hub)[name]["run"] == "11/29/2026 00:00:01"
        ca.put(f"{prefix}HEARTBEAT.DISA", 1)  # it scans no more: what a hung database looks like
        at = hub.wait_for(rf"CHANGE STALLED {name}: STALLED: .* counter has stood at", 60, start=at).end()
        ca.put(f"{prefix}HEARTBEAT.DISA", 0)
        at = hub.wait_for(rf"CHANGE BEATING {name}: BEATING again", 60, start=at).end()
    at = hub.wait_for(rf"CHANGE SILENT {name}: SILENT: no heartbeat", 60, start=at).end()
    with ioc(101, "11/29/2026 00:05:01"):
        at = hub.wait_for(rf"CHANGE RESTARTED {name}: .*pid 101 on ioc-crate", 60, start=at).end()
        hub.wait_for(rf"CHANGE BEATING {name}", 60, start=at)


def test_an_ioc_that_is_stopped_has_stalled_and_the_hub_ends_though_it_does_not_answer(child, prefix, ca_port):
    with SoftIoc(IOC.format(prefix=prefix, pid=100, start="x"), ca_port) as ioc:
        hub = watching(child, ca_port, prefix)
        at = hub.wait_for("CHANGE BEATING", 60).end()
        ioc.child.signal(signal.SIGSTOP)
        at = hub.wait_for("CHANGE STALLED", 60, start=at).end()
        ioc.child.signal(signal.SIGCONT)
        hub.wait_for("CHANGE BEATING", 60, start=at)
        ioc.child.signal(signal.SIGSTOP)
        try:
            hub.wait_for("CHANGE STALLED", 60, start=at)
            assert hub._process.stdin is not None
            hub._process.stdin.close()
            hub.wait_for("HUB ENDED", 60)
            assert hub.wait(20) == 0, "libca waits half a minute for a server that does not answer"
        finally:
            ioc.child.signal(signal.SIGCONT)


def test_only_a_heartbeat_is_needed(child, prefix, ca_port):
    with SoftIoc(IOC.format(prefix=prefix, pid=0, start="").split("record(longin")[0], ca_port):
        hub = watching(child, ca_port, f"{prefix}=the vacuum")
        hub.wait_for("CHANGE BEATING the vacuum: BEATING: somebody, READY", 60)


def test_a_node_whose_host_hangs(child, tmp_path: Path):
    with Guardhost(tmp_path, {"SUS_MC1": MODULE}) as host:
        host.wait("SUS_MC1", "STATUS", "DONE")
        name = f"{host.ifo}:GRD-SUS_MC1"
        hub = watching(child, host.port, f"{name}_")
        at = hub.wait_for(f"CHANGE (?!SILENT)[A-Z]+ {name}", 60).end()
        assert host.child is not None
        host.child.signal(signal.SIGSTOP)
        at = hub.wait_for(f"CHANGE STALLED {name}", 60, start=at).end()
        host.child.signal(signal.SIGCONT)
        hub.wait_for(f"CHANGE (?!SILENT)[A-Z]+ {name}", 60, start=at)


def test_a_host_that_is_killed_and_started_again(child, tmp_path: Path):
    site = tmp_path / "site.toml"
    site.write_text('host = "ctrl7"\nnodes = ["SUS_MC1"]\n')
    with Guardhost(tmp_path, {"SUS_MC1": MODULE}, nodes=[], options=("--site", str(site))) as host:
        name = f"{host.ifo}:GRD-HOST_ctrl7"
        hub = watching(child, host.port, f"{name}_")
        assert host.child is not None
        at = hub.wait_for(f"CHANGE BEATING {name}: BEATING.* pid {host.child.pid} on ", 60).end()
        host.kill9()
        host.child.wait()
        at = hub.wait_for(f"CHANGE SILENT {name}", 60, start=at).end()
        host.start()
        hub.wait_for(f"CHANGE RESTARTED {name}: .*pid {host.child.pid} on ", 60, start=at)


@pytest.mark.parametrize("prefix", ["", "X1:GRD-SUS_MC1", "HEARTBEAT"])
def test_a_prefix_that_cannot_be_is_refused(prefix):
    from guardian.health.pvs import check_prefix

    with pytest.raises(ExosError, match="prefix ends with"):
        check_prefix(prefix)
