"""The archive of the code that nodes have loaded: a git repository, one branch a node, one commit a load.

A commit holds the files as they were compiled, and ``states.json`` (:mod:`guardian.core.sources`) with the states and
their numbers, and where the files lay. Nothing is committed when nothing is otherwise than in the commit before. The
author is who asked for the load, the date is that of the load.

Written by a lane (:mod:`guardian.host.files`), all that waits at once: one process of git that reads the ends of the
branches, one that looks which contents are there, one that writes. Several hosts may share a repository, also on a
network disk: a node runs in one host, so no two write one branch.

What cannot be written waits in memory and is tried again. If that becomes too much, loads go that were followed by
another one of their node, the oldest first; the message of the next commit counts them. So the code that runs is
archived as soon as it can be, whatever happens.

Invariants: ARCHIVE_ID names a commit that is in the repository, with the code that the node runs. A content that is
said to be there (`contents`) is in the repository or in memory.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import socket
import subprocess
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guardian.core.ailments import Ailment
from guardian.core.sources import DIGITS, LARGEST_BYTES, STATES, SourceFile, blob_id, named, unpack, what_changed
from guardian.core.texts import printable
from guardian.core.threads import Seen
from guardian.enums import Severity
from guardian.host.files import RETRY_S, Clock, Lane, Trouble
from guardian.host.repository import GitError, Repository, quoted

#: What a table of a site file may say.
KEYS: dict[str, type | tuple[type, ...]] = {"dir": str, "enabled": bool}
#: What may wait in memory, but for the last load of each node; bytes, and loads.
WAITING_BYTES, WAITING_LOADS = 32_000_000, 1000
#: Loads that are written together at most.
_TOGETHER = 200
#: Nodes that fail alone, too, before it is left at that.
_FAULTS = 3
#: How often the repository is tidied: after so many commits, or if there was one, after so many seconds.
_TIDY_COMMITS, _TIDY_S = 200, 86400.0
#: Between two looks whether it is time for that, in seconds.
_TICK_S = 60.0
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiving:
    """What a site file says of it. ``dir``: the repository; None: in the state directory."""

    dir: Path | None = None
    enabled: bool = True


def archiving(table: Mapping[str, Any], here: Path) -> Archiving:
    """What ``[archive]`` says; paths are relative to `here`."""
    return Archiving(dir=here / table["dir"] if "dir" in table else None, enabled=table.get("enabled", True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeLoad:
    """What one node has loaded.

    Parameters
    ----------
    by : who asked for it, "" if nobody did. at : epoch seconds. states : content of ``states.json``, which names all
        the others. files : those that were imported. late : nothing was loaded; a method has imported some of them.
    """

    node: str
    by: str
    at: float
    states: bytes
    files: tuple[SourceFile, ...]
    late: bool = False


class Archive:
    """Keeps the code of the nodes of a host. Nothing here waits for a disk but `close`.

    Parameters
    ----------
    directory : of the repository, made when it is first needed. link : a name that is to lead there too.
    enabled : False: nothing is kept, and no node has an ARCHIVE_ID.
    """

    def __init__(
        self,
        directory: Path,
        *,
        link: Path | None = None,
        enabled: bool = True,
        clock: Clock = time.time,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self.directory = directory
        self._repository = Repository(directory, behind=True, answered=self._goes_on)
        self._which: tuple[int, int] | None = None  # the repository that holds what is said to be archived
        self._link = link if link != directory else None
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[CodeLoad] = []
        self._last: dict[str, CodeLoad] = {}  # by node, whether it is written or not
        self._packed: dict[str, bytes] = {}  # contents that may not be written yet
        self._ids: dict[str, str] = {}
        self._dropped: Counter[str] = Counter()
        self._tidying: subprocess.Popen[bytes] | None = None
        self._untidy = 0  # commits since it was tidied
        self._tidied_at = float("-inf")
        self._trouble = Trouble(
            f"the code that nodes have loaded is not archived in {directory}",
            "What they run is kept in memory and tried again, and they run on. Make room, or repair the directory "
            "(`git fsck` says what is wrong inside); if it is past repair, move it away, and a new one is begun.",
            clock,
        )
        self._lane = None
        if enabled:
            self._lane = Lane("archive", self._write, trouble=self._trouble, tick_s=_TICK_S, retry_s=retry_s)

    def keep(self, load: CodeLoad) -> None:
        """A node has loaded this."""
        if self._lane is None:
            return
        with self._lock:
            last = self._last.get(load.node)
            if last is not None and last.states == load.states:
                return
            self._packed |= {file.blob: file.packed for file in load.files if file.packed is not None}
            load = replace(load, files=tuple(replace(file, packed=None) for file in load.files))
            self._last[load.node] = load
            self._ids.pop(load.node, None)
            self._waiting.append(load)
            self._make_room()
        self._lane.wake()

    def id(self, node: str) -> str:
        """The first digits of the commit that holds what a node runs; "" as long as there is none."""
        return self._ids.get(node, "")[:DIGITS]

    def contents(self, node: str) -> tuple[str, ...]:
        """Names of contents of a node that need not be told again."""
        last = self._last.get(node)
        return () if last is None else tuple(file.blob for file in last.files)

    def leave(self, node: str) -> None:
        """A node has left the host. What waits is written."""
        with self._lock:
            self._last.pop(node, None)
            self._ids.pop(node, None)

    def wait_written(self, timeout_s: float) -> bool:
        """Wait until all that was loaded before this call is archived; False if that takes longer."""
        return self._lane is None or self._lane.wait_done(timeout_s)

    def ailment(self) -> Ailment | None:
        """What is wrong with it."""
        if self._lane is None:
            return None
        if text := self._trouble.text():
            return Ailment(what="archive", severity=Severity.MINOR, text=text, dated=True)
        if self._lane.hangs_s():
            text = (
                f"the archive {self.directory} waits for git, for longer than a disk may take. What nodes run is kept "
                "in memory, and they run on. The nodes come first: if they take the whole processor, as hundreds do "
                "that start, it is over when they rest; if not, see to the disk, or to the server that it is on"
            )
            return Ailment(what="archive", severity=Severity.MINOR, text=text)
        return None

    def trouble(self) -> str | None:
        """The sentence of what is wrong, None if nothing is."""
        return self._trouble.text()

    def threads(self) -> tuple[Seen, ...]:
        """Those of it that are watched."""
        return () if self._lane is None else (self._lane.seen(),)

    def close(self) -> bool:
        """Try once more what waits. True if nothing is left."""
        if self._lane is None:
            return True
        done = self._lane.close(CLOSE_S)
        if self._tidying is not None:
            self._tidying.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._tidying.wait(CLOSE_S)
        return done

    # --- what waits, under the lock -----------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Loads go that were followed by another one of their node, the oldest first."""
        while len(self._waiting) > WAITING_LOADS or self._waiting_bytes() > WAITING_BYTES:
            followed = next((load for load in self._waiting if self._last.get(load.node) is not load), None)
            if followed is None:
                return
            self._waiting.remove(followed)
            self._dropped[followed.node] += 1
            self._forget_contents()

    def _waiting_bytes(self) -> int:
        return sum(map(len, self._packed.values())) + sum(len(load.states) for load in self._waiting)

    def _forget_contents(self) -> None:
        """Those that no load needs any more that waits."""
        needed = {file.blob for load in self._waiting for file in load.files}
        self._packed = {blob: packed for blob, packed in self._packed.items() if blob in needed}

    # --- writing, in the lane -----------------------------------------------------------------------------------

    def _goes_on(self) -> None:
        if self._lane is not None:
            self._lane.goes_on()

    def _write(self) -> None:
        self._see_which()
        while batch := self._batch():
            try:
                self._commit(batch)
            except GitError as error:
                broken = self._repository.break_locks(time.time())
                if broken:
                    raise GitError(
                        f"{error.strerror}; removed {', '.join(broken)}, left by a git that is gone"
                    ) from None
                self._commit_apart(error)
        self._tidy()

    def _batch(self, *nodes: str) -> tuple[CodeLoad, ...]:
        """What waits, of all nodes or of these: as much as is written together."""
        with self._lock:
            waiting = (load for load in self._waiting if not nodes or load.node in nodes)
            return tuple(itertools.islice(waiting, _TOGETHER))

    def _see_which(self) -> None:
        """Where the repository was moved away, or another one is there, all that the nodes run goes into that."""
        which = self._repository.which()
        if which is None or which != self._which:
            with self._lock:
                self._ids.clear()
                self._waiting += [load for load in self._last.values() if load not in self._waiting]
            self._which = which

    def _commit_apart(self, error: GitError) -> None:
        """A branch that is damaged, or a load that git does not take, is no reason to keep back the other nodes.

        Raises
        ------
        GitError
            What is wrong with some of them. It is not theirs if it is the same with each of the first that are tried.
        """
        with self._lock:
            nodes = list({load.node for load in self._waiting})
        if len(nodes) == 1:
            raise error
        faults: list[GitError] = []
        for node in random.sample(nodes, len(nodes)):
            try:
                self._commit(self._batch(node))
            except GitError as fault:
                faults.append(fault)
                if len(faults) == _FAULTS:
                    break
        if faults:
            raise faults[0]

    def _commit(self, batch: Sequence[CodeLoad]) -> None:
        self._prepare()
        nodes = sorted({load.node for load in batch})
        heads = dict(zip(nodes, self._heads(nodes), strict=True))
        written = {node: heads[node].find(load for load in batch if load.node == node) for node in nodes}
        self._are_written({load: heads[load.node].commit for loads in written.values() for load in loads})
        rest = [load for load in batch if load not in written[load.node]]
        if rest:
            commits = self._repository.fast_import(self._stream(rest, heads))
            self._are_written(dict(zip(rest, commits, strict=True)))
            self._untidy += len(rest)

    def _prepare(self) -> None:
        """The repository is there, and can be found from the state directory."""
        if not self._repository.exists():
            self._repository.make()
            self._which = self._repository.which()
        if self._link is not None and not _is_same(self._link, self.directory):
            if self._link.is_symlink():
                self._link.unlink()
            elif os.path.lexists(self._link):  # the archive from before a site file named another place
                stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
                self._link.rename(self._link.with_name(f"{self._link.name}.until-{stamp}"))
            self._link.symlink_to(self.directory)

    def _heads(self, nodes: Sequence[str]) -> list[_Head]:
        refs = [f"refs/heads/{node}" for node in nodes]
        commits = self._repository.objects([f"{ref}^{{commit}}" for ref in refs])
        states = self._repository.objects([f"{ref}:{STATES}" for ref in refs])
        return [
            _Head(commit=commit[0] if commit else "", states=document[1] if document else b"")
            for commit, document in zip(commits, states, strict=True)
        ]

    def _are_written(self, commits: Mapping[CodeLoad, str]) -> None:
        with self._lock:
            for load, commit in commits.items():
                with contextlib.suppress(ValueError):  # it had to go meanwhile
                    self._waiting.remove(load)
                self._dropped.pop(load.node, None)
                if self._last.get(load.node) is load:
                    self._ids[load.node] = commit
            self._forget_contents()

    def _stream(self, loads: Sequence[CodeLoad], heads: Mapping[str, _Head]) -> bytes:
        """What ``git fast-import`` is told."""
        wanted = {file.blob: file.path for load in loads for file in named(load.files).values()}
        there = self._repository.there(wanted)
        contents = {blob: self._content(blob, path) for blob, path in wanted.items() if blob not in there}
        marks = {blob: number for number, blob in enumerate((b for b, c in contents.items() if c is not None), 1)}
        out = [b"feature done\n"]
        for blob, mark in marks.items():
            out += [b"blob\nmark :%d\n" % mark, _data(contents[blob] or b"")]
        before = {node: _files_of(head.states) for node, head in heads.items()}
        parents = {node: head.commit for node, head in heads.items()}
        for mark, load in enumerate(loads, len(marks) + 1):
            after = {name: file.blob for name, file in named(load.files).items()}
            lost = [name for name, blob in after.items() if blob in contents and blob not in marks]
            told = after | {file.path: file.blob for file in load.files if file.size > LARGEST_BYTES}
            message = self._message(load, before[load.node], told, lost)
            out.append(b"commit refs/heads/%s\nmark :%d\n" % (load.node.encode(), mark))
            out.append(b"author %s <> %d +0000\n" % (_person(load.by or load.node), load.at))
            out.append(b"committer %s <> %d +0000\n" % (_person(socket.gethostname()), load.at))
            out.append(_data(message.encode(errors="replace")))
            if parent := parents.pop(load.node, ""):
                out.append(b"from %s\n" % parent.encode())
            out.append(b"deleteall\n")
            for name, blob in after.items():
                if name not in lost:
                    what = b":%d" % marks[blob] if blob in marks else blob.encode()
                    out.append(b"M 100644 %s %s\n" % (what, quoted(name)))
            out += [b"M 100644 inline %s\n" % STATES.encode(), _data(_without(load.states, lost))]
            out.append(b"get-mark :%d\n" % mark)
            before[load.node] = told
        return b"".join([*out, b"done\n"])

    def _content(self, blob: str, path: str) -> bytes | None:
        """Of a file that the repository does not have: what was told, else what lies on disk, if that is the same."""
        packed = self._packed.get(blob)
        with contextlib.suppress(OSError, zlib.error):
            if packed is None and not Path(path).is_file():
                return None  # a pipe by now, perhaps, which would be waited for
            data = Path(path).read_bytes() if packed is None else unpack(packed)
            if blob_id(data) == blob:
                return data
        return None

    def _message(self, load: CodeLoad, before: Mapping[str, str], after: Mapping[str, str], lost: list[str]) -> str:
        """The words of a commit."""
        first = (
            "1 file, the first that is archived"
            if len(after) == 1
            else f"{len(after)} files, the first that are archived"
        )
        changed = what_changed(before, after) if before else first
        by = f", by {load.by}" if load.by else ""
        text = f"{load.node} {'imported' if load.late else 'loaded'}{by}: {changed or 'the same files'}"
        text = f"{printable(text)}\n"  # in one line, whatever names have in them
        if dropped := self._dropped[load.node]:
            text += f"\n{dropped} loads before this one could not be kept.\n"
        if lost:
            text += f"\nNot kept, as nobody has them any more: {', '.join(lost)}\n"
        return text

    def _tidy(self) -> None:
        """Pack what is loose, at a quiet moment. It goes on while nodes load."""
        if self._tidying is not None:
            if self._tidying.poll() is None:
                return
            self._tidying = None
        now = time.monotonic()
        if self._untidy and (self._untidy >= _TIDY_COMMITS or now - self._tidied_at > _TIDY_S):
            self._tidying, self._untidy, self._tidied_at = self._repository.begin_tidying(), 0, now


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The end of a branch; ``commit`` "" and no states: there is none."""

    commit: str
    states: bytes

    def find(self, loads: Iterable[CodeLoad]) -> list[CodeLoad]:
        """Those of the loads of this node, in order, up to the one that it holds."""
        loads = list(loads)
        at = max((n for n, load in enumerate(loads, 1) if load.states == self.states), default=0)
        return loads[:at]


def _is_same(link: Path, directory: Path) -> bool:
    """Whether it leads there. One that leads nowhere does not."""
    try:
        return link.samefile(directory)
    except FileNotFoundError:
        return False


def _data(content: bytes) -> bytes:
    return b"data %d\n" % len(content) + content + b"\n"


def _person(name: str) -> bytes:
    """As it may stand before <> in a commit."""
    return printable(name).translate({ord("<"): " ", ord(">"): " "}).strip().encode(errors="replace")


def _files_of(states: bytes) -> dict[str, str]:
    """The names of contents that ``states.json`` tells of, by names of files; of those not kept by paths."""
    try:
        document = json.loads(states) if states else {"files": {}, "left_out": {}}
        return {**{name: file["blob"] for name, file in document["files"].items()}, **document["left_out"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # somebody else has written that branch


def _without(states: bytes, lost: list[str]) -> bytes:
    """``states.json``, which says what is missing; it so differs from that of the same code, whole."""
    if not lost:
        return states
    return json.dumps({**json.loads(states), "lost": lost}, indent=1).encode() + b"\n"
