"""``guardian-console``, with its users file on a disk that hangs as soon as the file is looked at again."""

from __future__ import annotations

import threading

from guardian.cli.console import main
from guardian.console.users import Users


def hang(_: Users) -> None:
    threading.Event().wait()


if __name__ == "__main__":
    Users.look = hang  # type: ignore[method-assign]
    raise SystemExit(main())
