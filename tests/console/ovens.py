"""A host with an oven that did something of everything, and what is in its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support import PutRefusedError, eventually
from tests.system.hosting import Guardhost

#: What a person may have written into the code, to see whether a page believes it.
HOSTILE = "<img src=x onerror=alert(1)>\\x1b[31m"
OVEN = f"""\
from guardian import GuardState
nominal = 'HOT'
request = 'COLD'
class DOWN(GuardState):
    goto = True
class COLD(GuardState):
    def main(self):
        log('the oven is cold')
class WARM(GuardState):
    def main(self):
        return 'HOT'
class HOT(GuardState):
    def main(self):
        log('the oven is hot', level='WARNING')
        notify('{HOSTILE}')
        log('{HOSTILE}')
class BAD(GuardState):
    def main(self):
        raise ValueError('{HOSTILE}')
edges = [
    ('INIT', 'COLD'), ('DOWN', 'COLD'), ('COLD', 'WARM'), ('WARM', 'HOT'), ('HOT', 'COLD'), ('COLD', 'BAD'),
]
"""
PLAIN = """\
from guardian import GuardState
class IDLE(GuardState):
    pass
edges = [('INIT', 'IDLE')]
request = 'IDLE'
"""


@contextmanager
def played(folder: Path) -> Iterator[Guardhost]:
    """A host. Its OVEN was heated by a manager, cooled by a person, asked for what is not there, and broken."""
    with Guardhost(folder, {"OVEN": OVEN, "LAMP": PLAIN}) as host:
        _play(host)
        yield host


def _play(host: Guardhost) -> None:
    host.wait("OVEN", "STATE", "COLD")
    host.wait("LAMP", "STATE", "IDLE")
    host.put("OVEN", "REQUEST_CMD", json.dumps({"state": "HOT", "manager": "LAB", "person": "bob", "id": "1"}))
    host.wait("OVEN", "STATE", "HOT")
    host.put("OVEN", "REQUEST_CMD", json.dumps({"state": "COLD", "person": "ann lee", "id": "2"}))
    host.wait("OVEN", "STATE", "COLD")
    with suppress(PutRefusedError):
        host.put("OVEN", "REQUEST", "NOWHERE")
    host.put("OVEN", "REQUEST", "BAD")
    host.wait("OVEN", "STATE", "BAD")
    eventually(lambda: '"error"' in journal(host).read_text(), 30, "the error to be in the journal")
    host.put("OVEN", "REQUEST", "DOWN")
    host.wait("OVEN", "STATE", "DOWN")
    eventually(lambda: '"REDIRECT"' in journal(host).read_text(), 30, "the redirect to be in the journal")


def journal(host: Guardhost) -> Path:
    """Its journal."""
    return host.state_dir / "journal.jsonl"


def records(host: Guardhost) -> list[dict[str, Any]]:
    """All of it, the oldest first."""
    return [json.loads(line) for line in journal(host).read_text().splitlines()]


def older(host: Guardhost, by_s: float) -> str:
    """The lines of its journal, with times so much earlier."""
    return "".join(f"{json.dumps({**one, 'stamp': one['stamp'] - by_s})}\n" for one in records(host))
