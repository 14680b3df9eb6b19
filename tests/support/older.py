"""An older version of this project, as a folder that Python can import it from: what a site had before it upgrades."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.support.child import REPO

#: The last version without log files, code archive and a journal that is rotated.
OLDER = "03669da095151c96f955a8cca71e3bb9df39f463"


def why_not() -> str | None:
    """Why there is no older version here; None: there is."""
    done = subprocess.run(
        ["git", "-C", str(REPO), "cat-file", "-e", f"{OLDER}^{{commit}}"], capture_output=True, text=True, check=False
    )
    return f"the history does not reach back to {OLDER[:7]}: {done.stderr.strip()}" if done.returncode else None


def unpack(folder: Path) -> dict[str, str]:
    """Put the older version there; the environment in which Python imports it, and its workers too."""
    words = ["git", "-C", str(REPO), "archive", OLDER, "guardian", "ioc"]
    packed = subprocess.run(words, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return {"PYTHONPATH": str(folder)}
