"""The one WebSocket of a page: what is on the board, first all of it, then what changes.

Messages, each a JSON object; ``t`` says which it is:

========  ============================================================================================================
``snap``  all nodes: ``seq``, ``at`` (epoch seconds of the server), ``cells``
``delta`` what changed since the message before: ``seq``, ``at``, ``cells``, ``gone`` (names)
``rows``  PVs of the node that this page shows: ``node``, ``rows`` {name: {text, severity, stamp}}; only what changed
``beat``  nothing changed for :data:`BEAT_S` or so, and the console lives: ``seq``, ``at``
========  ============================================================================================================

A page says ``{"show": "NODE"}`` for the rows of a node, ``{"show": null}`` for those of none. A node that is not known
yet, as when the console has just started, is shown as soon as it is.

A page that reads slowly gets the latest, later: nothing is queued for it, as each message is made when the one before
has left. One that reads nothing for :data:`STUCK_S` is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from guardian.console.board import Board

#: At most so often; at least so often.
PACE_S, BEAT_S = 0.05, 2.0
STUCK_S, CLOSE_S = 20.0, 1.0
#: Of what a page says: it has little to say.
MOST_BYTES = 4096


class Feed:
    """One page."""

    def __init__(self, socket: WebSocket, board: Board) -> None:
        self._socket = socket
        self._board = board
        self._sent = -1
        self._wanted: str | None = None
        self._node: str | None = None
        self._shown = contextlib.ExitStack()
        self._rows_sent = -1
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Until the page goes, or reads nothing any more."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tell())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._shown.close()
            if self._socket.application_state is WebSocketState.CONNECTED:
                with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
                    await asyncio.wait_for(self._socket.close(), CLOSE_S)

    async def _listen(self) -> None:
        while True:
            try:
                said = await self._socket.receive_text()
            except (WebSocketDisconnect, RuntimeError, KeyError):
                return
            try:
                node = json.loads(said[:MOST_BYTES])["show"]
            except (ValueError, TypeError, KeyError, RecursionError):
                return
            self._wanted = node if isinstance(node, str) else None
            self._hide()
            self._asked.set()

    def _hide(self) -> None:
        self._shown.close()
        self._node, self._rows_sent = None, -1

    def _show(self) -> None:
        """The node that is wanted, once there is one of this name."""
        if self._node is None and self._wanted in self._board.cells:
            self._node = self._wanted
            self._shown.enter_context(self._board.showing(self._node))

    async def _tell(self) -> None:
        told = float("-inf")
        with self._board.waiting() as changed:
            self._asked = changed
            while True:
                changed.clear()
                self._show()
                messages = [text for text in (self._cells(), self._rows()) if text]
                if not messages and time.monotonic() - told >= BEAT_S - PACE_S:
                    messages = [self._message("beat")]
                for text in messages:
                    if not await self._send(text):
                        return
                    told = time.monotonic()
                await asyncio.sleep(PACE_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), BEAT_S - PACE_S)

    async def _send(self, text: str) -> bool:
        try:
            await asyncio.wait_for(self._socket.send_text(text), STUCK_S)
        except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            return False
        return True

    def _cells(self) -> str:
        board, since = self._board, self._sent
        self._sent = board.seq
        cells = ",".join(cell.text for cell in board.cells.values() if cell.seq > since)
        if since < 0:
            return self._message("snap", f',"cells":[{cells}]')
        gone = [node for node, seq in board.gone.items() if seq > since]
        return self._message("delta", f',"cells":[{cells}],"gone":{json.dumps(gone)}') if cells or gone else ""

    def _rows(self) -> str:
        if self._node is None:
            return ""
        since, self._rows_sent = self._rows_sent, self._board.seq
        rows = self._board.rows(self._node, since)
        if not rows:
            return ""
        told: dict[str, Any] = {
            name: {"text": row.text, "severity": row.severity, "stamp": row.stamp} for name, row in rows.items()
        }
        return self._message("rows", f',"node":{json.dumps(self._node)},"rows":{json.dumps(told)}')

    def _message(self, kind: str, more: str = "") -> str:
        return f'{{"t":"{kind}","seq":{self._board.seq},"at":{time.time():.3f}{more}}}'
