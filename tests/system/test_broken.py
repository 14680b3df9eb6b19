"""A world that breaks things round a host: what it is started with, its disk, the processes it needs."""

from __future__ import annotations

from pathlib import Path

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
