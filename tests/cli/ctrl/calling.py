"""``guardctrl`` as a person calls it: a process with an environment of its own, its exit code and its two streams."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.support import REPO

LIMIT_S = 120
ARGV = [sys.executable, "-m", "guardian.cli.guardctrl"]


class Called:
    """How it ended. ``repr()`` is all that it said, for messages of tests."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def facts(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


class Shell:
    """Where guardctrl is called."""

    def __init__(self, env: Mapping[str, str], *, ifo: str) -> None:
        # its own patience is raised, as the machine may be busy with other tests
        self.env = {**env, "IFO": ifo, "EPICS_CLI_TIMEOUT": "5", "PYTHONPATH": str(REPO)}

    def __call__(self, *words: str, stdin: str = "", env: Mapping[str, str | None] | None = None) -> Called:
        environ = {name: value for name, value in {**self.env, **(env or {})}.items() if value is not None}
        done = subprocess.run(
            [*ARGV, *words], env=environ, input=stdin, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Called(done.returncode, done.stdout, done.stderr)
