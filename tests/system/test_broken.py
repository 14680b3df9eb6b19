"""A world that breaks things round a host: what it is started with, its disk, the processes it needs."""

from __future__ import annotations

import os
import re
import resource
import signal
from pathlib import Path

import psutil
import pytest

from tests.support import Child, eventually
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [pytest.mark.ca, pytest.mark.proc]


@pytest.mark.parametrize("how", ['exec "$@" <&- >&- 2>&-', '"$@" >&- 2>/dev/full', '"$@" 2>&1 | true'])
def test_nobody_needs_to_listen_to_a_host(tmp_path: Path, how: str) -> None:
    """Streams that are closed, full, or a pipe whose reader has gone: the host runs, and answers."""
    host = Guardhost(tmp_path, {"GOOD": GOOD})
    with Child(["sh", "-c", how, "sh", *host.argv], env=host.env, cwd=tmp_path) as host.child:
        try:
            eventually(lambda: host.get("GOOD", "OK") == "True", 60, "the node to be OK")
            assert "GOOD" in host.ctrl("list")
        finally:
            host.ca.close()


def test_a_host_takes_the_descriptors_it_may_have(tmp_path: Path) -> None:
    """A shell gives 1024, which 300 nodes and their clients use up; nobody should have to know."""
    host = Guardhost(tmp_path, {"GOOD": GOOD})
    with Child(["sh", "-c", 'ulimit -Sn 40; exec "$@"', "sh", *host.argv], env=host.env, cwd=tmp_path) as host.child:
        host.child.wait_for(r"on Channel Access port \d+", 60)
        soft, hard = resource.prlimit(host.child.pid, resource.RLIMIT_NOFILE)
        assert soft == min(hard, 65536) if hard != resource.RLIM_INFINITY else soft == 65536


def test_a_forkserver_that_dies_again_and_again_is_no_fault_of_the_nodes(tmp_path: Path) -> None:
    """R12 gives up a node whose worker dies; what keeps the workers of all nodes must not have all of them given up."""
    with Guardhost(tmp_path, {"GOOD": GOOD}) as host:
        for _ in range(4):
            host.wait("GOOD", "OK", "True", 60)
            worker = host.workers()["GOOD"]
            os.kill(worker.ppid(), signal.SIGKILL)
            psutil.wait_procs([worker], timeout=30)
            host.wait("GOOD", "OK", "False")
        host.wait("GOOD", "OK", "True", 60)
        assert host.child is not None
        host.child.wait_for("worker died: forkserver died .killed by SIGKILL")


def test_what_is_lost_at_the_end_is_told(tmp_path: Path) -> None:
    """The state directory can be written no more: the last settings cannot be kept, and that is no good end."""
    with Guardhost(tmp_path, {"GOOD": GOOD}) as host:
        host.wait("GOOD", "OK", "True")
        host.state_dir.rename(tmp_path / "away")  # in one step: the host may be writing into it
        host.state_dir.write_text("in the way")
        host.put("GOOD", "REQUEST", "REST")
        host.wait("GOOD", "STATE", "REST")
        assert host.child is not None
        assert host.child.stop(60) == 1
        assert re.search(
            "^guardhost: something is lost: settings in .* are not written", host.child.output, re.MULTILINE
        )
