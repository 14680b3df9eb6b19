"""The site of :mod:`bench.wall`: many nodes, served as a host serves them, without anything that runs behind them.

``python -m bench.crowd NODES CHANGES_S IFO PORT`` says CROWD READY once it serves, and then changes the state of one
node after the other, so many times a second. All rows that a step changes are published, as by a host, and SUMMARY
has the time of the step, by which a page tells how old what it shows is. Twenty groups have a manager each. While the
file on standard input is open it goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time

import msgspec

from guardian.core.events import Step
from guardian.core.graph import Edge, Graph, StateInfo
from guardian.core.interface import NODES, Vitals
from guardian.core.names import HOST_NODE
from guardian.core.view import Subnode, View
from guardian.core.who import Who
from guardian.enums import LoadStatus, Mode, Severity, Status, Worker
from guardian.errors import RefusedError
from guardian.host.face import Update
from guardian.host.publish import Publisher
from ioc.server import Server

READY = "CROWD READY"
GROUPS = 20
STATES = ("DOWN", "ALIGNING", "ALIGNED", "LOCKING", "LOCKED")
#: Changes are made in turns of so long, as a host makes them when they come.
TURN_S = 0.01
#: A machine that is too busy leaves out what is older: to make all of it up would take ever longer.
MOST_S = 0.1


def names(count: int) -> list[str]:
    """Of so many nodes: each group has a manager, M00, and its nodes, M00_N000."""
    managers = [f"M{n:02d}" for n in range(min(GROUPS, max(1, count // 5)))]
    return managers + [f"{managers[n % len(managers)]}_N{n:03d}" for n in range(count - len(managers))]


def manager_of(node: str) -> str:
    """Of a node; "" of a manager."""
    return node.partition("_")[0] if "_" in node else ""


def first_view(node: str, nodes: list[str]) -> View:
    """A node that is where it should be."""
    manager = manager_of(node)
    graph = Graph.build(
        [StateInfo(name=name, index=10 * n, goto=1 if name == "DOWN" else None) for n, name in enumerate(STATES)],
        [Edge(start=a, end=b) for a, b in itertools.pairwise(STATES)],
    )
    below = () if manager else tuple(Subnode(node=n, there=True, taken=True, mine=True, ok=True) for n in nodes)
    return View(
        graph=graph,
        state="LOCKED",
        target="LOCKED",
        request="LOCKED",
        nominal="LOCKED",
        status=Status.DONE,
        worker=Worker.RUN,
        load_status=LoadStatus.DONE,
        mode=Mode.MANAGED if manager else Mode.AUTO,
        manager=manager,
        subnodes=tuple(one for one in below if manager_of(one.node) == node),
    )


def moved(view: View, state: str, now: float) -> View:
    """A step later: it has come to `state`, on its way to LOCKED."""
    done = state == "LOCKED"
    target = state if done else STATES[STATES.index(state) + 1]
    return msgspec.structs.replace(
        view,
        event_id=view.event_id + 1,
        stamp=now,
        state=state,
        target=target,
        status=Status.DONE if done else Status.RUN,
        state_time=now,
    )


def _put(_row: str, _value: object, _who: Who) -> None:
    raise RefusedError("nobody is here to be asked")


async def serve(count: int, per_s: float, ifo: str, port: int) -> None:
    """Until standard input is closed."""
    server, nodes, now = Server(ifo=ifo), names(count), time.time()
    views = {node: msgspec.structs.replace(first_view(node, nodes), stamp=now, state_time=now) for node in nodes}
    publishers = {node: Publisher() for node in nodes}
    for node in nodes:
        server.open(node, publishers[node].first(views[node], Vitals()), now, _put)
    server.open(HOST_NODE, [Update(NODES, NODES.value(nodes), Severity.NO_ALARM)], now, _put)
    await server.start(port)
    print(READY, flush=True)
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    chance, turns, began, made = random.Random(1), itertools.cycle(nodes), loop.time(), 0
    while not ended.done():
        await asyncio.sleep(TURN_S)
        due = int((loop.time() - began) * per_s)
        for node in itertools.islice(turns, min(due - made, int(per_s * MOST_S) + 1)):
            view = views[node] = moved(views[node], chance.choice(STATES), time.time())
            step = Step(view=view, kind="enter", text=f"entered {view.state}")
            server.post(node, publishers[node].step(step), view.stamp)
        made = due
    await server.stop()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
