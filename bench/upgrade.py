"""How long a machine is without its nodes when the package of its host is upgraded.

A host of 50 nodes runs from an older version, installed by pip in an environment of its own (what it needs besides is
that of this one); its nodes are in states that they were asked for. Then the package of this checkout is installed over
it, the host is stopped and started, and the clock stops when each node is in the state that it had requested, told by a
client that was connected all the time.

* restart: from SIGTERM until the last node is back, beside the limit of 30 s, and beside the bare start of the same
  host without anything stored.
* upgrade: the same and ``pip install`` before it.

Needs the history of this repository for the older version.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

from bench.figures import Report
from tests.support import REPO, Child
from tests.support.older import unpack, why_not
from tests.system.hosting import Guardhost

LIMIT_S = 30.0
MODULE = """
    from guardian import GuardState
    request = "WORK"
    nominal = "REST"
    class WORK(GuardState): pass
    class REST(GuardState): pass
    edges = [("INIT", "WORK"), ("WORK", "REST")]
"""


def run(report: Report) -> None:
    """First start, upgrade, and what is there then."""
    if reason := why_not():
        report.note(f"not measured: {reason}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = environment(folder / "env")
        pip(python, "install", "--no-deps", wheel(older_source(folder / "older"), folder / "first"))
        new = wheel(this_source(folder / "newer"), folder / "second")
        (folder / "work").mkdir()
        nodes = [f"N{i:03d}" for i in range(report.size(50, 2))]
        host = Installed(folder / "work", dict.fromkeys(nodes, MODULE))
        host.python = python
        host.env["PYTHONPATH"] = os.fspath(folder / "nothing")
        try:
            began = time.monotonic()
            host.start()
            for node in nodes:
                host.wait(node, "STATE", "WORK", 120)
                host.put(node, "REQUEST", "REST")
            all_back(host)
            bare_s = time.monotonic() - began
            installed_s = pip(python, "install", "--no-deps", "--force-reinstall", new)
            began = time.monotonic()
            report.check("a host that is told to stop ends with exit code 0", stopped(host) == 0)
            host.start()
            serves_s = time.monotonic() - began
            all_back(host)
            back_s = time.monotonic() - began
            wrong = {node: state for node in nodes if (state := host.get(node, "STATE")) != "REST"}
            report.check("each node is in the state that it had requested", not wrong, wrong)
            report.check("it runs from its own environment", str(folder / "env") in imported_from(host, python))
        finally:
            host.__exit__(None, None, None)
    report.part(f"a host of {len(nodes)} nodes")
    first = report.figure("the first start", bare_s, "s")
    report.figure("restart until it serves", serves_s, "s")
    report.figure("restart until all nodes are back", back_s, "s", limit=LIMIT_S)
    report.figure("restart until all nodes are back", back_s, "s", beside=first)
    report.figure("upgrade until all nodes are back", back_s + installed_s, "s", limit=LIMIT_S)


class Installed(Guardhost):
    """A guardhost that is installed in an environment of its own."""

    python = ""

    @property
    def argv(self) -> list[str]:
        return [self.python, *super().argv[1:]]

    def start(self) -> None:
        super().start()
        assert self.child is not None and self.python in Path(f"/proc/{self.child.pid}/cmdline").read_text()


def environment(folder: Path) -> str:
    """The Python of a new one, which finds what is installed in this one, but for the package itself."""
    venv.create(folder, symlinks=True)
    places = {"base": os.fspath(folder), "platbase": os.fspath(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", places))
    # By a .pth file: those that it contains itself, of an editable install, are not looked at.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(folder / "bin/python")


def pip(python: str, *words: str) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "-q", *words]
    subprocess.run(argv, check=True)
    return time.monotonic() - began


def wheel(source: Path, folder: Path) -> str:
    """The package that is made of a source tree."""
    pip(sys.executable, "wheel", "--no-deps", "-w", str(folder), str(source))
    return str(next(folder.glob("*.whl")))


def older_source(folder: Path) -> Path:
    """The source tree of the older version, with what pip needs."""
    unpack(folder)
    return with_setup(folder)


def this_source(folder: Path) -> Path:
    """A copy of this one: a build leaves files in its tree."""
    for name in ("guardian", "ioc"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return with_setup(folder)


def with_setup(folder: Path) -> Path:
    for name in ("setup.cfg", "pyproject.toml", "README.rst", "LICENSE"):
        (folder / name).write_bytes((REPO / name).read_bytes())
    return folder


def all_back(host: Guardhost, timeout_s: float = 120.0) -> None:
    """Wait until each node is where it was asked to be."""
    monitors = {node: host.ca.monitor(host.pv(node, "STATE"), as_string=True) for node in host.nodes}
    until = time.monotonic() + timeout_s
    while missing := [node for node, monitor in monitors.items() if not monitor.values or monitor.values[-1] != "REST"]:
        if time.monotonic() > until:
            raise SystemExit(f"{len(missing)} nodes are not back after {timeout_s:g} s: {', '.join(missing[:5])}")
        time.sleep(0.01)


def stopped(host: Guardhost) -> int:
    """Its exit code."""
    assert host.child is not None
    host.child.signal(signal.SIGTERM)
    return host.child.wait(60)


def imported_from(host: Guardhost, python: str) -> str:
    """Where the package is."""
    with Child([python, "-c", "import guardian; print(guardian.__file__)"], env=host.env, cwd=host.folder) as child:
        child.wait(30)
        return child.output
