"""GET /api/log: what nodes and their code have said, from the log files on this machine; the newest first."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from guardian.client.records.find_lines import Lines, LinesAsked, find_apart, find_lines
from guardian.client.records.within import Bound
from guardian.console import asked
from guardian.console.console import Console
from guardian.console.elsewhere import Here, here, why_not_here
from guardian.console.problem import ProblemError
from guardian.enums import LogLevel
from guardian.errors import ExpectedError

USUAL, MOST = 500, 2000


def routes(console: Console) -> list[BaseRoute]:
    """The one address."""

    async def log(request: Request) -> Response:
        since, until = asked.span(request)
        wanted = LinesAsked(
            nodes=asked.names(request, "node") or ("*",),
            level=asked.choice(request, "level", LogLevel.DEBUG.name, [level.name for level in LogLevel]),
            text=asked.text(request, "text"),
            regex=request.query_params.get("regex", "") not in ("", "0"),
            since=since,
            until=until,
            before=asked.before(request),
            most=asked.number(request, "limit", usual=USUAL, most=MOST),
        )
        now, exact = time.time(), asked.exact(wanted.nodes)

        def read(bound: Bound) -> tuple[Lines, Here]:
            lines = _read(console, wanted, bound)
            return lines, here(console, exact, lines.nodes)

        lines, found = await console.desk.read(request, read)
        says = [*lines.said, *await why_not_here(console, exact, found)]
        before = lines.page.before
        told: dict[str, Any] = {"lines": lines.page.found, "more": before is not None}
        told |= {"before": None if before is None else str(before), "now": now, "says": says}
        return JSONResponse(told)

    return [Route("/api/log", log)]


def _read(console: Console, wanted: LinesAsked, bound: Bound) -> Lines:
    find = find_apart if wanted.regex and wanted.text else find_lines
    try:
        return find(console.folders(), wanted, bound)
    except ExpectedError as error:
        raise ProblemError(400, str(error)) from None
