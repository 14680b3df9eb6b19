"""Screens that are shown, for tests: a PyDM without a window, in a process of its own, which is asked what it shows."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.child import REPO, Child

#: What a Qt of the package index needs of the system even where nothing is shown, and Debian's packages of it.
LIBRARIES = {"EGL": "libegl1", "GL": "libgl1", "xkbcommon": "libxkbcommon0", "dbus-1": "libdbus-1-3"}


def why_not() -> str:
    """Why no screen can be shown here; "": it can."""
    if missing := [name for name in ("pydm", "PyQt5") if importlib.util.find_spec(name) is None]:
        return f"{' and '.join(missing)} not installed (extra [screens])"
    if lacking := [package for name, package in LIBRARIES.items() if not _loads(name)]:
        return f"Qt cannot be loaded; install {' '.join(lacking)}"
    return ""


def _loads(name: str) -> bool:
    try:
        found = ctypes.util.find_library(name)
        return found is not None and bool(ctypes.CDLL(found))
    except OSError:
        return False


class Shown:
    """A screen in PyDM. ``env``: where its channels are."""

    def __init__(self, file: Path, env: Mapping[str, str], macros: Mapping[str, str] | None = None) -> None:
        argv = [sys.executable, "-m", "tests.support.pydm_view", str(file)]
        argv += [json.dumps(dict(macros))] if macros else []
        environ = {**env, "QT_QPA_PLATFORM": "offscreen", "QT_API": "pyqt5", "PYTHONPATH": str(REPO)}
        self.child = Child(argv, env=environ, cwd=file.parent, stdin=True)
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
