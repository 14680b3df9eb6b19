"""What can be ordered through the control socket of a host, one method an order.

Who restarts a node, or has the site file followed, gets the answer when that is done, as they want to know how it went.
``start`` and ``stop`` are answered when they are accepted, like the writes of OP that they are.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from guardian.core.security import rights_facts
from guardian.core.who import Who
from guardian.enums import LoadStatus, Op, Worker
from guardian.errors import ExpectedError
from guardian.host import standing
from guardian.host.doorkeeper import Doorkeeper
from guardian.host.host import Host
from guardian.host.site_file import SiteFile


@dataclass(frozen=True, slots=True)
class Order:
    """An order: what is to be done, the node it is about, who gives it, and all its words."""

    do: str
    node: str
    who: Who
    words: Mapping[str, str]


Answer = dict[str, Any]


class Orders:
    """Those that `host` takes.

    Parameters
    ----------
    doorkeeper : who may write; None: everybody. site_file : None: the command line names the nodes.
    keeper : process id; 0: there is none.

    Attributes
    ----------
    known : each order with what does it. It raises ExpectedError with why it cannot be done.
    """

    def __init__(self, host: Host, doorkeeper: Doorkeeper | None, site_file: SiteFile | None, keeper: int) -> None:
        self._host = host
        self._doorkeeper = doorkeeper
        self._site_file = site_file
        self._keeper = keeper
        self.known: dict[str, Callable[[Order], Awaitable[Answer]]] = {
            "create": self._create,
            "destroy": self._destroy,
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "list": self._list,
            "about": self._about,
            "status": self._status,
            "reload": self._reload,
            "rights": self._rights,
            "load rules": self._load_rules,
        }

    # --- nodes come and go

    async def _create(self, order: Order) -> Answer:
        note = "" if self._site_file is None else await self._site_file.created(order.node)
        node = await self._host.add(order.node, by=str(order.who))
        return {"node": order.node, "op": node.view.op.name, **({"note": note} if note else {})}

    async def _destroy(self, order: Order) -> Answer:
        if order.node not in self._host:
            raise ExpectedError(self._not_here(order.node, f"it runs {', '.join(self._host) or 'no nodes'}"))
        await self._host.remove(order.node, by=str(order.who))
        note = "" if self._site_file is None else await self._site_file.destroyed(order.node)
        return {"node": order.node, **({"note": note} if note else {})}

    # --- nodes are started and stopped

    async def _start(self, order: Order) -> Answer:
        return self._op(order, Op.EXEC)

    async def _stop(self, order: Order) -> Answer:
        return self._op(order, Op.STOP)

    def _op(self, order: Order, op: Op) -> Answer:
        self._make_sure_it_runs(order.node)
        self._host[order.node].set_op(op, order.who)
        return {"node": order.node}

    async def _restart(self, order: Order) -> Answer:
        self._make_sure_it_runs(order.node)
        node = self._host[order.node]
        view = await node.restart(order.who)
        if view.load_status is LoadStatus.ERROR:
            raise ExpectedError(f"{order.node}: a new worker was started, and cannot load: {view.load_error}")
        if view.worker is Worker.DEAD:
            raise ExpectedError(f"{order.node}: a new worker was started: {view.reason or 'it died'}")
        if view.worker is Worker.STOP:
            raise ExpectedError(f"{order.node} was stopped by {view.op_by} meanwhile")
        return {"node": order.node, "pid": node.pid, "worker": view.worker.name}

    def _make_sure_it_runs(self, node: str) -> None:
        if node not in self._host:
            raise ExpectedError(self._not_here(node, f"guardctrl create {node} adds it"))
        if self._host[node].leaving:
            raise ExpectedError(f"{node} is being removed; guardctrl create {node} adds it again")

    def _not_here(self, node: str, what_else: str) -> str:
        near = get_close_matches(node.upper(), list(self._host), n=3)
        return f"{node} does not run in this host; " + (f"did you mean {' or '.join(near)}?" if near else what_else)

    # --- the site file

    async def _reload(self, order: Order) -> Answer:
        """``look``: what is otherwise. ``follow``: do it, if it is still what was ``shown``."""
        file = self._site_file
        if file is None:
            raise ExpectedError(
                "this host was started with the names of its nodes, and has no site file to read; guardctrl create and "
                "destroy add and remove nodes"
            )
        if order.words.get("step") == "look":
            found = await file.look()
            about = {"lines": found.lines, "shown": found.digest, "anything": bool(found.changes)}
            return {"file": str(file.path), "changes": found.changes.facts, **about}
        done = await file.follow(by=str(order.who), shown=order.words.get("shown", ""))
        return {"file": str(file.path), "done": [{"ok": one.ok, "text": one.text} for one in done]}

    # --- how it is

    async def _list(self, _order: Order) -> Answer:
        return {"nodes": [standing.node(self._host, name) for name in self._host]}

    async def _about(self, _order: Order) -> Answer:
        site = self._host.site
        return {
            "ifo": site.ifo,
            "pv": site.pv,
            "port": self._host.port,
            "pid": os.getpid(),
            "dir": str(site.state_dir.absolute()),
            "nodes": list(self._host),
        }

    async def _status(self, _order: Order) -> Answer:
        host = self._host
        file = "" if self._site_file is None else str(self._site_file.path)
        listed = host.site.nodes
        service = standing.service(host, keeper=self._keeper, file=file)
        nodes = [standing.node_in_full(host, name, listed=name in listed) for name in host]
        missing = [name for name in listed if name not in host and name not in host.coming]
        return {"service": service, "nodes": nodes, "coming": host.coming, "missing": missing}

    # --- who may write

    async def _rights(self, order: Order) -> Answer:
        """What a client may do. The rules are the same for all nodes of a host."""
        if order.node:
            self._make_sure_it_runs(order.node)
        words = order.words
        who = Who(*(words.get(name, "") for name in ("user", "host", "address")))
        return {"groups": rights_facts(self._rules, who)}

    async def _load_rules(self, order: Order) -> Answer:
        access = await self._rules.load(by=str(order.who))
        return {"from": str(access.acf or access.file or "")}

    @property
    def _rules(self) -> Doorkeeper:
        if self._doorkeeper is None:
            raise ExpectedError("everybody may write here")
        return self._doorkeeper
