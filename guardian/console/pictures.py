"""The graph of a node as a picture, by Graphviz ``dot``, as the host of the console has it.

A picture is drawn once for all pages, and what moves in it is shown by the page: states and edges have ids. Few are
drawn at the same time, as drawing takes a core, and those drawn last are kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from guardian.client.dot import draw
from guardian.console.console import Console, ProblemError
from guardian.core.drawing import dot_text
from guardian.core.focus import WHOLE_UP_TO, focus
from guardian.errors import ExpectedError, GuardianError

AT_ONCE = 2
DEADLINE_S = 10.0
#: Pictures that are kept; the largest have some hundred kB.
KEPT = 100
#: What could not be drawn is not tried again for so long.
PAUSE_S = 30.0
VIEWS = ("whole", "focus")


def routes(console: Console) -> list[BaseRoute]:
    """The picture of a node."""
    pictures = Pictures()

    async def picture(request: Request) -> Response:
        cell = console.cell(request.path_params["node"])
        try:
            graph, said = await console.documents.graph(cell.node), cell.facts
        except ExpectedError as error:
            raise ProblemError(409, f"there is no picture of {cell.node}: {error}; try again") from None
        if graph is None:
            why = "its code is not loaded" if said.ours else "an original Guardian's" if said.there else said.reason
            raise ProblemError(409, f"there is no picture of {cell.node}: it does not tell its graph ({why})")
        view = request.query_params.get("view") or VIEWS[len(graph.states) > WHOLE_UP_TO]
        if view not in VIEWS:
            raise ProblemError(400, f"view={view[:40]!r} is none of {', '.join(VIEWS)}")
        part = focus(graph, state=said.state, target=said.target, request=said.request) if view == "focus" else None
        text = dot_text(graph, name=cell.node, nominal=said.nominal or None, focus=part)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        return Response(await pictures.draw(text), media_type="image/svg+xml", headers=headers)

    return [Route("/api/nodes/{node}/graph.svg", picture)]


class Pictures:
    """Draws, and keeps."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._kept: OrderedDict[str, asyncio.Task[bytes]] = OrderedDict()
        self._failed: dict[str, tuple[float, str]] = {}

    async def draw(self, text: str) -> bytes:
        """The SVG of a DOT text.

        Raises
        ------
        ProblemError
            It cannot be drawn here.
        """
        until, why = self._failed.get(text, (0.0, ""))
        if time.monotonic() < until:
            raise ProblemError(503, why)
        if text not in self._kept:
            drawing = self._kept[text] = asyncio.create_task(self._draw(text))
            drawing.add_done_callback(partial(self._drop_failed, text))
        self._kept.move_to_end(text)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return await asyncio.shield(self._kept[text])

    async def _draw(self, text: str) -> bytes:
        async with self._turn:
            try:
                return await asyncio.to_thread(draw, text, "svg", timeout_s=DEADLINE_S)
            except GuardianError as error:
                now = time.monotonic()
                self._failed = {text: told for text, told in self._failed.items() if told[0] > now}
                self._failed[text] = now + PAUSE_S, str(error)
                raise ProblemError(503, str(error)) from None

    def _drop_failed(self, text: str, drawing: asyncio.Task[bytes]) -> None:
        """Whatever it failed of: who asks next may get it."""
        failed = drawing.cancelled() or drawing.exception() is not None
        if failed and self._kept.get(text) is drawing:
            del self._kept[text]
