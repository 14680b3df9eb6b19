"""Hubs as they should not be: each a function that is given the connection, once the request has come.

The server is a thread of the test on a free port of loopback; what it was sent is kept.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

Behaviour = Callable[[socket.socket], None]


class OddHub:
    """Context manager round the server.

    Parameters
    ----------
    behaves : is called with each connection after its request was read; it may be changed at any time.
    """

    def __init__(self, behaves: Behaviour, port: int = 0) -> None:
        self.behaves = behaves
        self.requests: list[bytes] = []
        self.open = self.most_open = 0
        self._connections: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hub"
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            if self.ended.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        self.open += 1
        self._connections = [connection, *filter(_is_open, self._connections)]
        self.most_open = max(self.most_open, len(self._connections))
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            request = b""
            while b"}" not in request.partition(b"\r\n\r\n")[2][-1:]:
                more = connection.recv(65536)
                if not more:
                    break
                request += more
            self.requests.append(request)
            self.behaves(connection)
        self.open -= 1

    def __enter__(self) -> OddHub:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        self._listening.close()
        for thread in self._threads:
            thread.join(15)


def _is_open(connection: socket.socket) -> bool:
    """Whether its caller is still there; whoever serves it may not have noticed yet."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def says(text: str) -> Behaviour:
    return lambda connection: connection.sendall(text.replace("\n", "\r\n").encode())


def good(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def closes(connection: socket.socket) -> None:
    """It says nothing."""


def hangs(connection: socket.socket) -> None:
    connection.recv(1)  # until the other side has had enough


def trickles(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.02)


def floods(connection: socket.socket) -> None:
    """A gigabyte, as far as it is taken."""
    block = b"x" * 1_000_000
    for _ in range(1000):
        connection.sendall(block)


def floods_after_a_good_line(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    floods(connection)
