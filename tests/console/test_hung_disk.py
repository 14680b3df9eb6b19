"""A disk hangs with the users file on it: nobody writes, everybody sees, and the console ends when it is told to."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from guardian.console.guard import cookie_name
from guardian.console.logins import DISK_S
from guardian.console.people import Role
from tests.console.visiting import alone, enrol

pytestmark = [pytest.mark.ca, pytest.mark.proc]


def test_who_the_users_are_is_waited_for_by_nobody_who_need_not_know(tmp_path: Path) -> None:
    enrol(tmp_path / "users", oscar=Role.OPERATOR)
    console = alone(tmp_path, "--allow-write", "--users", str(tmp_path / "users"))
    console.argv[console.argv.index("guardian.cli.console")] = "tests.console.hung_disk"
    with console:
        cookie = {"Cookie": f"{cookie_name({'state': {'origin': f'http://{console.address}'}})}=somebody"}
        refused = console.get("/api/about", **cookie)
        assert refused.status == 503 and "the users file has not answered" in refused.error
        begun = time.monotonic()
        assert console.get("/api/about", **cookie).status == 503
        assert console.get("/", **cookie).status == console.get("/static/dom.js", **cookie).status == 200
        assert console.get("/api/about").status == 200
        assert time.monotonic() - begun < DISK_S, "each waited anew"
        assert console.child is not None
        console.child.signal(signal.SIGTERM)
        assert console.child.wait(30) == 0
