"""The pages themselves: one shell for all of them, the files it is made of, and the socket that fills it.

A page is told apart by its address in the browser; the server hands out the same shell for each, so that an address can
be pasted into a logbook.
"""

from __future__ import annotations

import time
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from guardian._version import __version__
from guardian.console.console import Console
from guardian.console.feed import Feed

STATIC = Path(__file__).parent / "static"
#: Addresses of pages. What else is asked for is not there.
PAGES = (
    "/", "/tree", "/events", "/history", "/log", "/help", "/n/{node}", "/n/{node}/graph", "/n/{node}/states",
    "/n/{node}/events", "/n/{node}/history", "/n/{node}/log", "/n/{node}/code", "/n/{node}/pvs",
)  # fmt: skip


def routes(console: Console) -> list[BaseRoute]:
    """The shell, its files, and the socket."""

    async def shell(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def about(request: Request) -> Response:
        person, session = request.state.person, request.state.session
        told = {
            "title": console.title,
            "version": __version__,
            "now": time.time(),
            "nodes": len(console.board.cells),
            "writes": console.logins is not None,
            "login": console.logins is not None,
            "user": person and person.name,
            "role": person and person.role.word,
            "csrf": session and session.csrf,
        }
        return JSONResponse(told)

    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        await Feed(socket, console.board).run()

    return [
        *(Route(path, shell) for path in PAGES),
        Route("/api/about", about),
        WebSocketRoute("/feed", feed),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
