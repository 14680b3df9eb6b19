"""Takes heartbeats over HTTP: ``POST`` of one JSON object, answered with 204.

Bounded in every direction, as it listens on a network: so many connections at a time, so many bytes of a request, so
many seconds from the first byte to the last. Each connection has one request. It is meant for loopback and for a
trusted network; for TLS put a web server in front of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from guardian.core.heartbeat import MOST_BYTES
from guardian.errors import ExosError

#: Connections at a time, seconds that one may take, bytes of the lines before the body.
MOST_CONNECTIONS = 100
REQUEST_S = 5.0
HEAD_BYTES = 8192

_log = logging.getLogger("guardian.health")


class _No(Exception):
    """A request that is not taken: the status, and why."""

    def __init__(self, status: str, why: str) -> None:
        self.status = status
        super().__init__(why)


class Receiver:
    """Listens, in a thread of its own, until :meth:`close`. `Hub.serve` makes one.

    Parameters
    ----------
    take : is given the body of each request; raises ExosError over what is none. The rest as in `Hub.serve`.

    Attributes
    ----------
    url : what senders are to be told.
    """

    def __init__(self, take: Callable[[bytes], None], host: str = "127.0.0.1", port: int = 0, *, token: str = ""):
        if not token and not _is_loopback(host):
            raise ExosError(
                f"a hub on {host} takes heartbeats from other machines: give it a token, and the senders the same one"
            )
        self._take = take
        self._token = token
        self._open = 0
        self._told = False
        self._loop = asyncio.new_event_loop()
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._work, args=(host, port), name="guardian-hub-http", daemon=True)
        self._thread.start()
        try:
            self.port: int = self._listening.result()
        except (OSError, OverflowError) as error:
            self._thread.join()
            raise ExosError(f"no hub can listen on {host} port {port}: {error}; choose another port, or 0") from None
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def close(self) -> None:
        """Listen no more, and close what is open."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _work(self, host: str, port: int) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            server = loop.run_until_complete(asyncio.start_server(self._connected, host, port, limit=HEAD_BYTES))
        except BaseException as error:
            loop.close()
            self._listening.set_exception(error)
            return
        self._listening.set_result(server.sockets[0].getsockname()[1])
        try:
            loop.run_forever()
            server.close()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(asyncio.sleep(0))  # what was closed ends in the next turn
        finally:
            loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > MOST_CONNECTIONS:
                self._tell_crowd()
                return
            async with asyncio.timeout(REQUEST_S):
                status, words = await self._answer(reader)
                body = f"{words}\n".encode() if words else b""
                head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, EOFError, ValueError, asyncio.CancelledError):
            pass  # whoever it is has gone, or takes too long
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, str]:
        try:
            self._take(await self._body(reader))
        except _No as no:
            return no.status, str(no)
        except ExosError as error:
            return "400 Bad Request", str(error)
        return "204 No Content", ""

    async def _body(self, reader: asyncio.StreamReader) -> bytes:
        """The body of a request.

        Raises
        ------
        _No
            It is not a POST with a length and the right token.
        """
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise _No("431 Request Header Fields Too Large", "too long") from None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        if not rest.endswith(("HTTP/1.1", "HTTP/1.0")):
            raise _No("400 Bad Request", "this is no HTTP/1.1")
        if method != "POST":
            raise _No("405 Method Not Allowed", "heartbeats are sent with POST")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        said = fields.get("authorization", "").encode("latin-1")
        if self._token and not hmac.compare_digest(said, f"Bearer {self._token}".encode()):
            raise _No("401 Unauthorized", "the token is another one")
        length = fields.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            raise _No("411 Length Required", "the length of the heartbeat is missing")
        if int(length) > MOST_BYTES:
            raise _No("413 Content Too Large", f"a heartbeat has at most {MOST_BYTES} bytes")
        return await reader.readexactly(int(length))

    def _tell_crowd(self) -> None:
        if not self._told:
            self._told = True
            _log.warning(
                "hub %s: more than %d connections at a time; the others are closed", self.url, MOST_CONNECTIONS
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
