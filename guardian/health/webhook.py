"""Heartbeats to a hub that is spoken to over HTTP: a thread of its own, one attempt at a time, the newest wins.

A hub may be dead, slow, lying or hostile, and the program that sends must not notice. So nothing waits for an attempt,
and nothing is kept but the newest heartbeat; an attempt ends after `timeout_s`, whatever trickles in; of the answer
only the first line is read; a redirect is not followed. That the hub takes no heartbeats is told once, and once when it
does again.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import re
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

from guardian.core.heartbeat import Heartbeat
from guardian.errors import ExosError

TIMEOUT_S = 5.0
#: Of an answer: its first line, and no more than so many bytes.
_LINE_BYTES = 1000
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})( [\t -~\x80-\xff]*)?\r?\n")

_log = logging.getLogger("guardian.health")


class Webhook:
    """Sends heartbeats to one address. :meth:`send` returns at once.

    Parameters
    ----------
    url : ``http://`` or ``https://``; its path may be a secret, and is not told. token : goes along as
        ``Authorization: Bearer``; "" for none.
    timeout_s : what one attempt may take.

    Raises
    ------
    ExosError
        There can be no hub at that address.
    """

    def __init__(self, url: str, token: str = "", *, timeout_s: float = TIMEOUT_S) -> None:
        self.url, self._address = _checked(url)
        if not token.isascii() or not token.isprintable():
            raise ExosError(
                "the token for a hub is printable ASCII text on one line; strip() what was read from a file"
            )
        self._token = token
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._lock = threading.Condition()
        self._newest: Heartbeat | None = None
        self._busy = False
        self._thread: threading.Thread | None = None  # which ends once it is another one, or none
        self._sock: socket.socket | None = None
        self.failing = False  #: the last attempt has failed

    def send(self, heartbeat: Heartbeat) -> None:
        """Have it sent. One that waits to be sent is dropped for it."""
        if os.getpid() != self._pid:  # a forked child has neither the thread nor a lock it can trust
            return
        with self._lock:
            self._newest = heartbeat
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="guardian-webhook", daemon=True)
                self._thread.start()
            self._lock.notify_all()

    def close(self, timeout_s: float = 1.0) -> None:
        """Send what waits, if that is done in time, and end the thread. The next :meth:`send` begins anew."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if not self.failing:
                self._lock.wait_for(lambda: self._newest is None and not self._busy, timeout_s)
            thread, self._thread = self._thread, None
            self._newest = None
            self._lock.notify_all()
            if self._sock is not None:
                _hang_up(self._sock)
        if thread is not None:
            thread.join(timeout_s)  # it may be asking for the address of a name, which nothing interrupts

    @property
    def _ended(self) -> bool:
        return self._thread is not threading.current_thread()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._newest is not None or self._ended)
                if self._ended or self._newest is None:
                    return
                heartbeat, self._newest, self._busy = self._newest, None, True
            try:
                trouble = self._attempt(heartbeat)
            finally:
                with self._lock:
                    self._busy = False
                    self._lock.notify_all()
            if not self._ended:
                self._tell(trouble)

    def _tell(self, trouble: str) -> None:
        if trouble and not self.failing:
            _log.warning(
                "heartbeats do not reach the hub %s: %s; each one is tried, this is told once", self.url, trouble
            )
        elif not trouble and self.failing:
            _log.warning("heartbeats reach the hub %s again", self.url)
        self.failing = bool(trouble)

    def _attempt(self, heartbeat: Heartbeat) -> str:
        """What went wrong; "" if the hub took it."""
        deadline = time.monotonic() + self._timeout_s
        connection: http.client.HTTPConnection | None = None
        try:
            connection = self._connect()
            headers = {"Content-Type": "application/json", "Connection": "close"}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            assert connection.sock is not None
            connection.sock.settimeout(max(0.01, deadline - time.monotonic()))
            connection.request("POST", self._address.target, heartbeat.as_json(), headers)
            return _verdict(_first_line(connection.sock, deadline))
        except TimeoutError:
            return f"no answer in {self._timeout_s:g} s"
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__
        finally:
            with self._lock:
                self._sock = None
            if connection is not None:
                connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        where = self._address
        connection: http.client.HTTPConnection
        if where.tls:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(where.host, where.port, timeout=self._timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(where.host, where.port, timeout=self._timeout_s)
        connection.connect()
        with self._lock:
            if self._ended:
                raise ConnectionAbortedError("it is not wanted any more")
            self._sock = connection.sock
        return connection


class _Address:
    """Where a hub listens."""

    def __init__(self, *, tls: bool, host: str, port: int | None, target: str) -> None:
        self.tls = tls
        self.host = host
        self.port = port
        self.target = target


def _checked(url: str) -> tuple[str, _Address]:
    wanted = "the address of a hub is http://NAME:PORT/PATH or https://..., without user and password"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ExosError(f"{wanted}, not {url!r:.200}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ExosError(f"{wanted}, not {'one with a user' if '@' in parts.netloc else repr(url)[:200]}")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ExosError(f"{wanted}, in ASCII and without spaces, not {url!r:.200}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}", _Address(
        tls=parts.scheme == "https", host=parts.hostname, port=port, target=target
    )


def _first_line(sock: socket.socket, deadline: float) -> bytes:
    """Of the answer, at most `_LINE_BYTES`; whatever comes after it is not read."""
    line = b""
    while b"\n" not in line and len(line) < _LINE_BYTES:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(left_s)
        more = sock.recv(_LINE_BYTES - len(line))
        if not more:
            break
        line += more
    return line.partition(b"\n")[0] + b"\n" if b"\n" in line else line


def _verdict(line: bytes) -> str:
    if not line:
        return "it closed the connection without an answer"
    match = _STATUS.fullmatch(line)
    if match is None:
        return f"what answers there does not speak HTTP: {line[:60]!r}"
    status = int(match[1])
    if 200 <= status < 300:
        return ""
    said = (match[2] or b"").decode("latin-1").strip()
    answer = f"it answers {status} {said}".strip()[:120]
    return f"{answer}; redirects are not followed, give the address it names" if 300 <= status < 400 else answer


def _hang_up(sock: socket.socket) -> None:
    """End what another thread waits for on this socket."""
    with contextlib.suppress(OSError):  # it is closed
        sock.shutdown(socket.SHUT_RDWR)
