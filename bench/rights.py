"""What access security costs a host: CPU of its server for clients that connect to all PVs of 60 nodes.

The rules: everybody may write; thirty networks; an access security file. A ratio of 1 means that they cost nothing
beside the rest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guardian.core.interface import BY_NAME
from guardian.core.security import Everybody, Security
from guardian.host.access import Access, read_rules
from guardian.host.doorkeeper import Doorkeeper
from ioc.cas import wire
from ioc.server import Server
from tests.ioc.cas.raw import Raw
from tests.ioc.served import IFO, Served, pv

NODES = 60
CLIENTS = 40
ROUNDS = 3
REPO = Path(__file__).resolve().parent.parent


@contextmanager
def served(security: Security) -> Iterator[tuple[Served, list[str]]]:
    """A host's server, and all its PVs."""
    on_reader = security.on_reader if isinstance(security, Doorkeeper) else lambda *_: None
    server = Served()
    server.server = Server(ifo=IFO, interfaces=["127.0.0.1"], security=security, on_reader=on_reader)
    with server:
        nodes = [server.node() for _ in range(NODES)]
        yield server, [pv(node, row) for node in nodes for row in BY_NAME if row != "EVENT"]


def connect_us(security: Security) -> float:
    """CPU time of the server for one channel of a new client, in us; the median over the clients."""
    took = []
    with served(security) as (server, names):
        for number in range(CLIENTS):
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


def main() -> None:
    rules: dict[str, Security] = {
        "everybody": Everybody(),
        "30 networks": kept(Access(operators=tuple(f"10.0.{number}.0/24" for number in range(30)))),
        "a file": kept(Access(acf=REPO / "db" / "guardian.acf")),
    }
    found: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(ROUNDS):  # in turn: the machine may be busy with something else
        for name, security in rules.items():
            found[name].append(connect_us(security))
    least = {name: min(each) for name, each in found.items()}
    for name, us in least.items():
        print(f"{name:<12} {us:6.1f} us a channel, {us / least['everybody']:.2f} x everybody")


if __name__ == "__main__":
    main()
