"""The log files of one host, and of which nodes they are.

Each node has files of its own. Where a site keeps none (``files = false``), its ``log = FILE`` has the lines of all
nodes, and those that are wanted are picked from it.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from guardian.errors import ExpectedError
from guardian.host.logfolder import NodeFile, node_files
from guardian.host.rotation import aside, moment

Files = dict[str, list[NodeFile]]
#: So often a folder is looked at, at most.
_LOOKS = 10


def fits(patterns: Sequence[str], name: str) -> bool:
    """Whether a node is one of those that were named."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one host keeps its log: a folder with files for each node, or one file for all."""

    folder: Path | None = None
    stream: Path | None = None

    def files(self, patterns: Sequence[str]) -> dict[str, list[NodeFile]]:
        """The files to be read, by node or by the one file for all; the oldest first.

        A file that is put aside in this moment may be seen under neither of its names: so who looks looks again, until
        nothing has changed.

        Raises
        ------
        ExpectedError
        """
        found: Files = {}
        try:
            for _ in range(_LOOKS):
                before, found = found, self._look(patterns)
                if _known(before) == _known(found):
                    break
        except OSError as error:
            raise ExpectedError(f"{self}: {error.strerror}") from None
        return found

    def _look(self, patterns: Sequence[str]) -> Files:
        if self.folder is not None:
            return {node: files for node, files in node_files(self.folder).items() if fits(patterns, node)}
        assert self.stream is not None
        files = [file for path in (*aside(self.stream), self.stream) if (file := self._as_found(path))]
        return {str(self.stream): files} if files else {}

    def nodes(self) -> list[str]:
        """The nodes of which there are lines, as far as that is told by names of files."""
        try:
            return [] if self.folder is None else sorted(node_files(self.folder))
        except OSError:
            return []

    def picks(self, patterns: Sequence[str]) -> Callable[[bytes], bool]:
        """Whether a line is one of these nodes, in files that have others too."""
        if self.folder is not None:
            return lambda _: True
        return lambda line: fits(patterns, line.split(b" ", 2)[1].decode("utf-8", "replace"))

    def _as_found(self, path: Path) -> NodeFile | None:
        assert self.stream is not None
        growing = path == self.stream
        with contextlib.suppress(FileNotFoundError):  # put aside or removed this moment
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                return NodeFile(
                    node="", path=path, growing=growing, size=status.st_size, inode=status.st_ino,
                    aside=("", 0) if growing else moment(self.stream, path),
                )  # fmt: skip
        return None

    def __str__(self) -> str:
        return str(self.folder or self.stream)


def _known(found: Files) -> set[tuple[Path, int]]:
    return {(file.path, file.inode) for files in found.values() for file in files}
