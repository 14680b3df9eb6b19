"""CA clients for tests: libca (pyepics' one) or caproto, each in a process of its own, behind one interface.

A client in the pytest process would share one CA context, one environment and one set of caches among all tests; a
child with its own environment cannot. Contract tests run on both kinds, since servers break in ways only one of them
sees: libca keeps its own copy of access rights and element counts, caproto sends what it is given.

The two sides speak JSON, one object a line, over the stdin and stdout of the child (:mod:`tests.support.ca_worker`).
Every wait is bounded on both sides.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from tests.support.child import REPO, Child

Kind = Literal["pyepics", "caproto"]
_MARGIN_S = 20  # what the child itself may be late by on a loaded machine


class NotConnectedError(AssertionError):
    """The name was not found, or the server went away."""


class PutRefusedError(Exception):
    """The server said no; the message is its reason, or the text of the CA status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaReading:
    """A value: a scalar, or a list where the channel holds more than one element.

    ``kind`` is the native type ("STRING", "INT", "FLOAT", "ENUM", "CHAR", "LONG", "DOUBLE"); ``severity`` and
    ``status`` are the numbers of the protocol; ``stamp_utc`` is the server's time, seconds since 1970.
    """

    name: str
    value: Any
    kind: str
    severity: int
    status: int
    stamp_utc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaEvent:
    """One event of a monitor. ``order`` counts all events of the client, so order across PVs of a circuit is seen."""

    order: int
    name: str
    value: Any
    severity: int
    status: int
    stamp_utc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaInfo:
    """What the channel is. Limits, units, precision and labels are in ``details`` under libca's names."""

    name: str
    kind: str
    count: int
    host: str
    readable: bool
    writable: bool
    details: dict[str, Any]

    @property
    def units(self) -> str:
        return str(self.details.get("units", ""))

    @property
    def labels(self) -> list[str]:
        return list(self.details.get("labels", ()))


@dataclass(slots=True, kw_only=True)
class Monitor:
    """The events of one PV as they came. Read ``events`` at any time; it is only ever appended to."""

    name: str
    events: list[CaEvent] = field(default_factory=list)
    connections: list[bool] = field(default_factory=list)
    _client: CaClient

    @property
    def values(self) -> list[Any]:
        return [event.value for event in self.events]

    def wait_for(self, predicate: Callable[[CaEvent], bool], timeout_s: float = 30, *, start: int = 0) -> CaEvent:
        """The first event from number ``start`` on that satisfies ``predicate``."""
        event: CaEvent = self._client._wait(
            lambda: next((event for event in self.events[start:] if predicate(event)), None),
            timeout_s,
            lambda: f"an event of {self.name}; it had {[(e.value, e.severity) for e in self.events]}",
        )
        return event

    def wait_value(self, value: Any, timeout_s: float = 30, *, start: int = 0) -> CaEvent:
        """The first event from number ``start`` on with this value."""
        return self.wait_for(lambda event: event.value == value, timeout_s, start=start)

    def wait_connection(self, up: bool, timeout_s: float = 60) -> None:
        """Wait until the channel is connected (or not)."""
        self._client._wait(
            lambda: self.connections[-1:] == [up] or None,
            timeout_s,
            lambda: f"{self.name} to be {'up' if up else 'down'}; it went {self.connections}",
        )


class CaClient:
    """A CA client in a child process. Use it as a context manager, or :meth:`close` it.

    Parameters
    ----------
    env : environment of the child, from :func:`tests.support.ca_env`: it decides whom the client asks.
    kind : "pyepics" or "caproto".
    within : a command that runs it, as of another network.
    """

    def __init__(self, env: Mapping[str, str], kind: Kind = "pyepics", *, within: Sequence[str] = ()) -> None:
        self.kind = kind
        self._ids = itertools.count(1)
        self._replies: dict[int, dict[str, Any]] = {}
        self._monitors: dict[int, Monitor] = {}
        self._orders = itertools.count()
        self._rest = b""
        self._changed = threading.Condition()
        worker = Path(__file__).with_name("ca_worker.py")
        self.child = Child(
            [*within, sys.executable, worker, kind], env=env, cwd=REPO, stdin=True, on_output=self._received
        )

    def get(self, name: str, *, as_string: bool = False, timeout_s: float = 10) -> CaReading:
        """Ask the server now. ``as_string``: an enum as its label, a CHAR array as text."""
        return CaReading(**self._call("get", timeout_s, name=name, as_string=as_string))

    def put(self, name: str, value: Any, *, wait: bool = True, timeout_s: float = 10) -> None:
        """Write. A str goes as text to STRING and CHAR arrays, as a label to an ENUM: the server judges it.

        Parameters
        ----------
        wait : True is a put with callback: returns when the server says it is done, raises when it says no. False
            returns when it is sent; a refusal shows in :meth:`objection`.

        Raises
        ------
        PutRefusedError, NotConnectedError
        """
        self._call("put", timeout_s, name=name, value=value, wait=wait)

    def objection(self, name: str, timeout_s: float = 5) -> str | None:
        """The server's words about the last put without wait to ``name``, or None if it has none in ``timeout_s``."""
        reply: str | None = self._call("objection", timeout_s, name=name)["text"]
        return reply

    def info(self, name: str, *, timeout_s: float = 10) -> CaInfo:
        """Native type, size, access rights, limits and the like."""
        return CaInfo(**self._call("info", timeout_s, name=name))

    def monitor(self, name: str, *, as_string: bool = False, timeout_s: float = 30) -> Monitor:
        """Collect every event of ``name``; returns when the first one is here. Survives a restart of the server."""
        number = next(self._ids)
        monitor = Monitor(name=name, _client=self)
        self._monitors[number] = monitor
        self._call("monitor", timeout_s, name=name, as_string=as_string, monitor=number)
        monitor.wait_for(lambda event: True, timeout_s)
        return monitor

    def close(self) -> None:
        """End the child."""
        self.child.close()

    def __enter__(self) -> CaClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _call(self, verb: str, timeout_s: float, **what: Any) -> dict[str, Any]:
        number = next(self._ids)
        self.child.send(json.dumps({"id": number, "do": verb, "timeout_s": timeout_s, **what}) + "\n")
        reply = self._wait(
            lambda: self._replies.pop(number, None), timeout_s + _MARGIN_S, lambda: f"an answer to {verb} {what}"
        )
        if "error" not in reply:
            return dict(reply["result"])
        error = {"NotConnected": NotConnectedError, "Refused": PutRefusedError}.get(reply["error"], AssertionError)
        raise error(reply["message"])

    def _wait(self, found: Callable[[], Any], timeout_s: float, what: Callable[[], str]) -> Any:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while (value := found()) is None:
                left = deadline - time.monotonic()
                if left <= 0 or self.child.returncode is not None:
                    raise AssertionError(f"waited {timeout_s:g} s for {what()}\n{self.child.report()}")
                self._changed.wait(min(left, 0.5))
        return value

    def _received(self, block: bytes) -> None:
        """In the thread that reads the child's output: whole lines that begin with @ are for us, others are noise."""
        *lines, self._rest = (self._rest + block).split(b"\n")
        with self._changed:
            for line in lines:
                if line.startswith(b"@"):
                    self._take(json.loads(line[1:]))
            self._changed.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._replies[message["id"]] = message
            return
        monitor = self._monitors[message.pop("monitor")]
        if "up" in message:
            monitor.connections.append(message["up"])
        else:
            monitor.events.append(CaEvent(order=next(self._orders), **message))
