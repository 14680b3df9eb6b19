"""The users file, sessions, slow logins and addresses of a console, each by itself."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from guardian.console.addresses import Addresses, origin
from guardian.console.logins import MOST_KEPT, REMEMBERED_S, SLOWEST_S, Slow
from guardian.console.people import Role, why_not_name
from guardian.console.sessions import IDLE_S, MOST, TOTAL_S, Sessions
from guardian.console.users import NOBODY, Users, changing, invent, is_token, read
from guardian.errors import ExpectedError
from tests.console.visiting import enrol


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users"


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_token_is_known_again_and_stands_nowhere_in_the_file(path: Path):
    token = enrol(path, alice=Role.OPERATOR)["alice"]
    user = read(path)["alice"]
    assert is_token(user, token) and not is_token(user, token[:-1]) and not is_token(user, "")
    assert user.role is Role.OPERATOR
    assert token not in path.read_text()


def test_nobody_has_no_token():
    assert not is_token(NOBODY, "") and not is_token(NOBODY, "\ud800")


def test_two_users_with_one_token_could_not_be_told_by_their_hashes(path: Path):
    first, second = invent("a", Role.VIEWER)[0], invent("a", Role.VIEWER)[0]
    assert first.salt != second.salt and first.hash != second.hash


def test_the_file_is_for_its_owner_only_whatever_the_umask_says(path: Path):
    before = os.umask(0)
    try:
        enrol(path, alice=Role.VIEWER)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_have_rights_on_is_refused_with_what_to_do(path: Path, mode: int):
    enrol(path, alice=Role.VIEWER)
    path.chmod(mode)
    with pytest.raises(ExpectedError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        read(path)
    with pytest.raises(ExpectedError, match="chmod 600"), changing(path) as users:
        users.clear()
    path.chmod(0o600)
    assert list(read(path)) == ["alice"]


GOOD = json.loads(invent("bob", Role.EXPERT)[0].line())


@pytest.mark.parametrize(
    "line",
    [
        "alice operator",
        "[]",
        "null",
        "{}",
        json.dumps({**GOOD, "role": "god"}),
        json.dumps({**GOOD, "role": ["expert"]}),
        json.dumps({**GOOD, "name": "a\nb"}),
        json.dumps({**GOOD, "name": "a\x1b[31mb"}),
        json.dumps({**GOOD, "name": 7}),
        json.dumps({**GOOD, "hash": "00"}),
        json.dumps({**GOOD, "salt": "zz" * 16}),
        json.dumps({**GOOD, "salt": None}),
        "[" * 100_000,
    ],
    ids=lambda line: "",
)
def test_a_damaged_line_is_told_by_its_number_and_nothing_is_changed(path: Path, line: str):
    enrol(path, alice=Role.VIEWER)
    with path.open("a") as file:
        file.write(f"\n{line}\n")
    before = path.read_bytes()
    with pytest.raises(ExpectedError, match=rf"{path}:3: this is no user"):
        read(path)
    with pytest.raises(ExpectedError, match=":3:"), changing(path) as users:
        users.clear()
    assert path.read_bytes() == before


def test_a_name_that_is_there_twice_is_told(path: Path):
    enrol(path, alice=Role.VIEWER)
    path.write_text(path.read_text() * 2)
    with pytest.raises(ExpectedError, match=":2: alice is there twice"):
        read(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_and_never_waited_for(path: Path, make):
    make(path, 0o700)
    with pytest.raises(ExpectedError, match=f"{path} "):
        read(path)


def test_a_file_that_fails_to_be_changed_is_as_it_was(path: Path):
    enrol(path, alice=Role.VIEWER)
    with pytest.raises(RuntimeError), changing(path) as users:
        users.clear()
        raise RuntimeError
    assert list(read(path)) == ["alice"]


@pytest.mark.parametrize("name", ["alice", "a", "Ann.Lee-2_x@lab", "7", "a" * 32])
def test_names_that_can_be(name: str):
    assert why_not_name(name) is None


@pytest.mark.parametrize("name", ["", "a" * 33, "-a", "a b", "a\nb", "a\x00", "ä", "a\u202e", "a:b", '"', "<b>", "a\n"])
def test_names_that_cannot_be(name: str):
    assert why_not_name(name)


# --- users of a console that runs -------------------------------------------------------------------------------------


def test_a_console_needs_the_file_and_says_how_to_make_it(path: Path):
    with pytest.raises(ExpectedError, match=f"users add NAME --role operator --users {path}"):
        Users(path)


def test_a_damaged_file_leaves_the_users_of_before_and_is_told_once(path: Path, caplog: pytest.LogCaptureFixture):
    enrol(path, alice=Role.VIEWER)
    users, good = Users(path), path.read_bytes()
    path.write_bytes(b"nonsense\n")
    users.look()
    users.look()
    assert users.get("alice") is not None
    assert [record.message for record in caplog.records] == [
        f"{path}:1: this is no user; put back what was there, or remove the line and add the user anew "
        "(guardian-console users add). Until then the users are those of before"
    ]
    path.write_bytes(good)
    enrol(path, bob=Role.EXPERT)
    users.look()
    assert users.get("bob") is not None


def test_a_file_that_is_gone_has_nobody_in_it(path: Path, caplog: pytest.LogCaptureFixture):
    enrol(path, alice=Role.VIEWER)
    users = Users(path)
    path.unlink()
    users.look()
    assert users.get("alice") is None and "nobody can log in" in caplog.text


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def users(path: Path) -> Users:
    enrol(path, alice=Role.OPERATOR, bob=Role.VIEWER)
    return Users(path)


def begun(sessions: Sessions, users: Users, now: float = 0.0, name: str = "alice") -> str:
    user = users.get(name)
    assert user is not None
    return sessions.begin(user, now)[0]


def test_a_session_is_known_by_its_id_alone_and_the_id_is_not_kept(users: Users):
    sessions = Sessions(users)
    given = begun(sessions, users)
    found = sessions.of(given, 1.0)
    assert found is not None and found[0].name == "alice"
    assert sessions.of(given[:-1], 1.0) is None and sessions.of("", 1.0) is None and sessions.of("\ud800", 1.0) is None
    assert given not in repr(sessions.__dict__)


def test_two_sessions_have_nothing_in_common(users: Users):
    sessions = Sessions(users)
    first, second = begun(sessions, users), begun(sessions, users)
    assert first != second
    assert sessions.of(first, 0.0)[1].csrf != sessions.of(second, 0.0)[1].csrf


def test_a_session_ends_when_it_is_not_used_and_when_it_is_old(users: Users):
    sessions = Sessions(users)
    unused, used = begun(sessions, users), begun(sessions, users)
    now = 0.0
    while now < TOTAL_S:
        assert sessions.of(used, now) is not None
        now += IDLE_S / 2
    assert sessions.of(unused, now) is None
    assert sessions.of(used, TOTAL_S + 1) is None


def test_who_is_removed_or_has_a_new_token_is_out_and_a_role_counts_at_once(path: Path, users: Users):
    sessions = Sessions(users)
    alice, bob = begun(sessions, users), begun(sessions, users, name="bob")
    with changing(path) as there:
        del there["alice"]
        there["bob"] = type(there["bob"])(name="bob", role=Role.EXPERT, salt=there["bob"].salt, hash=there["bob"].hash)
    users.look()
    assert sessions.of(alice, 1.0) is None
    found = sessions.of(bob, 1.0)
    assert found is not None and found[0].role is Role.EXPERT
    enrol(path, alice=Role.OPERATOR, bob=Role.EXPERT)
    users.look()
    assert sessions.of(alice, 1.0) is None and sessions.of(bob, 1.0) is None


def test_sessions_of_one_user_are_no_more_than_some_and_cost_no_colleague_theirs(users: Users):
    sessions = Sessions(users)
    bob = begun(sessions, users, name="bob")
    all_of_alice = [begun(sessions, users) for _ in range(3 * MOST)]
    assert [sessions.of(given, 0.0) is not None for given in all_of_alice] == [False] * 2 * MOST + [True] * MOST
    assert sessions.of(bob, 0.0) is not None


# --- slow logins ------------------------------------------------------------------------------------------------------


def test_wrong_tokens_make_the_next_try_slower_and_lock_nobody_out():
    slow, keys = Slow(), ("name alice", "address 10.0.0.7")
    delays = []
    for _ in range(100):
        delays.append(slow.delay_s(keys, 0.0))
        slow.wrong(keys, 0.0)
    assert delays[0] == 0.0 and delays == sorted(delays) and delays[-1] == SLOWEST_S
    assert slow.delay_s(("name bob", "address 10.0.0.8"), 0.0) == 0.0
    assert slow.delay_s(keys, REMEMBERED_S + 1) == 0.0


def test_a_right_token_makes_it_quick_again():
    slow, keys = Slow(), ("name alice", "address 10.0.0.7")
    slow.wrong(keys, 0.0)
    slow.right(keys)
    assert slow.delay_s(keys, 0.0) == 0.0


def test_wrong_names_without_end_cost_no_memory_without_end():
    slow = Slow()
    for number in range(3 * MOST_KEPT):
        slow.wrong((f"name {number}", "address 10.0.0.7"), 0.0)
    assert len(slow._wrong) == MOST_KEPT
    assert slow.delay_s(("name new", "address 10.0.0.7"), 0.0) == SLOWEST_S


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("LOCALHOST:8080", "http://localhost:8080"),
        ("control.lab.example", "https://control.lab.example"),
        ("localhost", None),
        ("localhost:8081", None),
        ("localhost.:8080", None),
        ("evil.example:8080", None),
        ("127.0.0.1.evil.example:8080", None),
        ("localhost:8080@evil.example", None),
        ("10.0.0.7:8080", None),
        ("", None),
        (":8080", None),
    ],
)
def test_which_hosts_are_ours(host: str, found: str | None):
    addresses = Addresses(origins=["https://control.lab.example"])
    assert addresses.origin_of(host, ("127.0.0.1", 8080)) == found


@pytest.mark.parametrize(
    ("host", "server"),
    [("[::1]:8080", ("::1", 8080)), ("10.0.0.7:8080", ("::ffff:10.0.0.7", 8080)), ("10.0.0.7", ("10.0.0.7", 80))],
)
def test_the_address_at_which_somebody_came_is_ours(host: str, server: tuple[str, int]):
    assert Addresses().origin_of(host, server) == f"http://{host}"


def test_origins_are_written_as_browsers_write_them():
    assert origin("https://Control.Lab.Example/") == "https://control.lab.example"
    assert origin("https://control.lab.example:443") == "https://control.lab.example"
    assert origin("http://[::1]:8080") == "http://[::1]:8080"
    for wrong in (
        "control.lab.example",
        "ftp://x",
        "https://",
        "https://x/console",
        "https://a@x",
        "https://x:port",
        "",
    ):
        with pytest.raises(ValueError, match=r"."):
            origin(wrong)
