"""On what the figures were found: figures of two machines are not to be compared, their ratios may be."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

REPO = Path(__file__).parents[1]
_PACKAGES = ("caproto", "pyepics", "numpy", "msgspec", "psutil", "epicscorelibs", "softioc", "pysmlib")


def cpu_s(*processes: psutil.Process) -> float:
    """Seconds of a processor that these have taken until now, with what they started and has ended since."""
    taken = 0.0
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended: who waited for it has its time
            taken += sum(one.cpu_times()[:4])
    return taken


def facts() -> dict[str, Any]:
    """Machine, versions, and who else was at work when this was called."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def sentence(found: dict[str, Any]) -> str:
    """The same in two lines."""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB, {found['system']}, "
        f"load {' '.join(map(str, found['load']))}\nPython {found['python']}, {packages}, {found['commit']}"
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _commit() -> str:
    words = ["git", "-C", str(REPO), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no repository"
