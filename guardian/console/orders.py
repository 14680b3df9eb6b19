"""Orders to nodes: a request, with its dangers agreed to, and a write to any row that can be written.

They go out under the name of the person who gives them: by REQUEST_CMD and WRITE_CMD, which nodes keep in their
journals. Channel Access itself names only the user that runs the console. A node without these rows, an original
Guardian's, keeps nothing of the kind; the console's own log is then the only place that names the person.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from guardian.console.console import Console, ProblemError
from guardian.console.people import Person, Role
from guardian.console.ways import Way, way_of
from guardian.core.dangers import Dangers, read_basis
from guardian.core.documents import as_json
from guardian.core.interface import BY_NAME, Asg, Kind, Row
from guardian.core.names import STRING_BYTES
from guardian.core.request_cmd import REASON_BYTES
from guardian.errors import ExpectedError

#: What one has to be to write the rows of a group.
NEEDED = {Asg.OPERATE: Role.OPERATOR, Asg.MANAGE: Role.EXPERT, Asg.EXPERT: Role.EXPERT}
#: Requests have an address of their own, which shows the way first.
_REQUESTS = frozenset({"REQUEST", "REQUEST_N", "REQUEST_CMD", "WRITE_CMD"})
_log = logging.getLogger(__name__)


def routes(console: Console) -> list[BaseRoute]:
    """What changes something."""

    async def request(request: Request) -> Response:
        node = request.path_params["node"]
        person = allowed(request, BY_NAME["REQUEST"], node)
        asked = await request.json()
        state, reason = _text(asked, "state"), _reason(asked)
        way = await way_of(console, node, state)
        if (objection := why_not_now(way, asked)) is not None:
            told = {"error": objection, "way": way.encode()}
            return Response(as_json(told), status_code=409, media_type="application/json")
        id = uuid.uuid4().hex[:12]
        command = {"state": state, "id": id, "person": person.name, **({"reason": reason} if reason else {})}
        if way.facts.ours:
            await write(console, node, "REQUEST_CMD", as_json(command), what=f"{node} was not asked for {state}")
        else:
            _log.warning("%s asks %s for %s%s", person.name, node, state, f", reason: {reason}" if reason else "")
            await write(console, node, "REQUEST", state, what=f"{node} was not asked for {state}")
            id = ""
        return JSONResponse({"asked": True, "id": id})

    async def put(request: Request) -> Response:
        node = request.path_params["node"]
        asked = await request.json()
        row = BY_NAME.get(_text(asked, "row"))
        if row is None or not row.writable or row.name in _REQUESTS:
            rows = ", ".join(name for name, one in BY_NAME.items() if one.writable and name not in _REQUESTS)
            raise ProblemError(400, f"{_text(asked, 'row')[:40]!r} of {node} cannot be written here; {rows} can")
        person = allowed(request, row, node)
        text, reason = value(row, _text(asked, "value")), _reason(asked)
        facts = console.cell(node).facts
        what = f"{node}: {row.name} was not set to {text!r}"
        if not facts.there:
            raise ProblemError(409, f"{what}: it does not answer; start its host, or wait")
        if facts.ours:
            command = {"row": row.name, "value": text, "person": person.name, **({"reason": reason} if reason else {})}
            await write(console, node, "WRITE_CMD", as_json(command), what=what)
        else:
            _log.warning("%s writes %s to %s of %s", person.name, text, row.name, node)
            await write(console, node, row.name, text, what=what)
        return JSONResponse({"written": True})

    return [
        Route("/api/nodes/{node}/request", request, methods=["POST"]),
        Route("/api/nodes/{node}/write", put, methods=["POST"]),
    ]


# -- who may -----------------------------------------------------------------------------------------------------------


def allowed(request: Request, row: Row, node: str) -> Person:
    """Who gives the order.

    Raises
    ------
    ProblemError
        Nobody has logged in, or that one may not.
    """
    person: Person | None = request.state.person
    if person is None:
        raise ProblemError(401, f"{row.name} of {node} was not written: nobody is logged in here; log in first")
    needed = NEEDED[row.asg]
    if person.role < needed:
        raise ProblemError(
            403,
            f"{row.name} of {node} was not written: {person.name} is logged in as {person.role.word}, and it takes "
            f"an {needed.word}",
        )
    return person


# -- what is asked -----------------------------------------------------------------------------------------------------


def _text(asked: Mapping[str, Any], key: str) -> str:
    text = asked.get(key, "")
    if not isinstance(text, str) or not text.isprintable():
        raise ProblemError(400, f"{key!r} is a text without control characters; nothing was written")
    return text


def _reason(asked: Mapping[str, Any]) -> str:
    reason = _text(asked, "reason").strip()
    if (size := len(reason.encode())) > REASON_BYTES:
        raise ProblemError(
            400, f"the reason has {size} bytes, {REASON_BYTES} are kept; nothing was written: shorten it"
        )
    return reason


def value(row: Row, text: str) -> str:
    """A text as the row takes it.

    Raises
    ------
    ProblemError
        It takes no such value.
    """
    text = text.strip()
    if row.labels:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
        if number in range(len(row.labels)):
            return row.labels[number]
        if text not in row.labels:
            raise ProblemError(400, f"{row.name} is one of {', '.join(row.labels)}, not {text[:40]!r}")
    elif row.kind is Kind.STRING and (size := len(text.encode())) > STRING_BYTES:
        raise ProblemError(400, f"{row.name} holds {STRING_BYTES} bytes, and this has {size}; shorten it")
    return text


def why_not_now(way: Way, asked: Mapping[str, Any]) -> str | None:
    """Why an order is not to be carried out as it was agreed to; None if it is.

    What is dangerous takes the name of the node, typed. What has become dangerous since somebody looked takes another
    look, also if the name was typed: it was typed for less.
    """
    node, state = way.facts.node, way.state
    known: Dangers | None = None
    if asked.get("basis") is not None:
        try:
            known = read_basis(asked["basis"])
        except ValueError as error:
            raise ProblemError(400, f"the basis of the order cannot be read: {error}; nothing was written") from None
        if new := list(way.dangers.sentences(known)):
            return f"{node} was not asked for {state}, since meanwhile {'; '.join(new)}. Look at the way as it is now"
    if way.dangers and asked.get("confirm") != node:
        dangerous = "; ".join(way.dangers.sentences())
        return f"{node} was not asked for {state}: {dangerous}. If that is meant, confirm it by the name of the node"
    return None


# -- out to the node ---------------------------------------------------------------------------------------------------


async def write(console: Console, node: str, row: str, text: str, *, what: str) -> None:
    """Write a row, and wait for the answer.

    Raises
    ------
    ProblemError
        The node refused it, with its own reason; or nobody knows whether it was taken.
    """
    ours = console.cell(node).facts.ours
    try:
        refused = await console.watch.write(console.names.pv(node, row), text, node=node, patient=not ours)
    except ExpectedError as error:
        raise ProblemError(504, f"{what}, or nobody knows: {error}; look at the node") from None
    if refused is not None:
        raise ProblemError(409, f"{what}: {refused}")
