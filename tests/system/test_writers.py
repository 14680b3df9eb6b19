"""Twenty clients write settings as fast as they can: no crash, no lost setting, bounded memory, answers for others."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from guardian.host import history
from guardian.host.places import JOURNAL
from tests.support import Child, eventually
from tests.support.writers import MODULE, NODES, Result, Writers
from tests.system.hosting import Guardhost, longest_gap_s

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.slow, pytest.mark.timeout(600)]

FLOOD_S = float(os.environ.get("FLOOD_S", "6"))
#: What may wait in memory: 16 MB of the journal, 10,000 lines of the log, and what the garbage collector has not seen.
QUEUES_MB = 40


def test_twenty_clients_that_write_as_fast_as_they_can_lose_nothing_over_kill_9(tmp_path: Path) -> None:
    host = Guardhost(tmp_path, dict.fromkeys(NODES, MODULE), options=("--log", str(tmp_path / "host.log")))
    with host:
        for node in NODES:
            host.wait(node, "STATUS", "DONE", 60)
        assert host.child is not None
        process = psutil.Process(host.child.pid)
        with Writers(f"{host.ifo}:GRD-", host.env) as writers:
            assert len(writers) == 20
            writers.go()
            slowest = longest_gap_s(host.ca, host.pv("N0", "HEARTBEAT"), FLOOD_S / 2)
            before = process.memory_info().rss
            slowest = max(slowest, longest_gap_s(host.ca, host.pv("N0", "HEARTBEAT"), FLOOD_S))
            grown = (process.memory_info().rss - before) / 1e6
            beaten = float(host.get("N0", "HEARTBEAT"))
            ended = writers.end("MODE", "OP")
            _all_are_in_the_journal(host, ended)
            host.kill9()
            host.child.wait(60)
            cut = writers.results("REQUEST", "MANAGER")
        writes = sum(one.taken for one in (*ended, *cut))
        print(f"{writes / (1.5 * FLOOD_S):.0f} writes/s; slowest answer {slowest:.2f} s; grown by {grown:.1f} MB")
        said = (tmp_path / "host.log").read_text() + host.child.output
        assert "lease report" not in said and "Traceback" not in said
        assert all(not one.lost for one in ended) and all(one.lost for one in cut)
        assert all(one.taken > 10 for one in (*ended, *cut)), [(one.kind, one.taken) for one in (*ended, *cut)]
        assert slowest < 10 and time.time() - beaten < 30
        assert grown < QUEUES_MB

        host.child.close()
        host.start()
        for one in (*ended, *cut):
            assert not one.since or one in cut
            found = host.get(one.node, one.setting)
            assert found in one.possible, (found, one)


def _all_are_in_the_journal(host: Guardhost, ended: list[Result]) -> None:
    """Not one write that was taken is missing there, nor counted away; and what was refused is counted."""
    wanted = Counter({(one.node, one.setting): one.taken for one in ended})
    path = host.state_dir / JOURNAL

    def there() -> bool:
        records = [record for record in history.read(path) if record["kind"] == "write"]
        found = Counter((record["node"], record["row"]) for record in records if record["taken"])
        assert all(found[key] <= count for key, count in wanted.items())
        return all(found[key] == count for key, count in wanted.items())

    eventually(there, 60, "every write to be in the journal", period_s=0.5)
    sent = sum(one.refused for one in ended if one.setting == "MODE") // 2  # the other half was REQUEST=NOWHERE
    eventually(lambda: _refused(host) == sent, 60, f"{sent} refused writes of MODE in the audit", period_s=0.5)
    assert not [record for record in history.read(path) if record["kind"] == "dropped"]


def _refused(host: Guardhost) -> int:
    """How many refused writes of MODE ``guardlog`` knows of."""
    argv = [sys.executable, "-m", "guardian.cli.guardlog", "audit", "--refused", "--json", "--pv", "MODE"]
    with Child([*argv, "--state-dir", str(host.state_dir)], env=host.env, cwd=host.folder) as child:
        assert child.wait(120) == 0, child.report()
        lines = [json.loads(line) for line in child.output.splitlines() if line.startswith("{")]
    return sum(int(line.get("count", 1)) for line in lines)
