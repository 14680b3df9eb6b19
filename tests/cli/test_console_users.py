"""``guardian-console users`` and what the console needs to be told to let people write; real commands."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardian.cli.output import FAILED, OK, WRONG_CALL
from guardian.console.people import Role
from guardian.console.users import is_token, read

pytestmark = pytest.mark.proc


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "guardian.cli.console", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users"


def test_a_user_comes_and_changes_and_goes(path: Path):
    added = run("users", "add", "alice", "--role", "operator", "--users", path)
    assert added.returncode == OK and "not shown again" in added.stderr
    assert is_token(read(path)["alice"], added.stdout.strip())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("users", "role", "alice", "--role", "expert", "--users", path).returncode == OK
    assert read(path)["alice"].role is Role.EXPERT and is_token(read(path)["alice"], added.stdout.strip())
    assert run("users", "list", "--users", path).stdout.split() == ["alice", "expert"]
    listed = run("users", "list", "--json", "--users", path)
    assert listed.returncode == OK and json.loads(listed.stdout) == [{"name": "alice", "role": "expert"}]
    assert run("users", "remove", "alice", "--users", path).returncode == OK
    assert read(path) == {}


def test_what_cannot_be_done_is_said_and_changes_nothing(path: Path):
    assert run("users", "list", "--users", path).returncode == FAILED
    run("users", "add", "alice", "--role", "operator", "--users", path)
    before = path.read_bytes()
    for words, code, says in (
        (("add", "alice", "--role", "viewer"), FAILED, "is in"),
        (("remove", "bob"), FAILED, "there is no user bob"),
        (("role", "bob", "--role", "viewer"), FAILED, "there is no user bob"),
        (("add", "bob"), WRONG_CALL, "--role"),
        (("add", "bob", "--role", "god"), WRONG_CALL, "viewer"),
        (("add", "b\x1b[31mob", "--role", "viewer"), WRONG_CALL, "cannot be a name"),
        (("dance",), WRONG_CALL, "dance"),
    ):
        ended = run("users", *words, "--users", path)
        assert ended.returncode == code and says in ended.stderr and ended.stderr.count("\n") == 1, ended
        assert "\x1b" not in ended.stderr
    path.chmod(0o644)
    assert "chmod 600" in run("users", "add", "bob", "--role", "viewer", "--users", path).stderr
    assert path.read_bytes() == before
    assert run("users", "add", "bob", "--role", "viewer", "--users", path / "below").returncode == FAILED


def test_users_that_are_added_at_the_same_time_are_all_there(path: Path):
    names = [f"u{number}" for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda name: run("users", "add", name, "--role", "viewer", "--users", path), names))
    assert [each.returncode for each in ended] == [OK] * 6
    assert sorted(read(path)) == names and len({each.stdout for each in ended}) == 6
    assert os.listdir(path.parent) == ["users"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--allow-write",), "users add NAME --role operator --users FILE"),
        (("--users", "{}"), "--allow-write"),
        (("--allow-write", "--users", "{}"), "there is no file"),
        (("--json",), "--json"),
        (("--origin", "control.lab.example"), "https://control.lab.example"),
        (("--allow-write", "--users", "{}", "--host", "0.0.0.0"), "there is no file"),
    ],
)
def test_a_console_that_people_may_write_at_needs_to_know_who(path: Path, words: tuple[str, ...], says: str):
    ended = run("--ifo", "X1", "--port", "0", *(word.format(path) for word in words))
    assert ended.returncode == WRONG_CALL and says in ended.stderr and ended.stderr.count("\n") == 1, ended


def test_a_damaged_file_keeps_the_console_from_starting(path: Path):
    run("users", "add", "alice", "--role", "operator", "--users", path)
    path.write_text(path.read_text() + json.dumps({"name": "bob"}) + "\n")
    ended = run("--ifo", "X1", "--port", "0", "--allow-write", "--users", path)
    assert ended.returncode == WRONG_CALL and f"{path}:2: this is no user" in ended.stderr
