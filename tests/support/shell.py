"""The shell that ``make shell`` opens: the commands of this project on PATH, the CA tools at its end."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from guardian.cli.wrappers import command, write_ca_tools, write_wrapper
from tests.support.child import REPO
from tests.support.net import ca_env

#: The commands that are installed, and the modules of `guardian.cli` that they are.
COMMANDS: dict[str, str] = dict(
    re.findall(r"^ {4}([\w-]+) = guardian\.cli\.(\w+):main$", (REPO / "setup.cfg").read_text(), re.MULTILINE)
)


def shell_environ(port: int, tools: Path) -> dict[str, str]:
    """Its environment, with the CA port of a test, and with the commands and their state in the folder `tools`."""
    for name, module in COMMANDS.items():
        write_wrapper(tools / "bin", name, command(module))
    write_ca_tools(tools / "ca")
    path = f"{tools / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}:{tools / 'ca'}"
    return ca_env(port, GUARDIAN=str(REPO), PATH=path, XDG_STATE_HOME=str(tools / "state"), EPICS_CLI_TIMEOUT="20")
