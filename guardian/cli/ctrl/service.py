"""What systemd says of the service of a site, in one line; nothing where it has nothing to say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from guardian.host.places import SYSTEM_SITES

_BOOTED = Path("/run/systemd/system")
#: Seconds that an answer may take.
ANSWER_S = 2.0
_ASKED = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "Result", "StatusText")


def about(site: Path) -> str:
    """The service of a site file: "guardhost@X1.service: active (running), enabled, pid 4711; 50 of 50 nodes OK".

    "" where there is no systemd, it does not answer, or has no such service: one that was neither enabled nor started.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", site.stem):
        return ""
    if site.absolute().parent == SYSTEM_SITES:
        return _line(site.stem, user=False)
    return _line(site.stem, user=False) or _line(site.stem, user=True)


def _line(name: str, *, user: bool) -> str:
    if not user and not _BOOTED.is_dir():
        return ""
    if user and not (Path(os.environ.get("XDG_RUNTIME_DIR", "")) / "systemd" / "private").exists():
        return ""
    service = f"guardhost@{name}.service"
    argv = ["systemctl", *(["--user"] if user else []), "show", service, f"--property={','.join(_ASKED)}"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return sentence(service, dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line))


def sentence(service: str, facts: dict[str, str]) -> str:
    """What ``systemctl show`` has said, in a line; "" if there is no such service."""
    enabled = facts.get("UnitFileState", "")
    active = facts.get("ActiveState", "inactive")
    if facts.get("LoadState") != "loaded" or (active == "inactive" and enabled in ("", "disabled")):
        return ""
    parts = [f"{service}: {active} ({facts.get('SubState', '?')})"]
    if enabled:
        parts.append(enabled)
    if facts.get("MainPID", "0") != "0":
        parts.append(f"pid {facts['MainPID']}")
    if facts.get("NRestarts", "0") != "0":
        parts.append(f"started again {facts['NRestarts']} times")
    if facts.get("Result", "success") != "success":
        parts.append(f"result {facts['Result']}")
    text = ", ".join(parts)
    return f"{text}; {facts['StatusText']}" if facts.get("StatusText") else text
