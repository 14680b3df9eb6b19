"""Python imports this at the start of every process that has this folder on PYTHONPATH.

It puts :class:`ioc.cas.context.Context` in the place of caproto's own asyncio server: in this process and, since the
environment is inherited, in every IOC that it starts. caproto's own can no longer run by mistake. Each server that
starts leaves a line in the file ``CAS_SWAP_LOG``, the proof that the swap is in effect, and one more for each client
that it disconnects of its own accord. ``CAS_SWAP=no`` leaves all as
it is, to see what caproto's tests say of caproto's own server.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_SERVER = "caproto.asyncio.server"


class _Swap(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads caproto's server as ever, then puts ours into it: before anybody else can import a name from it."""

    def __init__(self) -> None:
        self._usual: Any = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _SERVER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        self._usual, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._usual.exec_module(module)
        _swap(module)


def _note(what: str) -> None:
    with open(os.environ["CAS_SWAP_LOG"], "a") as log:
        log.write(f"{what} {os.getpid()}\n")


def _swap(server: Any) -> None:
    from ioc.cas.connection import Connection
    from ioc.cas.context import Context

    class Swapped(Context):
        async def start(self) -> None:
            _note("started")
            await super().start()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("caproto's own asyncio server was about to run")

    abort = Connection.abort

    def noted_abort(connection: Connection) -> None:
        if not connection.context.stopping:
            _note("disconnected")
        abort(connection)

    Connection.abort = noted_abort  # type: ignore[method-assign]
    own = server.Context
    assert issubclass(Context, own)
    own.run = own.server_accept_loop = refuse
    server.Context = Swapped


if os.environ.get("CAS_SWAP") != "no":
    sys.meta_path.insert(0, _Swap())
