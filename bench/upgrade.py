"""How long a machine is without its nodes when the package of its host is upgraded.

A host of 50 nodes runs from an older version, installed by pip in an environment of its own; its nodes are in states
that they were asked for. Then the package of this checkout is installed over it, the host is stopped and started, and
the clock stops when each node is in the state that it had requested, told by a client that was connected all the time.

* ``restart``: from SIGTERM until the last node is back, beside the limit of 30 s, and beside the bare start of the same
  host without anything stored.
* ``upgrade``: the same and ``pip install`` before it.

Needs the package index for the environment, and the history of this repository for the older version.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import REPO, Child
from tests.support.older import unpack
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


class Installed(Guardhost):
    """A guardhost that is installed in an environment of its own."""

    python = ""

    @property
    def argv(self) -> list[str]:
        return [self.python, *super().argv[1:]]

    def start(self) -> None:
        super().start()
        assert self.child is not None and self.python in Path(f"/proc/{self.child.pid}/cmdline").read_text()


def pip(python: str, *words: str) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    argv = [python, "-m", "pip", "--disable-pip-version-check", "-q", *words]
    subprocess.run(argv, check=True)
    return time.monotonic() - began


def wheel(source: Path, folder: Path) -> str:
    """The package that is made of a source tree."""
    pip(sys.executable, "wheel", "--no-deps", "-w", str(folder), str(source))
    return str(next(folder.glob("*.whl")))


def older_source(folder: Path) -> Path:
    """The source tree of the older version, with what pip needs."""
    unpack(folder)
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
    wrong = {node: state for node in host.nodes if (state := host.get(node, "STATE")) != "REST"}
    if wrong:
        raise SystemExit(f"these were told to be back, and are not: {wrong}")


def stopped(host: Guardhost) -> float:
    """When it was told to stop."""
    began = time.monotonic()
    assert host.child is not None
    host.child.signal(signal.SIGTERM)
    if host.child.wait(60) != 0:
        raise SystemExit(host.child.report())
    return began


def show(what: str, took_s: float) -> None:
    verdict = "within" if took_s < LIMIT_S else "MISSES"
    print(f"  {what:8} {took_s:5.1f} s: {took_s / LIMIT_S:.2f} x the limit of {LIMIT_S:g} s ({verdict})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
        python = str(folder / "env/bin/python")
        pip(python, "install", wheel(older_source(folder / "older"), folder / "first"))
        new = wheel(REPO, folder / "second")
        (folder / "work").mkdir()
        nodes = [f"N{i:03d}" for i in range(options.nodes)]
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
            began = stopped(host)
            host.start()
            told_s = time.monotonic() - began
            all_back(host)
            back_s = time.monotonic() - began
            with Child(
                [python, "-c", "import guardian; print(guardian.__file__)"], env=host.env, cwd=host.folder
            ) as child:
                child.wait(30)
                assert str(folder / "env") in child.output, child.report()
        finally:
            host.__exit__(None, None, None)
    print(f"upgrade of a host of {options.nodes} nodes")
    show("restart", back_s)
    show("upgrade", back_s + installed_s)
    print(f"           it serves again after {told_s:.1f} s; {back_s / bare_s:.2f} x the first start ({bare_s:.1f} s)")


if __name__ == "__main__":
    main()
