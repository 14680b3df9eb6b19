"""A face made of dicts: what `ioc/server.py` is to Channel Access clients, for tests that need no network.

It keeps every post in order, and looks at each the way the most careful client would: one step is one consistent moment
(SUMMARY and the rows say the same), in the promised order, under an id that rises by one (R23). What is wrong stands in
``faults``, because an exception in here would hit the host and not the test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from guardian.core.host_rows import HOST_PV
from guardian.core.interface import BY_NAME
from guardian.core.names import HOST_NODE, HOST_PREFIX
from guardian.core.who import Who
from guardian.enums import Connect, ErrorKind, Mode, Op, Status, Worker
from guardian.host.face import Elsewhere, Load, Put, Update

#: What a step shows first, in this order (design, section 3).
HEAD = ("STATUS", "STALLED", "TARGET", "REQUEST", "STATE")


#: Who writes, if nobody else is said to.
TESTER = Who("tester", "test", "127.0.0.1")
ANNA = Who("anna", "control", "10.1.2.3")
EVE = Who("eve", "office", "10.0.0.9")


class Post(NamedTuple):
    """One value of one PV. ``batch`` counts the calls of `post`."""

    batch: int
    node: str
    row: str
    value: Any
    severity: int
    stamp: float


class DictFace:
    """A :class:`guardian.host.face.Face`. ``others`` is what the network is going to answer, one look after the other;
    the last one for ever."""

    port = 5064

    def __init__(self) -> None:
        self.claims: dict[str, str] = {}
        self.others: list[Mapping[str, Sequence[Elsewhere]]] = [{}]
        self.looks: list[tuple[tuple[str, ...], dict[str, str]]] = []
        self.values: dict[str, dict[str, Any]] = {}
        self.severities: dict[str, dict[str, int]] = {}
        self.posts: list[Post] = []
        self.faults: list[str] = []
        self.host: dict[str, Any] = {}  # row to value of the host's own PVs; of the last one when it is gone
        self.host_severities: dict[str, int] = {}
        self.host_posts: list[tuple[str, Any]] = []
        self.host_name = ""  # "" while it is not shown
        self.nodes: list[Any] = []  # all that the host's own row NODES said; None: it is gone
        self._puts: dict[str, Put] = {}
        self._ids: dict[str, int] = {}
        self._batch = 0

    # --- what the host calls

    def claim(self, node: str, update: Update, stamp: float) -> None:
        if node in self.values or node in self.claims:
            raise KeyError(f"{node}: claimed twice")
        self.claims[node] = update.value

    async def elsewhere(self, nodes: Sequence[str]) -> Mapping[str, Sequence[Elsewhere]]:
        self.looks.append((tuple(nodes), dict(self.claims)))
        return self.others.pop(0) if len(self.others) > 1 else self.others[0]

    def open(self, node: str, updates: Sequence[Update], stamp: float, put: Put) -> None:
        if node == HOST_NODE:
            return self.post(node, updates, stamp)
        if node.startswith(HOST_PREFIX):
            if self.host_name or set(HOST_PV) != {update.row.name for update in updates}:
                self.faults.append(f"{node}: opened twice, or not with all its rows")
            self.host_name = node.removeprefix(HOST_PREFIX)
            self._puts[node] = put
            return self.post(node, updates, stamp)
        if node in self.values:
            raise KeyError(f"{node}: opened twice")
        if node not in self.claims:
            self.faults.append(f"{node}: opened without a claim")
        self.claims.pop(node, None)
        self.values[node], self.severities[node], self._puts[node] = {}, {}, put
        missing = set(BY_NAME) - {update.row.name for update in updates}
        if missing:
            self.faults.append(f"{node}: opened without {sorted(missing)}")
        self._ids[node] = json.loads(next(u.value for u in updates if u.row.name == "SUMMARY"))["id"]
        self._take(node, updates, stamp)

    def post(self, node: str, updates: Sequence[Update], stamp: float) -> None:
        names = [update.row.name for update in updates]
        if node == HOST_NODE:
            self.nodes += [json.loads(update.value) for update in updates]
            return
        if node.startswith(HOST_PREFIX):
            for update in updates:
                self.host[update.row.name], self.host_severities[update.row.name] = update.value, update.severity
                self.host_posts.append((update.row.name, update.value))
            return
        self._take(node, updates, stamp)
        if "SUMMARY" in names or "EVENT" in names:
            self._check_step(node, names)
        elif any(BY_NAME[name].source.value != "vitals" for name in names):
            self.faults.append(f"{node}: {names} without SUMMARY")

    def close(self, node: str) -> None:
        if self.claims.pop(node, None) is not None:
            return
        if node == HOST_NODE:
            self.nodes.append(None)
        elif node.startswith(HOST_PREFIX):
            self.host_name = ""
        else:
            del self.values[node], self.severities[node], self._puts[node]

    def load(self) -> Load:
        return Load(pvs=sum(map(len, self.values.values())))

    # --- what tests ask

    def __getitem__(self, node: str) -> dict[str, Any]:
        """Row to value, as a client would read them now."""
        return self.values[node]

    def put(self, node: str, row: str, value: Any, who: Who = TESTER) -> None:
        self._puts[node](row, value, who)

    def seen(self, node: str, row: str) -> list[Any]:
        """Every value that was posted, oldest first."""
        return [post.value for post in self.posts if post.node == node and post.row == row]

    def events(self, node: str) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.seen(node, "EVENT")[1:]]

    def batches(self, node: str) -> list[list[Post]]:
        """The steps of a node, each a list of posts in order."""
        found: dict[int, list[Post]] = {}
        for post in self.posts:
            if post.node == node:
                found.setdefault(post.batch, []).append(post)
        return list(found.values())

    # --- inside

    def _take(self, node: str, updates: Sequence[Update], stamp: float) -> None:
        self._batch += 1
        for update in updates:
            name = update.row.name
            self.values[node][name] = update.value
            self.severities[node][name] = update.severity
            self.posts.append(Post(self._batch, node, name, update.value, update.severity, stamp))

    def _check_step(self, node: str, names: list[str]) -> None:
        now = self.values[node]
        summary, event = json.loads(now["SUMMARY"]), json.loads(now["EVENT"])
        wrong = [
            f"{key}: SUMMARY {summary[key]!r}, PV {value!r}"
            for key, value in _rows(now).items()
            if summary[key] != value
        ]
        wrong += [
            f"{key}: SUMMARY {summary[key]!r}, EVENT {event[key]!r}"
            for key in set(summary) & set(event) - {"by"}
            if summary[key] != event[key]
        ]
        if names[-2:] != ["EVENT", "SUMMARY"]:
            wrong.append(f"the last two are {names[-2:]}")
        places = [
            HEAD.index(group) if (group := name.split("_")[0]) in HEAD else len(HEAD)
            for name in names
            if name not in ("STATE_TIME", "STATES_N")
        ]
        if places != sorted(places):
            wrong.append(f"the order is {names}")
        if summary["id"] != self._ids[node] + 1:
            wrong.append(f"event {summary['id']} after {self._ids[node]}")
        for alias in ("STATE", "TARGET", "REQUEST", "NOMINAL"):
            if now[alias] != now[f"{alias}_S"]:
                wrong.append(f"{alias} {now[alias]!r}, {alias}_S {now[f'{alias}_S']!r}")
        self._ids[node] = summary["id"]
        self.faults += [f"{node}, event {summary['id']}: {text}" for text in wrong]


def _rows(now: dict[str, Any]) -> dict[str, Any]:
    """What SUMMARY must say, read from the other PVs."""
    error = ErrorKind(now["ERROR"])
    return {
        "request": now["REQUEST"],
        "request_id": now["REQUEST_ID"],
        "by": now["REQUEST_BY"],
        "state": now["STATE"],
        "target": now["TARGET"],
        "status": Status(now["STATUS"]).name,
        "stalled": bool(now["STALLED"]),
        "op": Op(now["OP"]).name,
        "mode": Mode(now["MODE"]).name,
        "manager": now["MANAGER"],
        "worker": Worker(now["WORKER"]).name,
        "error": error.name,
        "connect": [name for name in now["CONNECT_S"].split(", ") if name] if now["CONNECT"] == Connect.LOST else [],
        "notification": bool(now["NOTIFICATION"]),
        "ok": bool(now["OK"]),
    }
