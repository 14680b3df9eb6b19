"""What a person waits for who types a command.

* ``start``: each command until it has printed its help, beside a bare Python that ends at once. None of them may load
  a Channel Access library, numpy, asyncio or a host for that.
* ``list``: ``guardctrl list`` of a host with 500 nodes, and ``caget`` of one PV there; each beside a bare pyepics
  program that reads the same PVs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.figures import Report
from tests.support import eventually
from tests.support.child import REPO
from tests.system.hosting import Guardhost

COMMANDS = ("guardian", "guardhost", "guardctrl", "guardutil", "guardlog")
HEAVY = ("caproto", "epics", "numpy", "asyncio", "guardian.host.host")
STARTS = "import sys; from guardian.cli.{0} import main; sys.argv[0] = '{0}'; sys.exit(main({1}))"
LOADED = """
import sys
from guardian.cli.{0} import main
try:
    main(['--help'])
except SystemExit:
    pass
print(*(name for name in {1} if name in sys.modules), file=sys.stderr)
"""
READS = """
import sys, epics
pvs = [epics.PV(name, auto_monitor=False) for name in sys.argv[1:]]
print(sum(pv.get(as_string=True, timeout=20) is not None for pv in pvs))
"""
NODE = """
    from guardian import GuardState
    request = nominal = 'WORK'
    class WORK(GuardState): pass
    edges = [('INIT', 'WORK')]
"""


def run(report: Report) -> None:
    """Both."""
    start(report)
    listing(report)


def start(report: Report) -> None:
    """``--help`` of each."""
    times = report.size(10, 2)
    report.part("until a command has shown its help")
    bare = report.figure("a bare Python", [took_s([sys.executable, "-c", ""]) * 1e3 for _ in range(times)], "ms")
    for name in COMMANDS:
        argv = [sys.executable, "-c", STARTS.format(name, ["--help"])]
        report.figure(f"{name} --help", [took_s(argv) * 1e3 for _ in range(times)], "ms", beside=bare)
        said = subprocess.run(
            [sys.executable, "-c", LOADED.format(name, HEAVY)], capture_output=True, text=True, check=True, cwd=REPO
        )
        report.check(f"{name} --help loads no {' or '.join(HEAVY)}", not said.stderr.strip(), said.stderr.strip())


def listing(report: Report) -> None:
    """Of many nodes."""
    count, times = report.size(500, 10), report.size(10, 2)
    names = [f"N{number:03d}" for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        host = Guardhost(Path(folder), dict.fromkeys(names, NODE), nodes=names)
        with host:
            eventually(lambda: host.ctrl("list", "--json").count('"DONE"') == count, 300, "all nodes to be DONE")
            here = ["-m", "guardian.cli.guardctrl", "--state-dir", str(host.state_dir)]
            pvs = [host.pv(name, "SUMMARY") for name in names]
            ours = [sys.executable, *here, "list"]
            shown = subprocess.run(ours, capture_output=True, text=True, check=False, cwd=REPO, env=host.env).stdout
            report.check("all nodes are listed", all(name in shown for name in names))
            caget = [sys.executable, "-m", "guardian.cli.catools", "caget", pvs[0]]
            for part, what, argv, read, goal in (
                (f"{count} nodes", "guardctrl list", ours, pvs, 1.0),
                ("one PV", "caget", caget, pvs[:1], 1.5),
            ):
                report.part(part)
                peer = [sys.executable, "-c", READS, *read]
                other = report.figure("pyepics, SUMMARY of each", [took_s(peer, host.env) for _ in range(times)], "s")
                report.figure(what, [took_s(argv, host.env) for _ in range(times)], "s", beside=other, goal=goal)


def took_s(argv: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Seconds from the start of a process to its end."""
    began = time.perf_counter()
    subprocess.run(argv, capture_output=True, check=False, cwd=REPO, env=None if env is None else dict(env))
    return time.perf_counter() - began
