"""A real systemd for one test: a manager of the kind that each user has, in namespaces of its own.

It is never one of the system: that would set up the machine at its start, and a cleaner of it would empty /tmp. This
one knows only the units of its folder (SYSTEMD_UNIT_PATH), all disks but that folder are read only for it and for all
that it starts, and it has a /run of its own. It and all its processes are in a process namespace, and end with it.

Needs root, for the namespaces; :func:`why_not` says what is missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psutil

from tests.support.child import Child
from tests.support.waiting import eventually

_MANAGER = Path("/lib/systemd/systemd")
_GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_START = """
echo $$ > "$2/cgroup.procs"
exec unshare --mount --pid --fork --kill-child=SIGKILL --cgroup --propagation private sh -ec '
mount --bind "$1" "$1"
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount -o remount,bind,ro /
if touch /tmp/.guardian-test 2>/dev/null; then echo "the disk can be written"; exit 1; fi
cd "$1"
echo NAMESPACE READY
"$0" --user --unit=default.target --log-target=console --log-level=info &
wait' "$0" "$1"
"""
_PLAIN = "[Unit]\nDefaultDependencies=no\n"


def why_not() -> str | None:
    """Why there is no systemd for tests here; None: there is."""
    if os.geteuid():
        return "a systemd in namespaces needs root"
    if missing := [name for name in ("unshare", "nsenter", "systemctl") if not shutil.which(name)]:
        return f"there is no {', no '.join(missing)}"
    if not _MANAGER.exists():
        return f"there is no {_MANAGER}"
    if _group() is None:
        return "no cgroups of version 2 are mounted"
    done = subprocess.run(["unshare", "-mpfC", "true"], capture_output=True, text=True, timeout=30, check=False)
    return f"no namespaces: {done.stderr.strip()}" if done.returncode else None


def _group() -> Path | None:
    return next((path for path in _GROUPS if (path / "cgroup.procs").exists()), None)


class UserSystemd:
    """Context manager. `folder`: for its units, and what services may write. env : of all services."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.units = self.config / "systemd" / "user"
        base = folder / "base-units"
        runtime = folder / "r"
        for made in (self.units, base, runtime):
            made.mkdir(parents=True, exist_ok=True)
        for target in ("default", "basic", "shutdown"):
            (base / f"{target}.target").write_text(_PLAIN)
        self.env = {
            **env,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(self.config),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_RUNTIME_DIR": str(runtime),
            "SYSTEMD_UNIT_PATH": f"{self.units}:{base}",
        }
        self.child: Child | None = None
        self._pid = 0
        parent = _group()
        assert parent is not None
        self._group = parent / f"guardian-test-{os.getpid()}-{time.monotonic_ns()}"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside it."""
        argv = ["nsenter", "-m", "-p", "-C", "-t", str(self._pid), *words]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=120, check=False)

    def ctl(self, *words: str) -> str:
        """``systemctl --user``; what it said."""
        done = self.run("systemctl", "--user", "--no-pager", *words)
        assert done.returncode == 0, (
            f"systemctl {words}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.report()}"
        )
        return done.stdout

    def show(self, service: str, what: str) -> str:
        """A property of a service."""
        return self.ctl("show", service, "--value", f"--property={what}").strip()

    def wait(self, service: str, what: str, value: str, timeout_s: float = 60) -> None:
        """Until a property has a value, or begins with it if that ends with ``...``."""
        seen = [""]

        def there() -> bool:
            seen[0] = self.show(service, what)
            return seen[0].startswith(value[:-3]) if value.endswith("...") else seen[0] == value

        try:
            eventually(there, timeout_s, f"{what} of {service} to be {value}", period_s=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\nlast seen: {seen[0]}\n{self.report()}") from None

    def report(self) -> str:
        logs = "\n".join(f"{path.name}:\n{path.read_text()[-4000:]}" for path in self.folder.glob("*.log"))
        return f"{self.child.report() if self.child else ''}\n{logs}"

    def __enter__(self) -> UserSystemd:
        self._group.mkdir()
        try:
            argv = ["sh", "-ec", _START, str(_MANAGER), str(self.folder), str(self._group)]
            self.child = Child(argv, env=self.env, cwd=self.folder)
            self.child.wait_for("NAMESPACE READY", 60)
            (inner,) = psutil.Process(self.child.pid).children()
            self._pid = inner.pid
            # It runs before it answers
            eventually(
                lambda: self.run("systemctl", "--user", "is-system-running").stdout.strip() in ("running", "degraded"),
                60,
                "systemd to be up",
                period_s=0.2,
            )
        except BaseException as error:
            error.add_note(self.report())
            self.close()
            raise
        return self

    def close(self) -> None:
        if self.child is not None:
            self.child.close()

        def gone() -> bool:
            for path in sorted(self._group.rglob("*"), reverse=True):
                if path.is_dir():
                    with contextlib.suppress(OSError):
                        path.rmdir()
            with contextlib.suppress(OSError):
                self._group.rmdir()
            return not self._group.exists()

        eventually(gone, 30, f"{self._group} to be empty", period_s=0.1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None:
            error.add_note(self.report())
        self.close()
