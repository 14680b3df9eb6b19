"""`arrived` and `completed` are never true on stale values: random rounds with real nodes over a slow line (section 7).

``GUARD_ROUNDS`` sets the number of rounds. The oracle is the journal of the device's host: it has each request that was
taken, in order, and each state that was entered, under the id of its event. The n-th request of a manager there is the
n-th that it wrote. No id of a request is looked at.
"""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_right
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from guardian.core.who import WRITE
from guardian.enums import LEAVING
from guardian.host import history
from guardian.host.places import JOURNAL
from tests.support import REPO, Child, ca_env, free_port
from tests.system.hosting import Guardhost
from tests.system.rounds import DEVICE

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.slow]

ROUNDS = int(os.environ.get("GUARD_ROUNDS", "300"))
NODES = ("DEV_1", "DEV_2", "DEV_3")
LONGEST_S = 3.0  #: past the time of an echo
LEFT = {status.name for status in LEAVING}


@pytest.mark.timeout(120 + 3 * ROUNDS)
def test_arrived_and_completed_are_never_true_on_stale_values(tmp_path: Path) -> None:
    modules = {name: DEVICE for name in NODES}
    with Guardhost(tmp_path, modules) as host, ExitStack() as stack:
        for name in NODES:
            host.wait(name, "STATUS", "DONE")
        managers = []
        for seed, name in enumerate(NODES):
            port = free_port()
            line = [sys.executable, "-m", "tests.support.slow_line", *map(str, (port, host.port, LONGEST_S, seed))]
            stack.enter_context(Child(line, cwd=REPO)).wait_for("LINE READY", 30)
            rounds = [host.ifo, name, tmp_path, ROUNDS // len(NODES), seed]
            argv = [sys.executable, "-m", "tests.system.rounds", *map(str, rounds)]
            managers.append(stack.enter_context(Child(argv, env=ca_env(port), cwd=REPO)))
        for manager in managers:
            manager.wait_for(r"^DONE$", 60 + 3 * ROUNDS)
        said = [manager.output.splitlines() for manager in managers]
    claims = 0
    for name, lines in zip(NODES, said, strict=True):
        told = [json.loads(line.removeprefix("CLAIM ")) for line in lines if line.startswith("CLAIM ")]
        truth = Truth(tmp_path, host.state_dir, name)
        for claim in told:
            truth.check(claim)
        for line in lines:
            if line.startswith("ASKED"):
                _, me, asked = line.split()
                assert len(truth.taken[me]) == int(asked), f"{me} asked {asked} times, the host knows otherwise"
        assert any(claim["completed"] for claim in told)
        claims += len(told)
    print(f"{ROUNDS} rounds, {claims} claims, none of them false")
    assert claims > ROUNDS


class Truth:
    """What the journal and the notes of a device tell."""

    def __init__(self, folder: Path, state_dir: Path, name: str) -> None:
        # A record of a write has the id of the first step that it made, and stands behind all of them.
        self.records = [one for one in history.read(state_dir / JOURNAL, node=name) if one["kind"] != WRITE]
        self.ids = [record["id"] for record in self.records]
        assert self.ids == sorted(self.ids)
        self.requests = [record for record in self.records if record["kind"] == "request"]
        self.request_ids = [record["id"] for record in self.requests]
        self.taken: dict[str, list[int]] = {"TOP1": [], "TOP2": []}
        for record in self.requests:
            me = record["by"].removeprefix("manager ").partition(" ")[0]
            if me in self.taken:
                self.taken[me].append(record["id"])
        notes = [line.split() for line in (folder / f"{name}.notes").read_text().splitlines()]
        self.completions = [(float(at), state) for at, state in notes]

    def check(self, claim: dict[str, Any]) -> None:
        """A claim must be true of the event that it is made of."""
        event = claim["event"]
        last = self.request_ids[bisect_right(self.request_ids, event) - 1]
        assert self.taken[claim["me"]].index(last) == claim["asked"] - 1, f"{claim}: {self.at(event)}"
        moment = self.records[bisect_right(self.ids, event) - 1]
        assert moment["state"] == claim["state"] == moment["request"], f"{claim}: {moment}"
        assert moment["worker"] == "RUN" and moment["op"] == "EXEC" and moment["status"] not in LEFT, (
            f"{claim}: {moment}"
        )
        if claim["completed"]:
            entered = self.entered(event)
            assert any(entered <= at <= claim["at"] and state == claim["state"] for at, state in self.completions), (
                f"{claim}: never completed since {entered}"
            )

    def entered(self, event: int) -> float:
        """When the state was entered that the device was in at that event."""
        at = bisect_right(self.ids, event) - 1
        while self.records[at]["kind"] != "enter":
            at -= 1
        return float(self.records[at]["stamp"])

    def at(self, event: int) -> list[dict[str, Any]]:
        at = bisect_right(self.ids, event)
        return self.records[max(0, at - 5) : at + 2]
