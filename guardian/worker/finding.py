"""Where the module of a node is: in which folders it is looked for, and which file it is. Light."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from guardian.core.names import check_name
from guardian.errors import SystemLoadError


def search_paths(
    extra: Sequence[str] = (), *, ifo: str = "", environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Where modules are looked for: GUARD_MODULE_PATH, then `extra`, then the userapps tree (section 5)."""
    env = os.environ if environ is None else environ
    found = [p for p in env.get("GUARD_MODULE_PATH", "").split(os.pathsep) if p]
    found += extra
    if userapps := env.get("USERAPPS_PATH"):
        for subsystem in sorted(p for p in Path(userapps).iterdir() if p.is_dir()) if Path(userapps).is_dir() else ():
            folders = ["common", *([ifo.lower()] if ifo else [])]
            found += [str(p) for f in folders if (p := subsystem / f / "guardian").is_dir()]
    return tuple(dict.fromkeys(os.path.abspath(p) for p in found))


def find(node: str, paths: Sequence[str]) -> Path:
    """The file of a system module.

    Raises
    ------
    SystemLoadError
        There is none; the message lists where it was looked for.
    """
    check_name(node)
    for folder in paths:
        path = Path(folder) / f"{node}.py"
        if path.is_file():
            return path
    if odd := [f"{folder}/{node}.py" for folder in paths if os.path.lexists(f"{folder}/{node}.py")]:
        raise SystemLoadError(f"{node}: {odd[0]} is no file; is it a folder, or a link to what is gone?")
    looked = ", ".join(paths) or "nowhere, no path is set"
    raise SystemLoadError(
        f"{node}: no {node}.py found; looked in {looked}. Set GUARD_MODULE_PATH or --path to the folder that has it"
    )
