"""Where the hosts of a machine keep what they know."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from guardian.cli import state_dirs as module
from guardian.cli.state_dirs import looked_in, state_dirs
from guardian.host.claim import Claim


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setattr(module, "SYSTEM_STATE", tmp_path / "services")
    (tmp_path / "locks").mkdir()
    return tmp_path


def held(machine: Path, node: str, state: Path, on: str = "") -> None:
    claim = Claim(
        machine=on or socket.gethostname(), pid=1, user="ann", port=5064, dir=str(state), since=time.time(), id=node
    )
    (machine / "locks" / f"X1:GRD-{node}.lock").write_text(claim.text)


def test_of_this_user_of_services_and_of_hosts_with_a_directory_of_their_own(machine: Path):
    here = [machine / "mine" / "guardian" / "x1", machine / "services" / "X2", machine / "own"]
    for path in here:
        path.mkdir(parents=True)
    (machine / "mine" / "guardian" / "file").touch()
    (machine / "elsewhere").mkdir()
    held(machine, "A", machine / "own")
    held(machine, "B", machine / "own")
    held(machine, "C", machine / "elsewhere", on="another-machine")
    held(machine, "D", machine / "gone")
    (machine / "locks" / "torn.lock").write_text(json.dumps({"machine": 1})[:-1])
    assert state_dirs() == sorted(here)


def test_those_that_have_what_is_looked_for(machine: Path):
    for name in ("x1", "x2"):
        (machine / "mine" / "guardian" / name).mkdir(parents=True)
    (machine / "mine" / "guardian" / "x2" / "logs").mkdir()
    assert state_dirs("logs") == [machine / "mine" / "guardian" / "x2"]


def test_where_there_is_none_the_places_are_named(machine: Path):
    assert state_dirs() == []
    assert str(machine / "services") in looked_in() and str(machine / "mine") in looked_in()
