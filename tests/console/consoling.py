"""A real `guardian-console` for tests: its own process beside a real `guardhost`, and a client of HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any
from urllib.parse import quote

from tests.support import Child, eventually
from tests.system.hosting import Guardhost


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the console has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal; fails if it is none."""
        assert self.status >= 400, f"not refused: {self.status} {self.body[:500]!r}"
        return str(self.json["error"])


class GuardianConsole:
    """Runs ``guardian-console`` for the nodes of a host.

    Parameters
    ----------
    module : what is run in its place; tests may wrap it.
    nodes : named on the command line. options : more of it.
    """

    def __init__(
        self,
        house: Guardhost,
        *,
        nodes: Sequence[str] = (),
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        module: str = "guardian.cli.console",
    ) -> None:
        self.house = house
        self.env = {**house.env, **(env or {})}
        self.argv = [sys.executable, "-m", module, *nodes, "--ifo", house.ifo, "--port", "0"]
        self.argv += ["--state-dir", str(house.state_dir), *options]
        self.child: Child | None = None
        self.host, self.port = "127.0.0.1", 0

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.child = Child(self.argv, env=self.env)
        said = self.child.wait_for(r"http://(\S+):(\d+)/", 60)
        self.host, self.port = said[1], int(said[2])

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def report(self) -> str:
        """All that it said."""
        assert self.child is not None
        return self.child.report()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer: HTTPResponse = connection.getresponse()
            return Answer(status=answer.status, headers=dict(answer.getheaders()), body=answer.read())
        except OSError as error:
            raise AssertionError(f"{method} {path}: {error!r}\n{self.report}") from None
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, said: Any, **headers: str) -> Answer:
        """`said` as JSON."""
        return self.ask("POST", path, json.dumps(said).encode(), {"Content-Type": "application/json", **headers})

    def told(self, path: str) -> Any:
        """The JSON at this address; fails if it was refused."""
        answer = self.get(path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.body[:500]!r}\n{self.report}"
        return answer.json

    def all_of(self, path: str, rows: str) -> list[dict[str, Any]]:
        """The `rows` of all pages of records at this address, one page after the other."""
        found, before = list[dict[str, Any]](), ""
        while True:
            answer = self.told(f"{path}{before}")
            found += answer[rows]
            if not answer["more"]:
                return found
            assert answer[rows], "a page without records would go on for ever"
            before = f"&before={quote(answer['before'])}"

    def wait(self, path: str, there: Callable[[Any], object], timeout_s: float = 60) -> Any:
        """Ask again and again until the answer is as it is to be."""
        seen: list[Any] = [None]

        def looked() -> bool:
            answer = self.get(path)
            seen[0] = answer.json if answer.headers.get("content-type") == "application/json" else answer.body
            return answer.status == 200 and bool(there(seen[0]))

        try:
            eventually(looked, timeout_s, f"{path} to be as wanted")
        except AssertionError as error:
            raise AssertionError(f"{error}\nlast seen: {seen[0]}\n{self.report}") from None
        return seen[0]

    def __enter__(self) -> GuardianConsole:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.child is not None:
            self.child.close()
            if error is not None:
                error.add_note(self.child.report())
