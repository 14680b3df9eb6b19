"""Reading what people write, a site file or who may write, so that no file can hold up a host.

A file may be a pipe to which nobody writes, a device without end, or on a disk that hangs. The first two are refused
here. For the third there is `guardian.host.reader`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 16_000_000


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises
    ------
    OSError
        It cannot be read, or is a pipe, or has more than :data:`MOST_BYTES` bytes.
    """
    with open(path, "rb", opener=_at_once) as file:
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is a pipe, and no file")
        data = file.read(MOST_BYTES + 1) or b""
    if len(data) > MOST_BYTES:
        raise OSError(0, f"it has more than {MOST_BYTES} bytes")
    return data


def _at_once(path: str, flags: int) -> int:
    """Open a pipe without waiting for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)
