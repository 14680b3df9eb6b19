"""The application: the rooms of the console behind one door.

Each room has ``routes(console)``: the addresses that it answers.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from guardian.console import code, events, history, log, login, nodes, orders, pages, pictures, ways
from guardian.console.addresses import Addresses
from guardian.console.console import Console, ProblemError
from guardian.console.guard import Guard, refusal

ROOMS = (pages, login, nodes, pictures, ways, orders, events, history, log, code)


def build(console: Console, addresses: Addresses) -> ASGIApp:
    """All of it, for a server."""
    routes = [route for room in ROOMS for route in room.routes(console)]
    app = Starlette(routes=routes, exception_handlers={ProblemError: _told, HTTPException: _none, Exception: _broken})
    app.router.redirect_slashes = False
    return Guard(app, addresses, console.logins)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return refusal(request.headers, error.status, error.says)


async def _none(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    why = {404: "there is nothing at this address", 405: f"this address does not answer to {request.method}"}
    return refusal(request.headers, error.status_code, why.get(error.status_code, error.detail))


async def _broken(request: Request, _: Exception) -> Response:
    return refusal(request.headers, 500, "a fault of the console, its log says more: please report it")
