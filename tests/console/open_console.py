"""A console that believes who a header says is in front of it: for tests of what persons may do, without the doors."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from guardian.cli import console as command
from guardian.console import app, serve
from guardian.console.people import Person, Role


class Believing:
    """``X-Person: ann operator``."""

    def __init__(self, inside: ASGIApp) -> None:
        self._inside = inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = dict(scope.get("headers", ())).get(b"x-person", b"").decode().split()
        if said:
            scope.setdefault("state", {})["person"] = Person(said[0], Role[said[1].upper()])
        await self._inside(scope, receive, send)


if __name__ == "__main__":
    serve.build = lambda console: Believing(app.build(console))  # type: ignore[assignment]
    raise SystemExit(command.main())
