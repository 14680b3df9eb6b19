"""A hub outside and a real host: by its PVs, and by the heartbeats that its site file has it send."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guardian.core.hub import Change
from guardian.enums import ProcessState, Pulse
from guardian.health import Hub, get_process_state
from tests.support import REPO, Child, eventually
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [pytest.mark.ca, pytest.mark.proc]

SITE = """
ifo = "{ifo}"
host = "ctrl7"
nodes = ["GOOD"]
path = ["."]
state_dir = "state"
port = {port}
"""


def with_site(folder: Path, more: str = "") -> Guardhost:
    host = Guardhost(folder, {"GOOD": GOOD})
    (folder / "site.toml").write_text(SITE.format(ifo=host.ifo, port=host.port) + more)
    host.command = ["--site", str(folder / "site.toml")]
    return host


def test_a_hub_sees_by_its_pvs_that_a_host_hangs_dies_and_is_another_one(
    tmp_path: Path, child: Callable[..., Child]
) -> None:
    host = with_site(tmp_path)
    with host:
        host.wait("GOOD", "OK", "True")
        name = f"{host.ifo}:GRD-HOST_ctrl7"
        argv = [sys.executable, REPO / "tests/health/hub_of_pvs.py", f"{name}_"]
        hub = child(argv, env=host.env, cwd=REPO, stdin=True)
        at = hub.wait_for(f"CHANGE BEATING {name}", 60).end()
        assert host.child is not None
        os.kill(host.child.pid, signal.SIGSTOP)
        at = hub.wait_for(f"CHANGE (STALLED|SILENT) {name}", 60, start=at).end()
        os.kill(host.child.pid, signal.SIGCONT)
        at = hub.wait_for(f"CHANGE BEATING {name}", 60, start=at).end()
        host.kill9()
        at = hub.wait_for(f"CHANGE SILENT {name}", 60, start=at).end()
        host.child.wait(30)
        host.start()
        hub.wait_for(f"CHANGE RESTARTED {name}", 60, start=at)


def test_a_hub_hears_of_a_host_that_hangs_and_of_its_end(tmp_path: Path) -> None:
    """No Channel Access: the host sends, as its site file says."""
    changes: list[Change] = []

    def last(pulse: Pulse) -> Change | None:
        return changes[-1] if changes and changes[-1].pulse is pulse else None

    with Hub(changes.append) as hub:
        url = hub.serve(port=0).url
        with with_site(tmp_path, f'[health]\nwebhook = "{url}"\nwebhook_every = 0.5\n') as host:
            host.wait("GOOD", "OK", "True")
            change = eventually(lambda: last(Pulse.BEATING), 30, "the first heartbeat")
            assert change.name == f"{host.ifo}:HOST_ctrl7"
            eventually(lambda: hub.heartbeats[change.name].facts["nodes"] == 1, 30, "the node to be counted")
            assert hub.heartbeats[change.name].facts["nodes_not_ok"] == 0
            assert host.child is not None
            os.kill(host.child.pid, signal.SIGSTOP)
            eventually(lambda: last(Pulse.SILENT), 30, "the hub to tell that it is silent")
            os.kill(host.child.pid, signal.SIGCONT)
            eventually(lambda: last(Pulse.BEATING), 30, "the hub to tell that it beats")
            assert host.child.stop(60) == 0
        said = hub.heartbeats[change.name]
        assert said.state.name == "STOPPED", said


def test_a_program_on_the_same_machine_may_ask_how_far_a_host_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = with_site(tmp_path)
    monkeypatch.setenv("GUARD_LOCK_DIR", host.env["GUARD_LOCK_DIR"])
    name = f"{host.ifo}:HOST_ctrl7"
    with host:
        host.wait("GOOD", "OK", "True")
        assert host.get("HOST_ctrl7", "PROC_NAME") == name
        eventually(lambda: get_process_state(name) is ProcessState.READY, 30, "the host to be READY")
        host.kill9()
        assert host.child is not None
        host.child.wait(30)
        assert get_process_state(name) is ProcessState.FAIL
        host.start()
        eventually(lambda: get_process_state(name) is ProcessState.READY, 30, "the next host to be READY")
        assert host.child.stop(60) == 0
        assert get_process_state(name) is ProcessState.STOPPED
