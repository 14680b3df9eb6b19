"""What user code calls ``ezca`` while its new code is only checked (R11): it reads, and writes nothing.

A module that reads channels when it is imported must find them, or it could not be checked. What it writes then is
written by the process that will run it, not by the one that looks whether it can.
"""

from __future__ import annotations

import os
from typing import Any

from guardian.access.channels import Channels


class ReadOnly(Channels):
    """Channels whose writes are told to the log, and not done."""

    #: LIGO's filter tools ask this before they press a button and wait for what comes of it.
    ca_enable_write = False

    def write(  # noqa: PLR0917  # in the order of the field
        self,
        channel: str,
        value: Any,
        wait: bool = True,
        monitor: bool = True,
        setpoint: Any = None,
        log: bool = True,
        *,
        timeout: float | None = None,
    ) -> None:
        """Nothing but a line in the log."""
        text = f"{self.full_name(channel)} is not written while the code is only checked"
        if self._log is not None:
            self._log(text)

    def setpoint_snap(self, snapfile: str | os.PathLike[str]) -> None:
        """Nothing but a line in the log."""
        if self._log is not None:
            self._log(f"{os.fspath(snapfile)} is not written while the code is only checked")
