"""``guardctrl install``: the unit of systemd is written, and never one that somebody has changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from guardian.cli import unit
from guardian.cli.guardctrl import main

SITE = 'ifo = "X1"\nnodes = ["OVEN"]\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files of a user go."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "X1.toml").write_text(SITE)
    return tmp_path / "config"


def unit_file(config: Path) -> Path:
    return config / "systemd/user" / unit.NAME


def test_a_dry_run_shows_the_unit_and_writes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--user", "--site", "X1.toml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{unit_file(config)} would be written" in said and "WatchdogSec=" in said
    assert not config.exists()


def test_it_writes_the_unit_links_the_site_file_and_says_what_to_type(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "--user", "--site", "X1.toml"]) == 0
    assert "systemctl --user enable --now guardhost@X1" in capsys.readouterr().out
    assert (config / "guardian/X1.toml").resolve() == Path("X1.toml").resolve()
    text = unit_file(config).read_text()
    assert "guardhost --site %E/guardian/%i.toml" in text and unit.as_written(text)
    assert main(["install", "--user", "X1"]) == 0, "again, as after an upgrade"
    assert f"{unit_file(config)} is as it should be" in capsys.readouterr().out


def test_the_unit_of_an_older_version_is_replaced(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit_file(config).parent.mkdir(parents=True)
    unit_file(config).write_text(unit.unit(command="/opt/older/bin/guardhost", user=True))
    assert main(["install", "--user", "--json"]) == 0
    (step,) = json.loads(capsys.readouterr().out)
    assert (step["do"], step["done"]) == ("replace", True)
    assert "/opt/older" not in unit_file(config).read_text()


def test_a_unit_that_somebody_has_changed_is_kept_and_the_difference_shown(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "--user"]) == 0
    changed = unit_file(config).read_text().replace("WatchdogSec=30", "WatchdogSec=300")
    unit_file(config).write_text(changed)
    assert main(["install", "--user"]) == 1
    said = capsys.readouterr()
    assert "was changed by somebody" in said.err and "-WatchdogSec=300" in said.out
    assert unit_file(config).read_text() == changed
    assert main(["install", "--user", "--force"]) == 0
    assert unit_file(config).read_text() != changed


def test_a_site_file_that_is_not_there_or_wrong_is_told_and_nothing_written(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "--user", "NOPE"]) == 2
    assert "there is no site file" in capsys.readouterr().err
    Path("X1.toml").write_text("nodes = []")
    assert main(["install", "--user", "--site", "X1.toml"]) == 2
    assert "nodes is missing" in capsys.readouterr().err
    assert not config.exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("user", [True, False])
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, *, user: bool) -> None:
    place = tmp_path / "guardhost@X1.service"
    place.write_text(unit.unit(command="/bin/true", run_as="" if user else "root", user=user))
    (tmp_path / "run").mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *["--user"] * user, str(place)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")},
    )
    assert "guardhost" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_a_service_that_is_masked_stays_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit_file(config).parent.mkdir(parents=True)
    unit_file(config).symlink_to("/dev/null")
    assert main(["install", "--user"]) == 1
    assert "is a link to /dev/null: somebody wants no such service (systemctl mask)" in capsys.readouterr().err
    assert unit_file(config).is_symlink()
    assert main(["install", "--user", "--force"]) == 0
    assert unit.as_written(unit_file(config).read_text())


def test_what_is_no_unit_is_told_and_kept(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit_file(config).mkdir(parents=True)
    assert main(["install", "--user"]) == 1
    assert f"{unit_file(config)} cannot be read: Is a directory; move it away" in capsys.readouterr().err
    unit_file(config).rmdir()
    os.mkfifo(unit_file(config))
    assert main(["install", "--user"]) == 1
    assert "it is a pipe, and no file" in capsys.readouterr().err


def test_links_that_lead_in_a_circle_are_no_site_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config / "guardian").mkdir(parents=True)
    (config / "guardian/X1.toml").symlink_to("X1.toml")
    assert main(["install", "--user", "--site", "X1.toml"]) == 1
    assert "is there already, and is not" in capsys.readouterr().err
