"""The local control socket of a host: adds, removes, starts and stops single nodes while the others run.

One JSON object a line in, one out: ``{"do": "create", "node": "SUS_MC1"}`` is answered with ``{"ok": true, ...}`` or
``{"ok": false, "error": "..."}``. Whoever may open the socket (mode 0600: the user who runs the host) may use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from guardian.core import explain
from guardian.core.events import SetOp
from guardian.enums import Op
from guardian.errors import ExpectedError
from guardian.host.host import Host

#: Longest path of a unix socket, without the closing NUL.
PATH_BYTES = 107
LINE_BYTES = 65536


class Control:
    """Serves the control socket of `host`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._path = host.site.control_socket
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. A socket left behind by a dead host is taken over.

        Raises
        ------
        ExpectedError
            The path is too long, or cannot be made.
        """
        if len(os.fsencode(self._path)) > PATH_BYTES:
            raise ExpectedError(f"control socket {self._path}: the path is too long; give a shorter --state-dir")
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_BYTES)
        except OSError as error:
            raise ExpectedError(f"control socket {self._path}: {error.strerror}") from None
        finally:
            os.umask(before)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        by = _peer(writer)
        try:
            while line := await reader.readline():
                answer = await self._answer(line, by)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the client went away, or sent a line without end
        finally:
            writer.close()

    async def _answer(self, line: bytes, by: str) -> dict[str, Any]:
        try:
            order = json.loads(line)
            do = self._ORDERS[order["do"]]
            return {"ok": True, **await do(self, str(order.get("node", "")), by)}
        except ExpectedError as error:
            return {"ok": False, "error": str(error)}
        except (ValueError, KeyError, TypeError):
            known = ", ".join(self._ORDERS)
            return {"ok": False, "error": f"{line[:80]!r} is no order; known are {known}"}

    # --- orders ------------------------------------------------------------------------------------------------

    async def _create(self, node: str, _by: str) -> dict[str, Any]:
        await self._host.add(node)
        return {"node": node}

    async def _destroy(self, node: str, _by: str) -> dict[str, Any]:
        await self._host.remove(node)
        return {"node": node}

    async def _start(self, node: str, by: str) -> dict[str, Any]:
        return self._op(node, Op.EXEC, by)

    async def _stop(self, node: str, by: str) -> dict[str, Any]:
        return self._op(node, Op.STOP, by)

    def _op(self, node: str, op: Op, by: str) -> dict[str, Any]:
        if node not in self._host:
            raise ExpectedError(f"{node} does not run in this host; guardctrl create {node} adds it")
        self._host[node].feed(SetOp(op=op, by=by))
        return {"node": node}

    async def _list(self, _node: str, _by: str) -> dict[str, Any]:
        return {"nodes": [_facts(self._host, name) for name in self._host]}

    _ORDERS: dict[str, Callable[[Control, str, str], Awaitable[dict[str, Any]]]] = {
        "create": _create,
        "destroy": _destroy,
        "start": _start,
        "stop": _stop,
        "list": _list,
    }


def _facts(host: Host, name: str) -> dict[str, Any]:
    view = host[name].view
    return {
        "node": name,
        "state": view.state,
        "request": view.request,
        "status": view.status.name,
        "op": view.op.name,
        "mode": view.mode.name,
        "worker": view.worker.name,
        "ok": explain.is_ok(view),
        "why": explain.why_not_ok(view),
    }


def _peer(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end: told by the kernel, so it can be trusted."""
    sock = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return f"{pwd.getpwuid(uid).pw_name} (guardctrl)"
    except KeyError:
        return f"uid {uid} (guardctrl)"


def ask(path: Path, order: dict[str, Any], timeout_s: float = 15.0) -> dict[str, Any]:
    """Send one order to the host behind `path` and wait for its answer.

    Raises
    ------
    ExpectedError
        No host answers there, or it refuses; the message is its own.
    """
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            sock.connect(os.fspath(path))
            sock.sendall(json.dumps(order).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
        answer: dict[str, Any] = json.loads(line)
    except TimeoutError:
        raise ExpectedError(f"the host behind {path} did not answer within {timeout_s:g} s") from None
    except (OSError, ValueError) as error:
        raise ExpectedError(
            f"no host answers at {path} ({error}); is guardhost running with this state directory?"
        ) from None
    if not answer.get("ok"):
        raise ExpectedError(str(answer.get("error", "refused")))
    return answer
