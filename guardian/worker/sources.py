"""Tells the host which files of the user run, and what is in them: what was compiled, not what lies on disk by then.

A content is told once by a worker, and not at all if the host has it. So a load costs a line with names, and what was
edited since the last one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from guardian.core.events import Sources
from guardian.core.sources import LARGEST_BYTES, SourceFile, pack
from guardian.worker import source

#: A line is about so long: packed bytes, and files.
LINE_BYTES, LINE_FILES = 200_000, 200


class Telling:
    """What the host was told so far.

    Parameters
    ----------
    archived : names of contents that it has. send : hands a report to it. shield : held meanwhile, see `Interrupter`.
    """

    def __init__(
        self,
        archived: Iterable[str],
        send: Callable[[Sources], None],
        shield: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._known = set(archived)
        self._send = send
        self._shield = shield
        self._compiled = 0
        self._told: dict[str, str] = {}

    def loaded(self) -> None:
        """The code was read, and is about to be told of."""
        self._tell(late=False)

    def called(self) -> None:
        """A method was called, and may have imported something."""
        if source.compiled() != self._compiled:
            self._tell(late=True)

    def _tell(self, *, late: bool) -> None:
        with self._shield():
            self._compiled = source.compiled()
            loaders = source.loaders()
            now = {loader.path: loader.blob for loader in loaders}
            if late and now.items() <= self._told.items():
                return
            self._told = now
            for files, more in _lines(map(self._file, loaders)):
                self._send(Sources(files=files, more=more, late=late))

    def _file(self, loader: source.SourceLoader) -> SourceFile:
        place, name = source.place_of(loader.path)
        data, loader.data = loader.data, None
        send = data is not None and loader.blob not in self._known and loader.size <= LARGEST_BYTES
        self._known.add(loader.blob)
        return SourceFile(
            path=loader.path,
            place=place,
            name=name.replace(os.sep, "/"),
            blob=loader.blob,
            size=loader.size,
            packed=pack(data) if send and data is not None else None,
        )


def _lines(files: Iterator[SourceFile]) -> Iterator[tuple[tuple[SourceFile, ...], bool]]:
    """Together as many as make a line, and whether more follow."""
    line: list[SourceFile] = []
    waiting = 0
    for file in files:
        if line and (waiting > LINE_BYTES or len(line) >= LINE_FILES):
            yield tuple(line), True
            line, waiting = [], 0
        line.append(file)
        waiting += len(file.packed or b"")
    yield tuple(line), False
