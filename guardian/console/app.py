"""The application: the rooms of the console behind one door.

Each room has ``routes(console)``: the addresses that it answers.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from guardian.console import code, events, history, log, pages
from guardian.console.console import Console, ProblemError

ROOMS = (events, history, log, code, pages)


def build(console: Console) -> Starlette:
    """All of it, for a server."""
    routes = [route for room in ROOMS for route in room.routes(console)]
    return Starlette(routes=routes, exception_handlers={ProblemError: _told})


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return JSONResponse({"error": error.says}, status_code=error.status)
