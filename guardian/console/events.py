"""GET /api/events: what nodes did, and who wrote what, from the journals on this machine; the newest first."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from guardian.client.records.find_events import EventsAsked, find_events
from guardian.client.records.journals import Journals
from guardian.client.records.within import Bound
from guardian.console import asked
from guardian.console.console import Console
from guardian.console.elsewhere import Here, here, why_not_here
from guardian.errors import ExpectedError

USUAL, MOST = 200, 1000
#: A packed file is read backward if it has no more bytes.
PACKED_BYTES = 64_000_000


def routes(console: Console) -> list[BaseRoute]:
    """The one address."""

    async def events(request: Request) -> Response:
        since, until = asked.span(request)
        wanted = EventsAsked(
            nodes=asked.names(request, "node"),
            kinds=asked.names(request, "kind"),
            who=asked.text(request, "who"),
            text=asked.text(request, "text"),
            since=since,
            until=until,
            before=asked.before(request),
            most=asked.number(request, "limit", usual=USUAL, most=MOST),
        )
        exact = asked.exact(wanted.nodes)

        def read(bound: Bound) -> tuple[dict[str, Any], Here]:
            told = _read(console, wanted, bound)
            return told, here(console, exact, [record["node"] for record in told["records"]])

        told, found = await console.desk.read(request, read)
        told["says"] += await why_not_here(console, exact, found)
        return JSONResponse(told)

    return [Route("/api/events", events)]


def _read(console: Console, wanted: EventsAsked, bound: Bound) -> dict[str, Any]:
    said: list[str] = []
    told: dict[str, Any] = {"records": [], "more": False, "before": None, "begin": None, "says": said}
    told["now"] = time.time()
    try:
        journals = Journals(console.folders(), said.append, packed_bytes=PACKED_BYTES)
    except ExpectedError:
        said.append("no host of this machine has a journal that this console may read")
        return told
    with closing(journals):
        try:
            page = find_events(journals, wanted, bound)
        except ExpectedError as error:
            said.append(str(error))
            return told
        told |= {"records": page.found, "more": page.before is not None, "begin": journals.begin()}
        told["before"] = None if page.before is None else str(page.before)
    if journals.damaged:
        said.append(f"damaged lines that were passed over: {journals.damaged}")
    return told
