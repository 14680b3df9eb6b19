"""The difference of two site files, as a person reads it."""

from __future__ import annotations

from pathlib import Path

from guardian.host.site import read_site
from guardian.host.site_changes import changes, followed

OLD = """
ifo = "X1"
nodes = ["A", "B", "C"]
path = ["nodes"]
port = 5064
[policy]
watchdog = 5
[node.A]
stop_timeout = 2
"""


def lines(tmp_path: Path, new: str, old: str = OLD) -> list[str]:
    (tmp_path / "old.toml").write_text(old)
    (tmp_path / "new.toml").write_text(new)
    return list(changes(read_site(tmp_path / "old.toml"), read_site(tmp_path / "new.toml")).lines())


def test_the_same_is_nothing(tmp_path: Path) -> None:
    assert lines(tmp_path, OLD) == []


def test_nodes_and_a_rename(tmp_path: Path) -> None:
    assert lines(tmp_path, OLD.replace('"B"', '"BB"')) == ["nodes to be added: BB", "nodes to be removed: B"]


def test_policies_are_told_once_for_nodes_that_share_them(tmp_path: Path) -> None:
    assert lines(tmp_path, OLD.replace("watchdog = 5", "watchdog = 30")) == ["policy of A, B, C: watchdog 5 -> 30"]
    assert lines(tmp_path, OLD.replace("stop_timeout = 2", "")) == ["policy of A: stop_timeout 2 -> 1"]


def test_what_waits_for_a_start_is_named_and_not_followed(tmp_path: Path) -> None:
    new = OLD.replace("5064", "5066").replace('"nodes"', '"more"') + "[journal]\nfile_mb = 1\n"
    code, port, journal = lines(tmp_path, new)
    assert code.startswith(f"path {tmp_path}/nodes -> {tmp_path}/more (workers that start from now on")
    assert port == "port 5064 -> 5066: left as it is until the host is started anew"
    assert journal == "[journal]: left as it is until the host is started anew"
    old, new_site = (read_site(tmp_path / f"{name}.toml") for name in ("old", "new"))
    site = followed(old, new_site)
    assert (site.port, site.paths, site.journal) == (5064, new_site.paths, old.journal)
    assert not changes(site, new_site), "nothing is left that could be followed"


def test_a_thousand_nodes_fit_in_a_line(tmp_path: Path) -> None:
    many = OLD.replace('"A", "B", "C"', ", ".join(f'"N{number}"' for number in range(1000)) + ', "A"')
    added, removed = lines(tmp_path, many)
    assert added == "nodes to be added: N0, N1, N2, N3, N4, N5 and 994 more"
    assert removed == "nodes to be removed: B, C"
