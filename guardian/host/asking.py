"""Asks a host on this machine, through its control socket (:mod:`guardian.host.control`). Light, and without a loop."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

from guardian.errors import ExpectedError
from guardian.host.users import user_name
from guardian.worker.descendants import look

#: Longest path of a unix socket, without the closing NUL.
PATH_BYTES = 107
#: Orders that change nothing.
_ONLY_ASK = frozenset({"list", "about", "status", "rights"})


class NoHost(ExpectedError):
    """No host listens there; it never did, or is dead."""


class NoAnswer(ExpectedError):
    """A host is there, and does not answer in time."""


def ask(path: Path, order: dict[str, Any], timeout_s: float = 15.0) -> dict[str, Any]:
    """Send one order to the host behind `path` and wait for its answer.

    Raises
    ------
    ExpectedError
        No host answers there (:class:`NoHost`: none listens; :class:`NoAnswer`: one does), or it refuses; the message
        is its own.
    """
    pid = 0
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            pid = _connect(sock, path, timeout_s)
            sock.sendall(json.dumps(order).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
        if not line:
            raise ConnectionResetError
        answer: Any = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError(f"it said {line[:80]!r}")
    except TimeoutError:
        raise NoAnswer(
            f"the host behind {path} did not answer within {timeout_s:g} s: {_why_silent(pid)}"
            + ("" if _only_asks(order) else f". It may still do what it was asked for ({order.get('do')})")
        ) from None
    except (ConnectionResetError, BrokenPipeError):
        raise ExpectedError(f"the host behind {path} ended before it answered; see its log") from None
    except PermissionError:
        raise ExpectedError(
            f"control socket {path}: only the user who runs the host may use it, and that is not {user_name()}; "
            "use sudo -u USER guardctrl ..."
        ) from None
    except (OSError, ValueError) as error:
        none = isinstance(error, (FileNotFoundError, ConnectionRefusedError)) or len(os.fsencode(path)) > PATH_BYTES
        kind = NoHost if none else ExpectedError
        raise kind(f"no host answers at {path} ({error}); is guardhost running with this state directory?") from None
    if not answer.get("ok"):
        raise ExpectedError(str(answer.get("error", "refused")))
    return answer


def _connect(sock: socket.socket, path: Path, timeout_s: float) -> int:
    """Connect, also where more clients than the kernel lets in at once want the same. The process that listens."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            sock.connect(os.fspath(path))
            break
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError from None
            time.sleep(0.02)
    pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid)


def _why_silent(pid: int) -> str:
    """What keeps a host from answering, as far as it can be seen from outside."""
    with contextlib.suppress(OSError):
        if pid and (seen := look(pid)) is not None and seen.stopped:
            return (
                f"process {pid} is stopped, by SIGSTOP or a debugger; whoever did that lets it go on with "
                f"`kill -CONT {pid}`"
            )
    return f"{f'process {pid}' if pid else 'it'} is busy, or hangs; see its log"


def _only_asks(order: dict[str, Any]) -> bool:
    """Whether this order changes nothing."""
    return order.get("do") in _ONLY_ASK or order.get("step") == "look"
