"""What a manager knows of its own requests after LOAD, after a restart of its worker and of its host (R11, R21)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost
from tests.system.trees import DEVICES, Puppet, puppet, summary

pytestmark = [pytest.mark.ca, pytest.mark.proc]
FILES = {**DEVICES, "BOSS": puppet("SUS_1", "SUS_2")}


def _kill(host: Guardhost) -> None:
    os.kill(host.workers()["BOSS"].pid, signal.SIGKILL)


def _stop_and_start(host: Guardhost) -> None:
    host.put("BOSS", "OP", "STOP")
    host.wait("BOSS", "WORKER", "STOP")
    host.put("BOSS", "OP", "EXEC")


def _restart_host(host: Guardhost) -> None:
    host.__exit__(None, None, None)
    host.start()


def _load(host: Guardhost) -> None:
    """New code, and the state from its beginning."""
    host.put("BOSS", "LOAD", 1)
    host.wait("BOSS", "LOAD_STATUS", "DONE")
    host.put("BOSS", "REENTER", 1)


@pytest.mark.parametrize("restart", [_kill, _stop_and_start, _restart_host, _load])
def test_what_was_asked_and_taken_is_known_again(tmp_path: Path, restart: Callable[[Guardhost], None]) -> None:
    boss = Puppet(tmp_path, "BOSS")
    with Guardhost(tmp_path, FILES, nodes=["SUS_1", "SUS_2", "BOSS"]) as host:
        boss.do("nodes.set_managed()")
        boss.do("[node.set_request('SAFE') for node in nodes]")
        eventually(lambda: boss.saw()["completed"] and not boss.saw()["fault"], 30, "both to be safe")
        asked = [summary(host, node)["cmd"] for node in ("SUS_1", "SUS_2")]
        entered = boss.saw()["since"]
        boss.forget()
        restart(host)
        eventually(lambda: boss.saw()["since"] > entered and boss.saw()["completed"], 60, "it to know what it asked")
        assert boss.saw()["done"] == 0 and all(boss.saw()["mine"].values())
        assert asked == [summary(host, node)["cmd"] for node in ("SUS_1", "SUS_2")], "nothing was asked again"

        boss.do("[node.set_request('SAFE') for node in nodes]")
        eventually(lambda: boss.saw()["done"] == 1, 30, "the same to be asked again")
        assert asked == [summary(host, node)["cmd"] for node in ("SUS_1", "SUS_2")], "it stands, and is not written"

        host.put("SUS_1", "MODE", "AUTO")
        eventually(lambda: "SUS_1: MODE is AUTO" in host.get("BOSS", "USERMSG"), 30, "it to miss what it had taken")


def test_what_somebody_else_asked_meanwhile_is_not_its_own(tmp_path: Path) -> None:
    boss = Puppet(tmp_path, "BOSS")
    with Guardhost(tmp_path, FILES, nodes=["SUS_1", "SUS_2", "BOSS"]) as host:
        boss.do("[node.set_request('SAFE') for node in nodes]")
        eventually(lambda: boss.saw()["completed"], 30, "both to be safe")
        entered = boss.saw()["since"]
        host.put("BOSS", "OP", "STOP")
        host.wait("BOSS", "WORKER", "STOP")
        boss.forget()
        host.put("SUS_1", "REQUEST", "ALIGNED")
        host.put("SUS_1", "REQUEST", "SAFE")
        host.wait("SUS_1", "STATUS", "DONE")
        host.put("BOSS", "OP", "EXEC")
        eventually(lambda: boss.saw()["since"] > entered, 30, "it to run again")
        assert boss.saw()["states"] == {"SUS_1": "SAFE", "SUS_2": "SAFE"}
        assert not boss.saw()["arrived"] and boss.saw()["fault"], "a request of the same name is another request"
