"""Logging in and out. Everything else that a door asks is asked by :mod:`guardian.console.guard`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from guardian.console.console import Console, ProblemError
from guardian.console.guard import LOGIN, LOGOUT, READ_ONLY, cookie_name, is_secure
from guardian.console.logins import BusyError
from guardian.errors import ExpectedError


def routes(console: Console) -> list[BaseRoute]:
    """In, and out."""

    async def login(request: Request) -> Response:
        if console.logins is None:
            raise ProblemError(403, READ_ONLY)
        told = await request.json()
        user, token = told.get("user"), told.get("token")
        if not isinstance(user, str) or not isinstance(token, str):
            raise ProblemError(400, 'to log in takes {"user": NAME, "token": TOKEN}, both texts')
        address = request.client.host if request.client else "?"
        try:
            given, person, session = await console.logins.begin(user, token.strip(), address)
        except BusyError as error:
            raise ProblemError(503, str(error)) from None
        except ExpectedError as error:
            raise ProblemError(403, str(error)) from None
        if old := request.cookies.get(cookie_name(request.scope)):
            console.logins.end(old)
        response = JSONResponse({"user": person.name, "role": person.role.word, "csrf": session.csrf})
        response.set_cookie(
            cookie_name(request.scope),
            given,
            path="/",
            secure=is_secure(request.scope),
            httponly=True,
            samesite="strict",
        )
        return response

    async def logout(request: Request) -> Response:
        assert console.logins is not None  # the guard lets nobody else in
        console.logins.end(request.cookies[cookie_name(request.scope)])
        response = JSONResponse({})
        response.delete_cookie(
            cookie_name(request.scope), path="/", secure=is_secure(request.scope), httponly=True, samesite="strict"
        )
        return response

    return [Route(LOGIN, login, methods=["POST"]), Route(LOGOUT, logout, methods=["POST"])]
