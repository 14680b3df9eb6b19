"""Small programs for a PATH: ``python -m guardian.cli.wrappers DIR`` writes caget, caput and camonitor into DIR.

They run :mod:`guardian.cli.catools` with this Python. A shell has DIR at the end of its PATH, so where EPICS is
installed its own tools win.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from guardian.cli.output import FAILED, OK, WRONG_CALL, complain

CA_TOOLS = ("caget", "caput", "camonitor")


def command(name: str) -> list[str]:
    """How to run a command of this project with this Python, also where its folder is not on PATH."""
    return [sys.executable, "-c", f"import sys; from guardian.cli.{name} import main; sys.exit(main())"]


def write_wrapper(directory: Path, name: str, argv: Sequence[str]) -> None:
    """Write the program `name`, which runs `argv` with the words it gets; replaced as a whole, never half written."""
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f".{name}.new"
    fresh.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
    fresh.chmod(0o755)
    fresh.replace(directory / name)


def write_ca_tools(directory: Path) -> None:
    """Write the three CA tools."""
    for tool in CA_TOOLS:
        write_wrapper(directory, tool, [sys.executable, "-m", "guardian.cli.catools", tool])


def main(argv: Sequence[str] | None = None) -> int:
    """Write the CA tools into the folder that is named."""
    words = sys.argv[1:] if argv is None else argv
    if len(words) != 1 or words[0].startswith("-"):
        complain("wrappers", "give one folder, for caget, caput and camonitor")
        return WRONG_CALL
    try:
        write_ca_tools(Path(words[0]))
    except OSError as error:
        complain("wrappers", f"{words[0]}: {error.strerror}")
        return FAILED
    return OK


if __name__ == "__main__":
    sys.exit(main())
