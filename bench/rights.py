"""What access security costs a host: CPU of its server for clients that connect to all PVs of 60 nodes.

Of one channel of a new client. The rules: everybody may write; thirty networks; an access security file. A ratio of 1
means that they cost nothing beside the rest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Report
from guardian.core.interface import BY_NAME
from guardian.core.security import Everybody, Security
from guardian.host.access import Access, read_rules
from guardian.host.doorkeeper import Doorkeeper
from ioc.cas import wire
from ioc.server import Server
from tests.ioc.cas.raw import Raw
from tests.ioc.served import IFO, Served, pv

REPO = Path(__file__).resolve().parent.parent
EVERYBODY = "everybody"


def run(report: Report) -> None:
    """In turns: the machine may be busy with something else. Of each the round in which it was least so."""
    rules: dict[str, Security] = {
        EVERYBODY: Everybody(),
        "30 networks": kept(Access(operators=tuple(f"10.0.{number}.0/24" for number in range(30)))),
        "a file": kept(Access(acf=REPO / "db" / "guardian.acf")),
    }
    nodes, clients = report.size(60, 10), report.size(40, 4)
    found: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(report.size(3, 1)):
        for name, security in rules.items():
            found[name].append(connect_us(security, nodes, clients))
    report.part("CPU of the server for a channel")
    plain = report.figure(EVERYBODY, min(found.pop(EVERYBODY)), "us")
    for name, each in found.items():
        report.figure(name, min(each), "us", beside=plain)


@contextmanager
def served(security: Security, count: int) -> Iterator[tuple[Served, list[str]]]:
    """A host's server of so many nodes, and all its PVs."""
    on_reader = security.on_reader if isinstance(security, Doorkeeper) else lambda *_: None
    server = Served()
    server.server = Server(ifo=IFO, interfaces=["127.0.0.1"], security=security, on_reader=on_reader)
    with server:
        nodes = [server.node() for _ in range(count)]
        yield server, [pv(node, row) for node in nodes for row in BY_NAME if row != "EVENT"]


def connect_us(security: Security, nodes: int, clients: int) -> float:
    """CPU time of the server for one channel of a new client, in us; the median over the clients."""
    took = []
    with served(security, nodes) as (server, names):
        for number in range(clients):
            with Raw(server.port, user=f"user{number}") as client:
                client.sync()
                before = server.do(time.thread_time)
                for name in names:
                    client.send(wire.message(wire.CREATE_CHAN, 0, 0, 1, 13, name.encode() + b"\0"))
                client.sync()
                took.append((server.do(time.thread_time) - before) / len(names) * 1e6)
    return statistics.median(took[1:])


def kept(access: Access) -> Doorkeeper:
    return Doorkeeper(read_rules(access), lambda: access, lambda *_: None)
