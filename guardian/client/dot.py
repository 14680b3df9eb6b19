"""Pictures by Graphviz' ``dot``, a program of its own that is needed for pictures only."""

from __future__ import annotations

import shutil
import subprocess

from guardian.errors import GuardianError

#: Drawing takes a second or two for the largest systems known (600 states, 1500 edges).
TIMEOUT_S = 60.0


def draw(text: str, kind: str, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """The picture of a DOT text, as ``svg`` or ``png``.

    Raises
    ------
    GuardianError
        There is no ``dot``, it cannot be started, it takes too long, or it fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise GuardianError(
            f"{kind.upper()} is drawn by the program dot, which is not on PATH; install Graphviz (the package graphviz "
            "of Debian, Fedora, conda), or write a .dot file, which needs nothing"
        )
    try:
        done = subprocess.run(
            [program, f"-T{kind}"], input=text.encode(), capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise GuardianError(f"dot has not drawn it within {timeout_s:g} s; write a .dot file and try neato") from None
    except OSError as error:
        raise GuardianError(f"dot cannot be run: {error.strerror or error}; try again, or write a .dot file") from None
    if done.returncode != 0 or not done.stdout:
        why = " ".join(done.stderr.decode(errors="replace").split())
        raise GuardianError(f"dot failed (code {done.returncode}): {why}; write a .dot file and look at it")
    return done.stdout
