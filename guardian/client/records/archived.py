"""Reading the archive of code (`guardian.host.archive`): where it is, which commits a node has, and what is in them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guardian.core.sources import DIGITS, STATES
from guardian.core.when import utc
from guardian.errors import ExpectedError
from guardian.host.repository import GitError, Repository

_FORMAT = "%H%x00%at%x00%an%x00%s"
_ID = re.compile(r"[0-9a-fA-F]{4,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One load of one node.

    Parameters
    ----------
    id : of the commit, whole. at : epoch seconds of the load. by : who asked for it; the node itself if nobody did.
    subject : the sentence that says what was loaded.
    """

    node: str
    id: str
    at: float
    by: str
    subject: str

    @property
    def short(self) -> str:
        """As ARCHIVE_ID shows it."""
        return self.id[:DIGITS]

    def facts(self) -> dict[str, Any]:
        """For --json."""
        return {"node": self.node, "id": self.id, "at": self.at, "by": self.by, "text": self.subject}

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by != self.node else ""
        return f"{self.short}, loaded {utc(self.at)}{by}"


class Archive:
    """The archive of one site, as one node is concerned."""

    def __init__(self, path: Path, node: str) -> None:
        self.path = path
        self._node = node
        self._branch = f"refs/heads/{node}"
        self._repository = Repository(path)

    def has_node(self) -> bool:
        """Whether there is anything of it.

        Raises
        ------
        ExpectedError
            Nobody can tell.
        """
        try:
            there = self._repository.exists()
        except OSError as error:
            raise ExpectedError(f"{self.path}: {error.strerror}; ask as the user of its host") from None
        return there and bool(self._git("for-each-ref", "--count=1", self._branch))

    def commit(self, id_: str = "") -> Commit:
        """The commit of that ARCHIVE_ID, "": the last one.

        Raises
        ------
        ExpectedError
        """
        if id_ and not _ID.fullmatch(id_):
            raise ExpectedError(
                f"{id_!r} is no ARCHIVE_ID: hexadecimal digits; `guardutil log {self._node}` lists them"
            )
        found = self._log("-1", f"{id_}^{{commit}}" if id_ else self._branch, quiet=bool(id_))
        if not found:
            raise ExpectedError(
                f"{id_} is not in {self.path}; `guardutil log {self._node}` lists what is, --site or --state-dir names "
                "another archive"
            )
        return found[0]

    def at(self, epoch: float) -> Commit | None:
        """What ran at that time; None: the first load was later.

        Raises
        ------
        ExpectedError
        """
        found = self._log("-1", f"--min-age={max(int(epoch), 0)}", self._branch)  # git ignores one before 1970
        return found[0] if found else None

    def first(self) -> Commit:
        """The oldest one.

        Raises
        ------
        ExpectedError
        """
        return self._log("--max-parents=0", self._branch)[-1]

    def log(self, most: int) -> list[Commit]:
        """The newest commits, the newest first; 0: all."""
        return self._log(*([f"-{most}"] if most else []), self._branch)

    def states(self, commit: Commit) -> dict[str, Any]:
        """What ``states.json`` says.

        Raises
        ------
        ExpectedError
        """
        try:
            (found,) = self._repository.objects([f"{commit.id}:{STATES}"])
            document = json.loads(found[1]) if found is not None else None
        except (GitError, ValueError) as error:
            raise ExpectedError(f"{self.path}: {error}") from None
        if not isinstance(document, dict):
            raise ExpectedError(f"{commit.short} in {self.path} has no {STATES}: somebody else has made it")
        return document

    def files(self, commit: Commit) -> dict[str, tuple[str, bytes]]:
        """By names: where each file lay, and what was in it.

        Raises
        ------
        ExpectedError
        """
        document = self.states(commit)
        lost = document.get("lost", ())
        files = {name: file for name, file in document.get("files", {}).items() if name not in lost}
        try:
            contents = self._repository.objects([file["blob"] for file in files.values()])
        except GitError as error:
            raise ExpectedError(f"{self.path}: {error.strerror}") from None
        return {
            name: (file["path"], content[1])
            for (name, file), content in zip(files.items(), contents, strict=True)
            if content is not None
        }

    def unkept(self, commit: Commit) -> dict[str, str]:
        """Files that could not be kept, mostly as they are too large, by their paths: the names of their contents.

        Raises
        ------
        ExpectedError
        """
        document = self.states(commit)
        lost = [document["files"][name] for name in document.get("lost", ())]
        return {**document.get("left_out", {}), **{file["path"]: file["blob"] for file in lost}}

    def _log(self, *words: str, quiet: bool = False) -> list[Commit]:
        try:
            told = self._repository.run("log", f"--format={_FORMAT}", *words, "--")
        except GitError as error:
            if quiet:
                return []
            raise ExpectedError(f"{self.path}: {error.strerror}") from None
        found = []
        for line in filter(None, told.decode(errors="replace").split("\n")):  # a name may have a break of another kind
            id_, at, by, subject = line.split("\0", 3)
            found.append(Commit(node=self._node, id=id_, at=float(at), by=by, subject=subject))
        return found

    def _git(self, *words: str) -> bytes:
        try:
            return self._repository.run(*words)
        except GitError as error:
            raise ExpectedError(f"{self.path}: {error.strerror}") from None
