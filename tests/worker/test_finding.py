"""Where the module of a node is looked for, and what is said if it is not there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from guardian.errors import SystemLoadError
from guardian.worker.finding import find, search_paths


def test_the_search_path_in_its_order_and_once(tmp_path: Path) -> None:
    for part in ("sus/common/guardian", "sus/x1/guardian", "isc/x1/guardian", "isc/l1/guardian", "isc/x1/medm"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "README").write_text("no folder")
    env = {"GUARD_MODULE_PATH": "/first::/second", "USERAPPS_PATH": str(tmp_path)}
    assert search_paths(["/third", "/first", "here"], ifo="X1", environ=env) == (
        "/first",
        "/second",
        "/third",
        os.path.abspath("here"),
        f"{tmp_path}/isc/x1/guardian",
        f"{tmp_path}/sus/common/guardian",
        f"{tmp_path}/sus/x1/guardian",
    )
    assert search_paths(environ={"USERAPPS_PATH": str(tmp_path / "gone")}) == ()
    assert search_paths(environ={"USERAPPS_PATH": str(tmp_path)}) == (f"{tmp_path}/sus/common/guardian",)


def test_find_takes_the_first_and_says_where_it_looked(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "SUS.py").mkdir()
    (tmp_path / "b" / "SUS.py").write_text("")
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert find("SUS", paths) == tmp_path / "b" / "SUS.py"
    (tmp_path / "b" / "SUS.py").unlink()
    with pytest.raises(SystemLoadError, match=r"a/SUS.py is no file; is it a folder, or a link to what is gone\?"):
        find("SUS", paths)
    (tmp_path / "a" / "SUS.py").rmdir()
    (tmp_path / "a" / "SUS.py").symlink_to("/nowhere")
    with pytest.raises(SystemLoadError, match=r"a/SUS.py is no file"):
        find("SUS", paths)
    with pytest.raises(SystemLoadError, match=f"no ISC.py found; looked in {re.escape(', '.join(paths))}"):
        find("ISC", paths)
    with pytest.raises(SystemLoadError, match=r"nowhere, no path is set. Set GUARD_MODULE_PATH or --path"):
        find("ISC", [])
