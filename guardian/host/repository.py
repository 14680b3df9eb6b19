"""The git repository of the archive: the one place that runs git. Every call may take as long as a disk likes.

Git is run as a tool, not as a person: no configuration but that of the repository itself counts, no hook is run, no
question is asked, and who owns the folder does not matter. What it writes is safe from a power cut when it says so. A
kill in the middle leaves things as they were; what it may leave behind is a lock, see :meth:`Repository.break_locks`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

#: A lock of git that is older was left by a process that is gone: each is held for milliseconds; seconds.
LOCK_S = 30.0
#: With so many loose objects it is time to pack them.
LOOSE_MOST = 2000
#: Not the last one of all: it holds locks while it works.
_NICENESS = 10
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsync=committed,reference",
    "core.quotePath=false",
    "core.warnAmbiguousRefs=false",
    "gc.autoDetach=false",
    f"gc.auto={LOOSE_MOST}",
    "maintenance.auto=false",
)
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


class GitError(OSError):
    """Git could not do it. ``strerror``: why, in its own words or ours."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)


class Repository:
    """A bare repository in the folder `path`, which need not exist yet.

    Parameters
    ----------
    behind : nobody waits for git: it has the processor when nobody else wants it. answered : called when git has done
        one of the things that it was asked for.
    """

    def __init__(self, path: Path, *, behind: bool = False, answered: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._behind = behind
        self._answered = answered

    def exists(self) -> bool:
        """Whether there is one."""
        return (self.path / "HEAD").is_file()

    def which(self) -> tuple[int, int] | None:
        """What tells it from one that was put in its place; None: there is none."""
        try:
            facts = os.stat(self.path / "HEAD")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return facts.st_dev, facts.st_ino

    def make(self) -> None:
        """Make it, all of it or nothing.

        Raises
        ------
        OSError
            It cannot be made, or there is something else in its place.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.new-{uuid.uuid4().hex[:8]}")
        try:
            _run(["init", "--bare", "--quiet", "--template=", "--initial-branch=main", str(new)], behind=self._behind)
            new.rename(self.path)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            if not self.exists():  # else somebody else has made it meanwhile
                raise

    def run(self, *words: str, data: bytes = b"") -> bytes:
        """What git prints.

        Raises
        ------
        GitError
        """
        told = _run([f"--git-dir={self.path}", *words], data, behind=self._behind)
        self._answered()
        return told

    def objects(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """Objects by their names, ``refs/heads/NODE:states.json``: what git calls each, and what is in it. None: none.

        Raises
        ------
        GitError
        """
        told = self.run("cat-file", "--batch", data="".join(f"{name}\n" for name in names).encode())
        found: list[tuple[str, bytes] | None] = []
        at = 0
        for _ in names:
            end = told.index(b"\n", at)
            head = told[at:end].rsplit(b" ", 2)
            at = end + 1
            if len(head) < 3 or not head[2].isdigit():  # "NAME missing"
                found.append(None)
                continue
            size = int(head[2])
            found.append((head[0].decode(), told[at : at + size]))
            at += size + 1
        return found

    def there(self, blobs: Iterable[str]) -> set[str]:
        """Those that the repository has.

        Raises
        ------
        GitError
        """
        told = self.run("cat-file", "--batch-check=%(objectname) %(objecttype)", data="\n".join(blobs).encode())
        return {line.split()[0] for line in told.decode().splitlines() if line.endswith(" blob")}

    def fast_import(self, stream: bytes) -> list[str]:
        """Write what ``git fast-import`` takes, all or nothing of each branch. The commits that it was asked for.

        Raises
        ------
        GitError
            Other branches may be written all the same.
        """
        before = self._leavings()
        try:
            told = self.run("fast-import", "--quiet", "--done", "--date-format=raw", data=stream)
        except GitError:
            for path in self._leavings() - before:
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        return _COMMIT.findall(told.decode())

    def _leavings(self) -> set[Path]:
        """What git leaves where it fails: half a pack, and the report of a crash. A full disk would never have room."""
        return {*self.path.glob("fast_import_crash_*"), *self.path.glob("objects/pack/tmp_*")}

    def break_locks(self, now: float) -> list[str]:
        """Remove the locks that a process has left that was killed. Their names."""
        broken = []
        places = [self.path, self.path / "objects" / "info", *(Path(top) for top, _, _ in os.walk(self.path / "refs"))]
        for lock in (lock for place in places for lock in place.glob("*.lock")):
            with contextlib.suppress(OSError):
                if abs(now - lock.stat().st_mtime) > LOCK_S:  # a clock may have been set back since
                    lock.unlink()
                    broken.append(str(lock.relative_to(self.path)))
        return broken

    def begin_tidying(self) -> subprocess.Popen[bytes]:
        """Pack what is loose, if there is much of it, behind everybody else. Whoever calls this waits for the end."""
        command = [_git(), *_options(), f"--git-dir={self.path}", "gc", "--auto", "--quiet"]
        null = subprocess.DEVNULL
        tidying = subprocess.Popen(
            command, env=_environ(), stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        _behind_everybody(tidying)
        return tidying


def quoted(path: str) -> bytes:
    """A path as ``git fast-import`` reads it."""
    data = path.encode(errors="surrogateescape")
    if b"\n" not in data and not data.startswith(b'"'):
        return data
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'


def compare(labels: Sequence[str], sides: Sequence[Mapping[str, bytes]], *, stat: bool, color: bool) -> bytes:
    """How two sets of files differ, as git shows it: by lines, each file as ``LABEL/NAME``.

    Raises
    ------
    GitError
    """
    words = [
        f"--git-dir={os.devnull}",  # the folder may lie in somebody's repository, whose rules for files are not ours
        "diff",
        "--no-index",
        "--no-prefix",
        "--no-ext-diff",
        "--no-renames",
        f"--color={'always' if color else 'never'}",
    ]
    with tempfile.TemporaryDirectory(prefix="guardian-diff-") as folder:
        for label, files in zip(labels, sides, strict=True):
            Path(folder, label).mkdir(exist_ok=True)
            for name, content in files.items():
                if name.startswith("/") or ".." in name.split("/"):
                    raise GitError(f"{name!r} is no name of a file in an archive: somebody else has made it")
                file = Path(folder, label, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        return _run([*words, *["--stat"] * stat, "--", *labels], cwd=folder, fine=(0, 1))


def _git() -> str:
    found = shutil.which("git")
    if found is None:
        raise GitError("there is no program git in PATH; install it (apt install git, dnf install git)")
    return found


def _options() -> list[str]:
    return [word for option in _OPTIONS for word in ("-c", option)]


def _environ() -> dict[str, str]:
    ours = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("GIT_")}, **ours}


def _run(
    words: Sequence[str],
    data: bytes = b"",
    *,
    cwd: str | None = None,
    fine: Sequence[int] = (0,),
    behind: bool = False,
) -> bytes:
    running = subprocess.Popen(
        [_git(), *_options(), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environ(),
        cwd=cwd,
        start_new_session=True,  # a Ctrl-C is for us: a host lets it end its work
    )
    with running:
        try:
            if behind:
                _behind_everybody(running)
            told, complaint = running.communicate(data)
        except BaseException:  # Ctrl-C, where it is not the host that waits
            running.kill()
            raise
    if running.returncode not in fine:
        raise GitError(f"git {_verb(words)}: {_words(complaint) or f'exit code {running.returncode}'}")
    return told


def _behind_everybody(process: subprocess.Popen[bytes]) -> None:
    """Nodes that start or change states have the processor first."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)


def _verb(words: Sequence[str]) -> str:
    return next((word for word in words if not word.startswith("-")), "")


def _words(stderr: bytes) -> str:
    """What it complains of, without what follows from that."""
    lines = stderr.decode(errors="replace").splitlines()
    told = [line for line in lines if line.startswith(("error:", "fatal:"))] or lines
    return "; ".join(line.strip() for line in told[:2])
