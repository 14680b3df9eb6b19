"""An hour in which nothing may happen: threads that keep their promise are not taken for hung, idle or under load."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from tests.health.conftest import Program
from tests.support import Child

pytestmark = [pytest.mark.soak, pytest.mark.proc, pytest.mark.timeout(2 * 3600)]

#: Seconds; for a quick look: GUARD_SOAK_S=60
LASTS_S = float(os.environ.get("GUARD_SOAK_S", "3600"))


@pytest.mark.parametrize("load", ["idle", "busy"])
def test_nobody_is_late_in_an_hour(program: Program, child: Callable[..., Child], load: str) -> None:
    if load == "busy":
        for _ in range(2 * (os.cpu_count() or 1)):
            child([sys.executable, "-c", "while True: pass"])
    one = program(
        f"""
        def beat(pause_s):
            until = time.monotonic() + {LASTS_S}
            while time.monotonic() < until:
                keepalive()
                time.sleep(pause_s)
        threads = [
            MonitoredThread(target=beat, args=(pause_s,), period_s=2, recovery=recovery, name=f"{{pause_s}}")
            for pause_s in (0.01, 0.5, 1.5, 1.9)
            for recovery in Recovery
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        say("nobody was late")
        """
    )
    assert one.wait(LASTS_S + 300) == 0, one.report()
    assert one.output == "nobody was late\n"
