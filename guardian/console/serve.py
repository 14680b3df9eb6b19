"""A console that runs: its channels, its board and its server, in one loop, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from guardian.client.names import Names
from guardian.client.watch import Watch
from guardian.console.addresses import Addresses
from guardian.console.app import build
from guardian.console.board import Board
from guardian.console.console import Console
from guardian.console.documents import Documents
from guardian.console.finder import Finder
from guardian.console.logins import Logins
from guardian.console.patience import Crowd, PatientProtocol, PatientSocket
from guardian.console.users import Users
from guardian.errors import ExpectedError

#: News of PVs come to the board at most so often.
PACE_S = 0.05
ANSWER_S = 3.0
#: Connections that are taken before the loop does something else, and those that the kernel keeps for it meanwhile.
AT_ONCE, QUEUED = 50, 1000
#: What pages say is short.
SOCKET_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says.

    Parameters
    ----------
    nodes : that are there in any case. address, port : where pages are served; port 0: a free one.
    origins : of proxies in front. users : who may write; None: nobody.
    folders : see `guardian.console.console.Console`.
    """

    title: str
    names: Names
    nodes: Sequence[str]
    address: str
    port: int
    origins: Sequence[str]
    users: Users | None
    folders: Callable[[], list[Path]]


def listen(address: str, port: int) -> socket.socket:
    """The socket of the server, before anything else is begun.

    Raises
    ------
    ExpectedError
        It is taken, or no address of this machine.
    """
    try:
        family, kind, proto, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(100)
    except OSError as error:
        why = error.strerror or error
        raise ExpectedError(f"cannot listen at {address} port {port}: {why}; give another --port or --host") from None
    return sock


async def run(wanted: Wanted, sock: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Parameters
    ----------
    ready : called once the server answers.
    """
    board = Board(wanted.names)
    watch = Watch(board.hear, pace_s=PACE_S, answer_s=ANSWER_S)
    board.attach(watch)
    finder = Finder(board, watch, wanted.names, wanted.nodes)
    console = Console(
        title=wanted.title,
        names=wanted.names,
        board=board,
        watch=watch,
        documents=Documents(board, watch),
        folders=wanted.folders,
        logins=None if wanted.users is None else Logins(wanted.users),
    )
    server = _Server(
        uvicorn.Config(
            build(console, Addresses([wanted.address], wanted.origins)),
            http=PatientProtocol,
            ws=PatientSocket,
            ws_max_size=SOCKET_BYTES,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=AT_ONCE,
            # Who asks is what a proxy on this machine says, where there is one. Else anybody here could say anything.
            proxy_headers=bool(wanted.origins),
            forwarded_allow_ips=["127.0.0.1", "::1"],
            timeout_graceful_shutdown=2,
        ),
        ready,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.end)
    search = asyncio.create_task(finder.run())
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await asyncio.wait((search, serving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.end()
        await serving
        search.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await search
        await watch.close()


class _Server(uvicorn.Server):
    """uvicorn, with its signals left to us."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self.server_state: Crowd = Crowd()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or []:
            sock.listen(QUEUED)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # a second
            self.server_state.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    def end(self) -> None:
        self.should_exit = True
