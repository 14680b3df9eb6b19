"""How the files of two loads of a node differ, or those of a load and what is on disk now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guardian.client.records.archived import Archive, Commit
from guardian.core.sources import blob_id
from guardian.errors import ExpectedError
from guardian.host.repository import GitError, compare

Files = Mapping[str, tuple[str, bytes]]  #: by names: where each file lies, and what is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file that is otherwise. ``before``, ``after``: its content; None: it is not there. Both: it is not known."""

    name: str
    path: str
    before: bytes | None
    after: bytes | None

    @property
    def unknown(self) -> bool:
        """Its content was not kept, but its name, which tells that it is another one."""
        return self.before is None and self.after is None

    @property
    def how(self) -> str:
        """In a word."""
        if self.unknown:
            return "changed"
        return "new" if self.before is None else "gone" if self.after is None else "changed"


def beside_disk(archive: Archive, commit: Commit) -> list[Difference]:
    """What is otherwise on disk now than it was loaded.

    Raises
    ------
    ExpectedError
        The archive, or a file, cannot be read.
    """
    loaded, unkept = archive.files(commit), archive.unkept(commit)
    now = _on_disk({name: path for name, (path, _) in loaded.items()})
    unkept_now = {path: blob_id(data) for path, data in _on_disk({path: path for path in unkept}).values()}
    return _differences(loaded, now) + _of_unkept(unkept, unkept_now)


def between(archive: Archive, first: Commit, second: Commit) -> list[Difference]:
    """What is otherwise in the second of two loads.

    Raises
    ------
    ExpectedError
        The archive cannot be read.
    """
    return _differences(archive.files(first), archive.files(second)) + _of_unkept(
        archive.unkept(first), archive.unkept(second)
    )


def text_of(found: Sequence[Difference], labels: Sequence[str], *, stat: bool = False, color: bool = False) -> str:
    """As git shows it.

    Raises
    ------
    ExpectedError
        There is no git, or it fails.
    """
    contents = (
        {one.name: one.before for one in found if one.before is not None},
        {one.name: one.after for one in found if one.after is not None},
    )
    try:
        return compare(labels, contents, stat=stat, color=color).decode(errors="backslashreplace")
    except GitError as error:
        raise ExpectedError(error.strerror) from None


def _on_disk(paths: Mapping[str, str]) -> dict[str, tuple[str, bytes]]:
    found = {}
    for name, path in paths.items():
        try:
            if Path(path).is_file():
                found[name] = path, Path(path).read_bytes()
        except FileNotFoundError:  # gone this moment
            continue
        except OSError as error:
            raise ExpectedError(
                f"{path}: {error.strerror}; are you on the machine of the node, and may you read it?"
            ) from None
    return found


def _differences(before: Files, after: Files) -> list[Difference]:
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        path = (new or old or ("",))[0]
        if (old and old[1]) != (new and new[1]):
            found.append(Difference(name=name, path=path, before=old and old[1], after=new and new[1]))
    return found


def _of_unkept(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """That files are otherwise whose content is known by name only."""
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return [Difference(name=path, path=path, before=None, after=None) for path in paths]
