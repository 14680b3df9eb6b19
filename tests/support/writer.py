"""A client that writes one setting of one node as fast as it can, for :mod:`tests.support.writers`. Run by path.

``writer.py KIND PREFIX NODE SETTING OTHER``: KIND is pyepics (libca), caproto or raw; PREFIX stands before the node in
the names of PVs. Most writes are without a callback, every sixth with one, which is waited for; now and then one is
bad, on the setting or on the node OTHER. It goes on until a line comes on its standard input, or the connection is
lost, and ends with one line of JSON:

``confirmed`` the last value that was confirmed; ``since``: those that were written after it, in order; ``taken``: how
many writes the host has taken, if it lived; ``refused``: how many bad ones were sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

sys.path[0] = str(Path(__file__).resolve().parents[2])  # not this folder: it has a softioc.py of its own

STATES = 20
BURST = 5
TIMEOUT_S = 60.0
#: What is refused.
BAD = {"REQUEST": "NOWHERE", "MODE": "FLY", "OP": "9"}


class Lost(Exception):
    """The host is gone."""


class Refusal(Exception):
    """The host said no."""


class Client(Protocol):
    def put(self, name: str, value: str, wait: bool) -> None:
        """Raises Lost, Refusal (with `wait` only)."""


class Ordinary:
    """libca, or caproto's client."""

    def __init__(self, kind: str) -> None:
        from tests.support import ca_worker

        self._module = ca_worker
        self._client: Any = ca_worker.PyepicsClient() if kind == "pyepics" else ca_worker.CaprotoClient()

    def put(self, name: str, value: str, wait: bool) -> None:
        try:
            self._client.put(name, value, wait, TIMEOUT_S)
        except self._module.Refused as error:
            if "disconnect" in str(error).lower():
                raise Lost from error
            raise Refusal from error
        except Exception as error:
            raise Lost(repr(error)) from error


class Bare:
    """Bare messages; the host and the port are those of EPICS_CA_ADDR_LIST."""

    def __init__(self) -> None:
        from tests.ioc.cas.raw import Raw

        self._raw = Raw(int(os.environ["EPICS_CA_SERVER_PORT"]), user=f"raw{os.getpid()}", host="bench")
        self._channels: dict[str, tuple[int, int, int]] = {}

    def put(self, name: str, value: str, wait: bool) -> None:
        from ioc.cas import wire

        try:
            if name not in self._channels:
                self._channels[name] = self._raw.channel(name)
            sid, kind, _ = self._channels[name]
            payload, count = value.encode() + b"\0", 1
            if kind == 4:
                count = len(payload)
            number = self._raw.put(sid, kind if kind == 4 else 0, payload, count, notify=wait)
            while wait:
                said = self._raw.next(wire.WRITE_NOTIFY, wire.ERROR)
                if said.command == wire.WRITE_NOTIFY and said.two == number:
                    return
                if said.command == wire.ERROR and struct.unpack_from(">I", said.payload, 12)[0] == number:
                    raise Refusal
        except OSError as error:
            raise Lost(repr(error)) from error


class Setting:
    """One setting of a node, by counting. :meth:`nth` gives the row and what is written there, and what is then set."""

    def __init__(self, node: str, name: str) -> None:
        self.node, self.name = node, name

    def nth(self, n: int) -> tuple[str, str, str]:
        match self.name:
            case "MANAGER":
                value = f"{self.node}-{n}"
                return "MANAGER", value, value
            case "MODE" | "OP":
                value = {"MODE": ("MANAGED", "MANUAL"), "OP": ("EXEC", "PAUSE")}[self.name][n % 2]
                return self.name, value, value
        state = f"S{n % STATES}"
        if n % 3 == 0:
            return "REQUEST", state, state
        if n % 3 == 1:
            return "REQUEST_N", str(n % STATES + 1), state
        return "REQUEST_CMD", json.dumps({"state": state, "id": f"{self.node}-{n}", "person": "ann"}), state


class Writer:
    """Writes until it is told to end."""

    def __init__(self, kind: str, prefix: str, setting: Setting, other: str) -> None:
        self._client: Client = Bare() if kind == "raw" else Ordinary(kind)
        self._prefix, self._setting, self._other = prefix, setting, other
        self._n = self.taken = self.refused = 0
        self.confirmed = ""
        self.since: list[str] = []

    def _write(self, *, wait: bool) -> None:
        self._n += 1
        row, value, means = self._setting.nth(self._n)
        self.since.append(means)
        self._client.put(f"{self._prefix}{self._setting.node}_{row}", value, wait)
        self.taken += 1
        if wait:
            self.confirmed, self.since = means, []

    def _misbehave(self) -> None:
        """What is refused, on the own node and on another one."""
        own = self._setting.name if self._setting.name != "MANAGER" else "OP"
        for node, row in ((self._setting.node, own), (self._other, "REQUEST")):
            with contextlib.suppress(Refusal):
                self._client.put(f"{self._prefix}{node}_{row}", BAD[row], False)
                self.refused += 1

    def rounds(self, ended: threading.Event) -> None:
        """Write."""
        number = 0
        while True:
            for _ in range(BURST):
                self._write(wait=False)
            self._write(wait=True)
            if ended.is_set():
                return
            number += 1
            if number % 10 == 0:
                self._misbehave()


def main() -> None:
    kind, prefix, node, setting, other = sys.argv[1:]
    writer = Writer(kind, prefix, Setting(node, setting), other)
    writer._write(wait=True)
    print("READY", flush=True)
    sys.stdin.readline()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
    lost = ""
    try:
        writer.rounds(ended)
    except Lost as error:
        lost = str(error) or "lost"
    result = {key: getattr(writer, key) for key in ("confirmed", "since", "taken", "refused")}
    print(f"\nRESULT {json.dumps(result | {'lost': lost})}", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
