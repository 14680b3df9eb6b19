"""The local control socket of a host. What can be ordered through it is in :mod:`guardian.host.orders`; who asks is
:mod:`guardian.host.asking`.

One JSON object a line in, one out: ``{"do": "create", "node": "SUS_MC1"}`` is answered with ``{"ok": true, ...}`` or
``{"ok": false, "error": "..."}``. Whoever may open the socket (mode 0600: the user who runs the host) may use it.

A disk that is read-only or full keeps no host from starting: it comes back after a death, and its nodes do not need the
socket. It is an alarm, and the socket is made as soon as it can be.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from guardian.core.ailments import Ailment
from guardian.core.who import Who
from guardian.enums import Severity
from guardian.errors import ExpectedError
from guardian.host.asking import PATH_BYTES
from guardian.host.doorkeeper import Doorkeeper
from guardian.host.host import Host
from guardian.host.orders import Order, Orders
from guardian.host.site_file import SiteFile
from guardian.host.users import user_name

_log = logging.getLogger(__name__)

LINE_BYTES = 65536
#: A sick disk, where another directory may be just as well off: no reason not to start.
_SICK = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})
#: Between two tries to make the socket, in seconds.
AGAIN_S = 5.0


class Control:
    """Serves the control socket of `host`.

    Parameters
    ----------
    doorkeeper, site_file : None: the host has none. keeper : process id of its keeper; 0: it has none.
    """

    def __init__(
        self,
        host: Host,
        doorkeeper: Doorkeeper | None = None,
        site_file: SiteFile | None = None,
        *,
        keeper: int = 0,
    ) -> None:
        self._host = host
        self._orders = Orders(host, doorkeeper, site_file, keeper)
        self._path = host.site.control_socket
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._trying: asyncio.Task[None] | None = None
        self._sick = ""

    async def start(self) -> None:
        """Listen. A socket left behind by a dead host is taken over. On a sick disk that is tried again and again.

        Raises
        ------
        ExpectedError
            The path is too long, cannot be made, or another host answers there.
        """
        if len(os.fsencode(self._path)) > PATH_BYTES:
            raise ExpectedError(f"control socket {self._path}: the path is too long; give a shorter --state-dir")
        try:
            await self._listen()
        except OSError as error:
            if error.errno not in _SICK:
                raise ExpectedError(
                    f"control socket {self._path}: {error.strerror}; give another directory with --state-dir"
                ) from None
            self._sick = str(error.strerror)
            self._host.troubles.ask(self._ailments)
            self._trying = asyncio.create_task(self._try_again(), name="control socket")

    async def _listen(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        try:
            await asyncio.to_thread(_bind, sock, self._path)
            self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=LINE_BYTES)
        except BaseException:
            sock.close()
            raise

    async def _try_again(self) -> None:
        while self._server is None:
            await asyncio.sleep(AGAIN_S)
            try:
                await self._listen()
            except OSError as error:
                self._sick = str(error.strerror)
            except ExpectedError as error:
                self._sick = str(error)

    def _ailments(self) -> Iterable[Ailment]:
        if self._server is None:
            yield Ailment(
                what="control",
                severity=Severity.MINOR,
                text=f"control socket {self._path} cannot be made: {self._sick}. guardctrl create, destroy, start, "
                "stop, restart and reload do not reach this host, its PVs do; it is tried again, make room or "
                "repair the disk",
            )

    async def stop(self) -> None:
        """Let no one in any more, and let go of those who are."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait([self._trying])
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
            for task in self._clients:
                task.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        who = _peer(writer)
        try:
            while line := await _line(reader):
                answer = await self._answer(line, who)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
                if not line.endswith(b"\n"):
                    break  # too long, or torn: what would follow is no order either
        except ConnectionError:
            pass  # the client went away
        except asyncio.CancelledError:
            pass  # the host ends; a task of a stream that ends by cancellation is logged as a fault
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, line: bytes, who: Who) -> dict[str, Any]:
        try:
            words = json.loads(line)
            order = Order(
                str(words["do"]), str(words.get("node", "")), who, {name: str(word) for name, word in words.items()}
            )
            do = self._orders.known[order.do]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            known = ", ".join(self._orders.known)
            return {"ok": False, "error": f"{line[:80]!r} is no order; known are {known}"}
        try:
            return {"ok": True, **await do(order)}
        except ExpectedError as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:  # whoever asked must hear of it
            _log.exception("the order %r failed", line[:80])
            return {"ok": False, "error": f"{order.do} {order.node}: {type(error).__name__}: {error}; please report it"}


def _bind(sock: socket.socket, path: Path) -> None:
    _make_room(path)
    sock.bind(os.fspath(path))
    path.chmod(0o600)  # before it listens, so nobody was ever let in


def _make_room(path: Path) -> None:
    """Remove the socket of a host that is dead.

    Raises
    ------
    ExpectedError
        A host answers there, or it is something else.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ExpectedError(f"control socket {path}: something else has that name; move it away")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # somebody listens, and is busy
    raise ExpectedError(
        f"control socket {path}: another host answers there; stop it, or give this one another --state-dir"
    )


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line. In the place of one that is too long stands a remark without newline, which is no order."""
    try:
        return await reader.readline()
    except ValueError:
        return b"(a line of more than %d bytes)" % LINE_BYTES


def _peer(writer: asyncio.StreamWriter) -> Who:
    """Who is at the other end: told by the kernel, so it can be trusted."""
    sock = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Who(user_name(uid), "", "guardctrl")
