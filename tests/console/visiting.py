"""Who comes to the doors of a console: people with a token, and sockets that say what no browser would."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from types import TracebackType
from typing import Any

from guardian.console.people import Role
from guardian.console.users import changing, invent
from tests.console.consoling import Answer, GuardianConsole
from tests.system.hosting import Guardhost


def enrol(path: Path, **people: Role) -> dict[str, str]:
    """Write a users file; their tokens, by name."""
    tokens = {}
    with changing(path) as users:
        for name, role in people.items():
            users[name], tokens[name] = invent(name, role)
    return tokens


def alone(folder: Path, *options: str, nodes: Sequence[str] = ()) -> GuardianConsole:
    """A console without any host: its doors need none."""
    console = GuardianConsole(Guardhost(folder, {}), nodes=nodes, options=options)
    where = console.argv.index("--state-dir")
    del console.argv[where : where + 2]
    return console


@dataclass(slots=True)
class Visitor:
    """A page of the console, as far as the server can tell."""

    console: GuardianConsole
    cookie: str = ""
    csrf: str = ""
    last: Answer | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        return f"http://{self.console.address}"

    def login(self, user: str, token: str, **headers: str) -> Answer:
        """Log in; what the server gives is kept."""
        answer = self.post("/api/login", {"user": user, "token": token}, **headers)
        if answer.status == 200:
            (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
            self.cookie, self.csrf = f"{morsel.key}={morsel.value}", answer.json["csrf"]
        return answer

    def post(self, path: str, said: Any = None, *, drop: tuple[str, ...] = (), **headers: str) -> Answer:
        """As the page would, but for `headers` (their names with _ for -) and without those to `drop`."""
        sent = {"Origin": self.origin, "Content-Type": "application/json"}
        if self.cookie:
            sent |= {"Cookie": self.cookie, "X-Guardian-CSRF": self.csrf}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = said if isinstance(said, bytes) else json.dumps({} if said is None else said).encode()
        return self.console.ask("POST", path, body, {n: v for n, v in sent.items() if n not in drop})

    def about(self) -> Any:
        """What the console says of who is logged in."""
        answer = self.console.get("/api/about", **({"Cookie": self.cookie} if self.cookie else {}))
        assert answer.status == 200, answer
        return answer.json


class Raw:
    """A socket to the console. Each wait ends after `timeout_s`.

    Parameters
    ----------
    window : bytes that it takes without being read; None: as usual.
    """

    def __init__(self, console: GuardianConsole, *, timeout_s: float = 30, window: int | None = None) -> None:
        self.console = console
        self.sock = socket.socket()
        if window is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.settimeout(timeout_s)
        self.sock.connect((console.host, console.port))
        self._left = b""

    def send(self, text: str | bytes) -> None:
        self.sock.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Send one; what is not said in `headers` is as it should be."""
        said = {"Host": self.console.address, **({"Content-Length": str(len(body))} if body else {}), **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items() if value)]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers by lower-case names, body."""
        head = self.until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        return int(first.split()[1]), headers, self.take(int(headers.get("content-length", "0")))

    def open_feed(self, origin: str | None = None) -> int:
        """Ask for the WebSocket; the status of the answer."""
        self.ask_feed(origin=origin)
        return self.answer()[0]

    def ask_feed(
        self, path: str = "/feed", more: Mapping[str, str] | None = None, *, origin: str | None = None
    ) -> None:
        """Ask for the WebSocket, with `more` headers, and do not wait for the answer."""
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Origin": f"http://{self.console.address}" if origin is None else origin,
        }
        self.request("GET", path, {**headers, **(more or {})})

    def message(self) -> Any:
        """The next message of the WebSocket."""
        head = self.take(2)
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(self.take(2))
        elif size == 127:
            size = int.from_bytes(self.take(8))
        return json.loads(self.take(size))

    def until(self, mark: bytes) -> bytes:
        """All up to this."""
        while mark not in self._left:
            self._more()
        got, _, self._left = self._left.partition(mark)
        return got

    def take(self, size: int) -> bytes:
        """So many bytes."""
        while len(self._left) < size:
            self._more()
        got, self._left = self._left[:size], self._left[size:]
        return got

    def ended(self, timeout_s: float = 30) -> bytes:
        """What comes until the server closes it, which it has to."""
        deadline = time.monotonic() + timeout_s
        got, self._left = self._left, b""
        self.sock.settimeout(timeout_s)
        try:
            while block := self.sock.recv(65536):
                got += block
                self.sock.settimeout(max(0.01, deadline - time.monotonic()))
        except TimeoutError:
            raise AssertionError(f"still open after {timeout_s:g} s; it said {got!r}\n{self.console.report}") from None
        except ConnectionError:
            pass
        return got

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _more(self) -> None:
        try:
            block = self.sock.recv(65536)
        except TimeoutError:
            block = b""
        assert block, f"no more comes after {self._left!r}\n{self.console.report}"
        self._left += block
