"""A real `guardhost` for tests: its own process, port, prefix, modules and state directory, and a client."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests.support import CaClient, Child, ca_env, eventually, free_port, random_prefix


class Guardhost:
    """Runs ``guardhost`` on the nodes given.

    Parameters
    ----------
    folder : for modules, settings and the journal.
    modules : source of each node's module (and of libraries), by name without ``.py``.
    nodes : which of them are nodes; None: all. options : more of the command line.
    """

    def __init__(
        self,
        folder: Path,
        modules: Mapping[str, str],
        *,
        nodes: list[str] | None = None,
        options: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        ifo: str | None = None,
    ) -> None:
        self.folder = folder
        self.ifo = random_prefix().rstrip(":") if ifo is None else ifo
        self.port = free_port()
        self.env = {**ca_env(self.port), "GUARD_LOCK_DIR": str(folder / "locks"), **(env or {})}
        self.nodes = list(modules) if nodes is None else nodes
        self.options = options
        self.command: list[str] = []  #: instead of what follows from all these
        for name, source in modules.items():
            self.write(name, source)
        self.child: Child | None = None
        self.client: CaClient | None = None

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def write(self, name: str, source: str) -> None:
        (self.folder / f"{name}.py").write_text(textwrap.dedent(source))

    @property
    def argv(self) -> list[str]:
        """The command of the host."""
        argv = [sys.executable, "-m", "guardian.cli.guardhost"]
        if self.command:
            return [*argv, *self.command, *self.options]
        argv += [*self.nodes, "--ifo", self.ifo]
        argv += ["--path", str(self.folder), "--port", str(self.port), "--state-dir", str(self.state_dir)]
        return [*argv, *self.options]

    def start(self) -> None:
        """Start the host and wait until it serves."""
        self.child = Child(self.argv, env=self.env, cwd=self.folder)
        self.child.wait_for(r"on Channel Access port \d+", 60)

    def ctrl(self, *words: str) -> str:
        """Run guardctrl; its output, or AssertionError with what it said."""
        argv = [sys.executable, "-m", "guardian.cli.guardctrl", "--state-dir", str(self.state_dir), *words]
        with Child(argv, env=self.env, cwd=self.folder) as child:
            code = child.wait(60)
            assert code == 0, child.report()
            return child.output

    def pv(self, node: str, name: str) -> str:
        return f"{self.ifo}:GRD-{node}_{name}"

    @property
    def ca(self) -> CaClient:
        if self.client is None:
            self.client = CaClient(self.env)
        return self.client

    def get(self, node: str, name: str) -> Any:
        return self.ca.get(self.pv(node, name), as_string=True).value

    def put(self, node: str, name: str, value: Any, **how: Any) -> None:
        self.ca.put(self.pv(node, name), value, **how)

    def wait(self, node: str, name: str, value: Any, timeout_s: float = 30) -> None:
        """Until a PV has a value."""
        seen: list[Any] = []

        def there() -> bool:
            seen[:] = [self.get(node, name)]
            return bool(seen[0] == value)

        try:
            eventually(there, timeout_s, f"{node}_{name} to be {value!r}", period_s=0.02)
        except AssertionError as error:
            said = self.child.report() if self.child else ""
            raise AssertionError(f"{error}\nlast seen: {seen}\n{said}") from None

    def workers(self) -> dict[str, psutil.Process]:
        """The worker processes by node."""
        assert self.child is not None
        found = {}
        for process in psutil.Process(self.child.pid).children(recursive=True):
            line = _command_line(process)
            if line.startswith("guardian-worker "):
                found[line.split()[1].split("#")[0]] = process
        return found

    def __enter__(self) -> Guardhost:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None
        if self.child is not None:
            self.child.close()

    def kill9(self) -> None:
        """kill -9 of the host's process alone; what it started must end by itself."""
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def longest_gap_s(client: CaClient, name: str, for_s: float) -> float:
    """Ask for a PV again and again for so many seconds; the longest answer time."""
    worst, until = 0.0, time.monotonic() + for_s
    while time.monotonic() < until:
        asked = time.monotonic()
        client.get(name, timeout_s=10)
        worst = max(worst, time.monotonic() - asked)
    return worst
