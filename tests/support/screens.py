"""Screens that are shown, for tests: a PyDM without a window, in a process of its own, which is asked what it shows."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.child import REPO, Child

#: What a PyQt5 of the package index needs of the system where nothing is shown, by Debian's names.
PACKAGES = "libgl1 libglib2.0-0 libfontconfig1 libdbus-1-3 fonts-dejavu-core"
_TRY = "import pydm; from qtpy.QtWidgets import QApplication; QApplication([])"


@cache
def why_not() -> str:
    """Why no screen can be shown here; "": it can."""
    if missing := [name for name in ("pydm", "PyQt5") if importlib.util.find_spec(name) is None]:
        return f"{' and '.join(missing)} not installed (extra [screens])"
    done = subprocess.run(
        [sys.executable, "-c", _TRY], env=environment({}), capture_output=True, timeout=90, check=False
    )
    if done.returncode == 0:
        return ""
    said = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ends with code {done.returncode}"]
    return f"Qt cannot be loaded: {said[-1]}; Debian has what it needs in {PACKAGES}"


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Of a PyDM without a window."""
    return {**os.environ, **env, "QT_QPA_PLATFORM": "offscreen", "QT_API": "pyqt5", "PYTHONPATH": str(REPO)}


class Shown:
    """A screen in PyDM. ``env``: where its channels are."""

    def __init__(self, file: Path, env: Mapping[str, str], macros: Mapping[str, str] | None = None) -> None:
        argv = [sys.executable, "-m", "tests.support.pydm_view", str(file)]
        argv += [json.dumps(dict(macros))] if macros else []
        self.child = Child(argv, env=environment(env), cwd=file.parent, stdin=True)
        self._heard = 0

    def ask(self, *order: Any) -> Any:
        """What it answers to an order of :mod:`tests.support.pydm_view`."""
        self.child.send(json.dumps(order) + "\n")
        answer = self.child.wait_for(r"^answer: (.*)\n", 60, start=self._heard)
        self._heard = answer.end()
        return json.loads(answer[1])

    def texts(self) -> dict[str, str]:
        """What is read on it, by channel."""
        found: dict[str, str] = self.ask("texts")
        return found

    def __enter__(self) -> Self:
        self.child.wait_for(r"^shown ", 90)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.child.__exit__(kind, error, tb)
