"""What every request passes before a room sees it, and what every answer is given on its way out.

============  ========================================================================================================
every one     is asked for by an address of this console, not by a name that somebody else lets point here
a WebSocket   is opened by a page of this console (``Origin``), and there are not too many of them
a POST        is small, JSON, and sent by a page of this console; all but the login by somebody who has logged in (the
              cookie), from a page that was told so (``X-Guardian-CSRF``), and who is no viewer
============  ========================================================================================================

A room below ``/api`` finds the person in ``request.state.person`` (None: nobody), and may rely on a body that is a JSON
object. What else than an operator a write needs is the room's to say.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardian.console.addresses import Addresses
from guardian.console.console import ProblemError
from guardian.console.logins import BusyError, Logins
from guardian.console.people import Person, Role
from guardian.core.texts import clip, printable

LOGIN, LOGOUT = "/api/login", "/api/logout"
METHODS = ("GET", "HEAD", "POST")
CSRF = "x-guardian-csrf"
READ_ONLY = (
    "this console only shows, nothing can be written here: whoever runs it may start it with --allow-write --users FILE"
)
#: What a page sends is short, and comes at once.
MOST_BYTES, BODY_S = 65536, 10.0
MOST_FEEDS = 200
#: Nothing but what this console serves is loaded or asked for by its pages, and no page of others has it in a frame.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


def refusal(headers: Headers, status: int, says: str) -> Response:
    """Why not: for a page in JSON, for somebody who has typed an address in plain words."""
    mode = headers.get("sec-fetch-mode")
    if mode == "navigate" or (mode is None and "text/html" in headers.get("accept", "")):
        return PlainTextResponse(f"{says}\n", status)
    return JSONResponse({"error": says}, status)


def cookie_name(scope: Scope) -> str:
    """Of the session. Consoles at other ports of one machine have others, as browsers do not tell ports apart."""
    origin: str = scope["state"]["origin"]
    parts = urlsplit(origin)
    name = f"guardian-{parts.port or parts.scheme}"
    return f"__Host-{name}" if is_secure(scope) else name


def is_secure(scope: Scope) -> bool:
    """Whether the page was served by https."""
    origin: str = scope["state"]["origin"]
    return origin.startswith("https:")


class Guard:
    """In front of all rooms.

    Parameters
    ----------
    addresses : of this console. logins : None: nobody may write.
    """

    def __init__(self, app: ASGIApp, addresses: Addresses, logins: Logins | None) -> None:
        self._app = app
        self._addresses = addresses
        self._logins = logins
        self._feeds = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        scope.setdefault("state", {})
        try:
            if scope["type"] == "websocket":
                self._admit_feed(scope, headers)
            else:
                send = _dressing(scope, send)
                receive = await self._admit(scope, headers, receive)
        except ProblemError as problem:
            await refusal(headers, problem.status, problem.says)(scope, receive, send)
            return
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        self._feeds += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._feeds -= 1

    def _admit_feed(self, scope: Scope, headers: Headers) -> None:
        self._check_address(scope, headers)
        _check_origin(scope, headers)
        if self._feeds >= MOST_FEEDS:
            raise ProblemError(503, f"{MOST_FEEDS} pages of this console are open, which is all it serves: close some")

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """What the room is to receive from."""
        method: str = scope["method"]
        if method not in METHODS:
            raise ProblemError(405, f"nothing here answers to {clip(printable(method), 20)}: only {', '.join(METHODS)}")
        if method == "POST":
            body = await _body(headers, receive)
            receive = _again(body or b"{}", receive)
        elif headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise ProblemError(400, f"a {method} has no body")
        if not scope["path"].isprintable():
            raise ProblemError(400, "no address has such characters in it")
        self._check_address(scope, headers)
        if method == "POST":
            _check_origin(scope, headers)
            _check_json(headers, body)
        await self._recognise(scope)
        if method == "POST" and scope["path"] != LOGIN:
            self._check_person(scope, headers)
        return receive

    def _check_address(self, scope: Scope, headers: Headers) -> None:
        host = _one(headers, "host")
        origin = self._addresses.origin_of(host or "", scope.get("server"))
        if origin is None:
            raise ProblemError(
                421,
                f"this console is not known as {clip(printable(host or 'nothing'), 100)!r}: ask for it by an address "
                "of its machine, or start it with --origin and the address that pages are to be asked for by",
            )
        scope["state"]["origin"] = origin

    async def _recognise(self, scope: Scope) -> None:
        state = scope["state"]
        state["person"] = state["session"] = None
        if self._logins is None:
            return
        if scope["method"] != "POST" and not scope["path"].startswith("/api/"):  # pages are the same for everybody
            return
        given = Request(scope).cookies.get(cookie_name(scope))
        if given is None:
            return
        try:
            await self._logins.look()
        except BusyError as error:
            raise ProblemError(503, str(error)) from None
        if (found := self._logins.who(given)) is not None:
            state["person"], state["session"] = found

    def _check_person(self, scope: Scope, headers: Headers) -> None:
        state = scope["state"]
        if self._logins is None:
            raise ProblemError(403, READ_ONLY)
        if state["session"] is None:
            raise ProblemError(401, "nobody is logged in here (any more): log in first")
        if not hmac.compare_digest((_one(headers, CSRF) or "").encode(), state["session"].csrf.encode()):
            raise ProblemError(403, "this page is not the one that logged in: load it anew, and do it again")
        person: Person = state["person"]
        if scope["path"] != LOGOUT and person.role < Role.OPERATOR:
            raise ProblemError(
                403, f"{person.name} is logged in as {person.role.word}, who writes nothing: it takes an operator"
            )


def _check_origin(scope: Scope, headers: Headers) -> None:
    own, origin = scope["state"]["origin"], _one(headers, "origin")
    if origin is None:
        raise ProblemError(
            403, f"it is not said which page asks, so it is not done: a program has to send the header Origin: {own}"
        )
    if origin != own:
        raise ProblemError(
            403,
            f"a page of {clip(printable(origin), 100)} asks, and only pages of {own} may: open the console there. A "
            "proxy in front of it has to pass on Host, and the console needs --origin with the address of the proxy",
        )


def _check_json(headers: Headers, body: bytes) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(415, "what is posted here is JSON: send the header Content-Type: application/json")
    try:
        told = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise ProblemError(400, "what was posted is no JSON object")


async def _body(headers: Headers, receive: Receive) -> bytes:
    """All of it."""
    length = headers.get("content-length", "0")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            more = int(length) <= MOST_BYTES
            while more and len(body) <= MOST_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ProblemError(400, "what was posted was not sent to its end")
                body += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        raise ProblemError(408, f"what was posted has not come within {BODY_S:g} s: try again") from None
    if len(body) > MOST_BYTES or int(length) > MOST_BYTES:
        raise ProblemError(413, f"what was posted is larger than {MOST_BYTES} bytes, which nothing here needs")
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that has been read, once, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _dressing(scope: Scope, send: Send) -> Send:
    """Sends with the headers that every answer has."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            if scope["path"].startswith("/api"):
                headers.setdefault("Cache-Control", "no-store")
            else:
                headers.setdefault("Cache-Control", "no-cache")
        await send(message)

    return dressed


def _one(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else None
