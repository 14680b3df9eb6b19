"""A host is upgraded, and if need be set back: nodes are as they were, and all that was recorded can be read."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Child
from tests.support.older import unpack, why_not
from tests.system.hosting import Guardhost

pytestmark = [
    pytest.mark.ca,
    pytest.mark.proc,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

MIRROR = """
    from guardian import GuardState
    request = "SAFE"
    nominal = "ALIGNED"
    class SAFE(GuardState): pass
    class DAMPED(GuardState): pass
    class ALIGNED(GuardState): pass
    edges = [("INIT", "SAFE"), ("SAFE", "DAMPED"), ("DAMPED", "ALIGNED"), ("ALIGNED", "SAFE")]
"""
NODES = ("SUS_MC1", "SUS_MC2", "SUS_MC3", "SUS_BS")


class Host(Guardhost):
    """A host that is stopped and started again, by one version or the other."""

    def started_by(self, env: dict[str, str]) -> None:
        self.env = {key: value for key, value in self.env.items() if key != "PYTHONPATH"} | env
        self.start()

    def stopped(self) -> None:
        assert self.child is not None
        self.child.signal(signal.SIGTERM)
        assert self.child.wait(60) == 0, self.child.report()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path, dict.fromkeys(NODES, MIRROR))
    return host


def drive(host: Host) -> None:
    """Somebody has worked with the nodes."""
    for node in NODES:
        host.wait(node, "STATE", "SAFE", 60)
    host.put("SUS_MC1", "REQUEST", "ALIGNED")
    host.put("SUS_MC2", "REQUEST", "DAMPED")
    host.put("SUS_MC3", "MODE", "MANUAL")
    host.put("SUS_MC3", "REQUEST", "ALIGNED")
    host.put("SUS_BS", "REQUEST", "ALIGNED")
    host.wait("SUS_BS", "STATE", "ALIGNED")
    host.put("SUS_BS", "OP", "PAUSE")
    host.wait("SUS_MC1", "OK", "True")
    host.wait("SUS_MC3", "STATE", "ALIGNED")


def as_it_was(host: Host) -> None:
    for node, request, state, mode, op in (
        ("SUS_MC1", "ALIGNED", "ALIGNED", "AUTO", "EXEC"),
        ("SUS_MC2", "DAMPED", "DAMPED", "AUTO", "EXEC"),
        ("SUS_MC3", "ALIGNED", "INIT", "MANUAL", "EXEC"),  # a restored MANUAL enters nothing (R21)
        ("SUS_BS", "ALIGNED", "INIT", "AUTO", "PAUSE"),
    ):
        for name, value in (("REQUEST", request), ("STATE", state), ("MODE", mode), ("OP", op)):
            host.wait(node, name, value, 60)


def event_ids(host: Host) -> dict[str, int]:
    return {node: json.loads(host.get(node, "SUMMARY"))["id"] for node in NODES}


def guardlog(host: Host, child: Callable[..., Child], *words: str) -> str:
    argv = [sys.executable, "-m", "guardian.cli.guardlog", words[0], "--state-dir", str(host.state_dir), *words[1:]]
    reader = child(argv, env={**host.env, "PYTHONPATH": ""}, cwd=host.folder)
    assert reader.wait(60) == 0, reader.report()
    return reader.output


def test_an_upgraded_host_goes_on_where_the_older_one_has_stopped(
    host: Host, tmp_path: Path, child: Callable[..., Child]
) -> None:
    older = unpack(tmp_path / "older")
    try:
        host.started_by(older)
        drive(host)
        ids = event_ids(host)
        host.stopped()

        host.started_by({"PYTHONPATH": ""})
        as_it_was(host)
        assert all(now > ids[node] for node, now in event_ids(host).items()), "event ids never fall (R23)"
        assert host.child is not None
        assert not re.search(r"damaged|unreadable|put aside", host.child.output), host.child.report()

        written = guardlog(host, child, "audit", "SUS_MC3")
        assert "MANUAL" in written, "what was recorded by the older version is read"
        assert written.index("MANUAL") < written.index("ALIGNED")
    finally:
        host.__exit__(None, None, None)


def test_an_upgrade_that_is_taken_back_loses_nothing(host: Host, tmp_path: Path) -> None:
    older = unpack(tmp_path / "older")
    try:
        host.started_by({"PYTHONPATH": ""})
        drive(host)
        ids = event_ids(host)
        host.stopped()

        host.started_by(older)
        as_it_was(host)
        assert all(now > ids[node] for node, now in event_ids(host).items())
    finally:
        host.__exit__(None, None, None)
