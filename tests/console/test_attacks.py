"""Whoever wants to get into a console, or write where others should: a real one, sent what no page of ours would."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from guardian.console.guard import HEADERS, MOST_BYTES
from guardian.console.people import Role
from guardian.console.users import changing
from tests.console.consoling import GuardianConsole
from tests.console.visiting import Raw, Visitor, alone, enrol

pytestmark = [pytest.mark.ca, pytest.mark.proc]
PROXY = "https://control.lab.example"


class Place:
    """A console that some may write at. No host need run for its doors."""

    def __init__(self, folder: Path) -> None:
        self.users = folder / "users"
        self.tokens = enrol(self.users, eve=Role.VIEWER, oscar=Role.OPERATOR, xenia=Role.EXPERT)
        options = ("--allow-write", "--users", str(self.users), "--origin", PROXY)
        self.console = alone(folder, *options, nodes=["OVEN"])

    def visitor(self, name: str = "") -> Visitor:
        """Somebody who has logged in; "": nobody."""
        visitor = Visitor(self.console)
        if name:
            assert visitor.login(name, self.tokens[name]).status == 200
        return visitor


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("doors"))
    with place.console:
        yield place


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardianConsole]:
    """A console that only shows."""
    with alone(tmp_path_factory.mktemp("closed")) as console:
        yield console


@pytest.fixture(autouse=True)
def unhurt(place: Place) -> Iterator[None]:
    """After each attack the console serves, and has no fault of its own in its log."""
    said = len(place.console.report)
    yield
    assert place.console.get("/api/about").status == 200
    assert "Traceback" not in (news := place.console.report[said:]), news


# --- from where -------------------------------------------------------------------------------------------------------

WRITES = ["/api/login", "/api/logout", "/api/nodes/OVEN/request", "/api/nodes/OVEN/write"]


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "https://{}", "http://{}.evil.example",
     PROXY, "http://localhost:1, http://{}", ""],
)  # fmt: skip
def test_a_page_of_somebody_else_writes_nothing(place: Place, path: str, origin: str):
    origin = origin.format(place.console.address)
    answer = place.visitor("xenia").post(path, {"user": "xenia", "token": place.tokens["xenia"]}, Origin=origin)
    assert answer.status == 403 and "set-cookie" not in answer.headers
    assert f"only pages of http://{place.console.address} may" in answer.error or not origin


@pytest.mark.parametrize("path", WRITES)
def test_what_does_not_say_which_page_asks_writes_nothing_and_is_told_what_to_do(place: Place, path: str):
    answer = place.visitor("xenia").post(path, drop=("Origin",))
    assert answer.status == 403 and f"has to send the header Origin: http://{place.console.address}" in answer.error


def test_two_origins_are_none(place: Place):
    visitor = place.visitor("xenia")
    with Raw(place.console) as raw:
        origin = f"Origin: {visitor.origin}\r\n"
        head = f"POST /api/logout HTTP/1.1\r\nHost: {place.console.address}\r\nContent-Type: application/json\r\n"
        csrf = f"Cookie: {visitor.cookie}\r\nX-Guardian-CSRF: {visitor.csrf}\r\nContent-Length: 2\r\n"
        raw.send(f"{head}{csrf}{origin}{origin}\r\n{{}}")
        assert raw.answer()[0] == 403
    assert visitor.about()["user"] == "xenia"


HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1.evil.example:{port}",
    "10.0.0.7:{port}",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/", "/api/about", "/static/main.js", "/api/login"])
def test_a_name_that_somebody_else_lets_point_here_gets_nothing(place: Place, path: str, host: str):
    host = host.format(port=place.console.port)
    answer = place.console.get(path, Host=host)
    assert answer.status == 421 and "is not known as" in answer.error and host.partition(":")[0] in answer.error
    answer = place.visitor().login("xenia", place.tokens["xenia"], Host=host, Origin=f"http://{host}")
    assert answer.status == 421 and "set-cookie" not in answer.headers


def test_a_request_without_host_gets_nothing(place: Place):
    with Raw(place.console) as raw:
        raw.send("GET / HTTP/1.0\r\n\r\n")
        assert raw.answer()[0] == 421


def test_the_names_of_this_machine_and_the_proxy_are_known(place: Place):
    assert place.console.get("/", Host=f"localhost:{place.console.port}").status == 200
    assert place.console.get("/", Host="control.lab.example").status == 200


def test_a_feed_is_opened_by_pages_of_this_console_only(place: Place):
    for origin in ("http://evil.example", "null", "", f"http://localhost:{place.console.port}", PROXY):
        with Raw(place.console) as raw:
            assert raw.open_feed(origin) == 403
    with Raw(place.console) as raw:
        assert raw.open_feed() == 101
        assert raw.message()["t"] == "snap"


def test_a_feed_of_another_name_is_refused(place: Place):
    with Raw(place.console) as raw:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        raw.request("GET", "/feed", {**upgrade, **key, "Host": "evil.example", "Origin": "http://evil.example"})
        assert raw.answer()[0] == 421


def test_a_feed_takes_no_orders(place: Place):
    """Nobody need log in to watch, so what a page says there has no rights."""
    with Raw(place.console) as raw:
        assert raw.open_feed() == 101
        body = json.dumps({"write": "OVEN", "row": "OP", "value": "STOP"}).encode()
        raw.send(bytes([0x81, 0x80 | len(body), 0, 0, 0, 0]) + body)
        assert b"\x88" in raw.ended()


# --- who --------------------------------------------------------------------------------------------------------------


def test_nobody_writes(place: Place):
    answer = place.visitor().post("/api/nodes/OVEN/request", {"state": "HOT"})
    assert answer.status == 401 and "log in" in answer.error


def test_nobody_writes_at_a_console_that_only_shows(closed: GuardianConsole):
    visitor = Visitor(closed)
    for path in WRITES:
        answer = visitor.post(path, {"user": "a", "token": "b"})
        assert answer.status == 403 and "--allow-write" in answer.error
    about = visitor.about()
    assert [about[key] for key in ("writes", "login", "user", "role", "csrf")] == [False, False, None, None, None]


def test_a_viewer_writes_nothing(place: Place):
    viewer = place.visitor("eve")
    for path in ("/api/nodes/OVEN/request", "/api/nodes/OVEN/write", "/api/anything"):
        answer = viewer.post(path, {"state": "HOT"})
        assert answer.status == 403 and "eve is logged in as viewer" in answer.error
    assert viewer.post("/api/logout").status == 200


def test_an_operator_comes_as_far_as_the_room(place: Place):
    assert place.visitor("oscar").post("/api/anything", {"state": "HOT"}).status == 404


@pytest.mark.parametrize("csrf", ["", "wrong", "é"])
def test_a_write_without_what_only_the_page_knows_is_refused(place: Place, csrf: str):
    visitor = place.visitor("xenia")
    for answer in (
        visitor.post("/api/nodes/OVEN/write", X_Guardian_CSRF=csrf),
        visitor.post("/api/logout", drop=("X-Guardian-CSRF",)),
        visitor.post("/api/logout", X_Guardian_CSRF=place.visitor("xenia").csrf),
    ):
        assert answer.status == 403 and "load it anew" in answer.error
    assert visitor.about()["user"] == "xenia"


def test_what_a_page_is_told_of_who_is_logged_in(place: Place):
    visitor = place.visitor("oscar")
    about = visitor.about()
    assert [about[key] for key in ("writes", "login", "user", "role")] == [True, True, "oscar", "operator"]
    assert about["csrf"] == visitor.csrf
    assert [place.visitor().about()[key] for key in ("writes", "user", "csrf")] == [True, None, None]


def test_who_has_logged_out_is_out(place: Place):
    visitor = place.visitor("oscar")
    answer = visitor.post("/api/logout")
    assert answer.status == 200 and "Max-Age=0" in answer.headers["set-cookie"]
    assert visitor.about()["user"] is None
    assert visitor.post("/api/nodes/OVEN/write").status == 401


def test_who_is_removed_is_out_at_once_and_so_is_a_role(place: Place):
    enrol(place.users, gone=Role.EXPERT, less=Role.EXPERT)
    tokens = enrol(place.users, gone=Role.EXPERT, less=Role.EXPERT)
    gone, less = Visitor(place.console), Visitor(place.console)
    assert gone.login("gone", tokens["gone"]).status == less.login("less", tokens["less"]).status == 200
    with changing(place.users) as users:
        user = users.pop("gone")
        users["less"] = type(user)(name="less", role=Role.VIEWER, salt=users["less"].salt, hash=users["less"].hash)
    assert gone.post("/api/anything").status == 401 and gone.about()["user"] is None
    assert less.post("/api/anything").status == 403 and less.about()["role"] == "viewer"
    assert gone.login("gone", tokens["gone"]).status == 403


def test_a_damaged_users_file_is_told_and_changes_nothing(place: Place):
    visitor, good = place.visitor("oscar"), place.users.read_bytes()
    try:
        place.users.write_bytes(good + b"damaged\n")
        assert visitor.about()["user"] == "oscar"
        assert place.console.child is not None
        place.console.child.wait_for(rf"{place.users}:{good.count(10) + 1}: this is no user.*those of before")
    finally:
        place.users.write_bytes(good)
    place.users.chmod(0o644)
    assert visitor.about()["user"] == "oscar"
    place.console.child.wait_for(rf"\(mode 0644\): chmod 600 {place.users}")
    place.users.chmod(0o600)
    assert visitor.post("/api/logout").status == 200


# --- sessions and tokens ----------------------------------------------------------------------------------------------


def test_the_cookie_is_for_this_console_and_no_script(place: Place):
    answer = place.visitor().login("oscar", place.tokens["oscar"])
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key == f"guardian-{place.console.port}" and len(cookie.value) >= 43
    assert cookie["httponly"] and cookie["path"] == "/" and cookie["samesite"].lower() == "strict"
    assert not cookie["domain"] and not cookie["secure"] and not cookie["max-age"]


def test_behind_https_the_cookie_is_for_https_only(place: Place):
    answer = place.visitor().login("oscar", place.tokens["oscar"], Host="control.lab.example", Origin=PROXY)
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key == "__Host-guardian-https" and cookie["secure"] and cookie["httponly"]


def test_nobody_chooses_the_session_of_somebody_else(place: Place):
    for chosen in ("mine", place.visitor("eve").cookie.partition("=")[2]):
        victim = Visitor(place.console, cookie=f"guardian-{place.console.port}={chosen}", csrf="x")
        assert victim.login("xenia", place.tokens["xenia"]).status == 200
        assert victim.cookie.partition("=")[2] != chosen
        attacker = Visitor(place.console, cookie=f"guardian-{place.console.port}={chosen}")
        assert attacker.about()["user"] is None


def test_who_logs_in_anew_leaves_no_session_behind(place: Place):
    visitor = place.visitor("oscar")
    old = visitor.cookie
    assert visitor.login("oscar", place.tokens["oscar"]).status == 200
    assert Visitor(place.console, cookie=old).about()["user"] is None


@pytest.mark.parametrize("cookie", ["", "=", ";;;", "guardian-{}=" + "a" * 8000, "guardian-{}=\xff\xfe", "guardian-{}"])
def test_odd_cookies_are_nobodys(place: Place, cookie: str):
    with Raw(place.console) as raw:
        raw.request("GET", "/api/about", {"Cookie": cookie.format(place.console.port)})
        status, _, body = raw.answer()
        assert status == 200 and json.loads(body)["user"] is None


def test_guessing_is_slow_and_told_and_locks_nobody_out(place: Place):
    def guess() -> None:
        for _ in range(4):
            assert place.visitor().login("oscar", "0" * 40).status in (403, 503)

    guessers = [threading.Thread(target=guess) for _ in range(6)]
    for each in guessers:
        each.start()
    try:
        begun = time.monotonic()
        assert place.visitor().login("xenia", place.tokens["xenia"]).status == 200
        assert place.visitor().login("oscar", place.tokens["oscar"]).status == 200
        assert time.monotonic() - begun < 30
    finally:
        for each in guessers:
            each.join(60)
    begun = time.monotonic()
    assert place.visitor().login("oscar", place.tokens["oscar"]).status == 200
    assert time.monotonic() - begun < 30
    told = re.findall(r"a wrong name or token, (\d+) in a row, from 127.0.0.1: user 'oscar'", place.console.report)
    assert told and all(int(count) & (int(count) - 1) == 0 for count in told), told


def test_a_name_that_nobody_has_is_answered_as_one_with_a_wrong_token(place: Place):
    known, unknown = (place.visitor().login(name, "0" * 40) for name in ("eve", "nobody"))
    assert (known.status, known.body) == (unknown.status, unknown.body) == (403, known.body)
    assert place.visitor("eve").about()["user"] == "eve"


@pytest.mark.parametrize(
    "said",
    [{}, {"user": "eve"}, {"user": None, "token": None}, {"user": ["eve"], "token": {}}, {"user": 1, "token": True}],
)
def test_a_login_that_is_none_is_refused(place: Place, said: object):
    answer = place.visitor().post("/api/login", said)
    assert answer.status == 400 and "TOKEN" in answer.error


def test_control_characters_in_names_do_not_reach_the_log(place: Place):
    name = "eve\n\x1b[31mguardian-console: xenia (expert) has logged in\x00\u202e\ud800"
    place.visitor("eve")  # so that the first wrong one is told
    assert place.visitor().post("/api/login", {"user": name, "token": "\x00"}).status == 403
    assert place.console.child is not None
    place.console.child.wait_for("a wrong name or token, 1 in a row")
    assert "\x1b" not in place.console.child.output and "\u202e" not in place.console.child.output
    assert not re.search(
        r"^guardian-console: xenia \(expert\) has logged in$", place.console.child.output, re.MULTILINE
    )


# --- what -------------------------------------------------------------------------------------------------------------

TRAVERSALS = [
    "/static/../../../../../../../../etc/passwd",
    "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/..%5c..%5c..%5cetc%5cpasswd",
    "/static/%252e%252e/%252e%252e/etc/passwd",
    "/static/../pages.py",
    "/static/..%2fpages.py",
    "/static/style/../../guard.py",
    "//etc/passwd",
    "/../../etc/passwd",
    "/n/../../etc/passwd",
    "/api/nodes/../../../etc/passwd",
    "/static/",
    "/static",
    "/static/.",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out_of_the_pages(place: Place, path: str):
    with Raw(place.console) as raw:
        raw.request("GET", path)
        status, headers, body = raw.answer()
    assert status == 404 and "location" not in headers, (status, headers, body)
    assert "root:" not in body.decode() and "import" not in body.decode()


@pytest.mark.parametrize(
    "path", ["/static/%00", "/static/a%00.js", "/n/OVEN%0a", "/%7f", "/api/nodes/%1b%5b31m", "/%ff"]
)
def test_odd_characters_in_a_path_are_refused(place: Place, path: str):
    with Raw(place.console) as raw:
        raw.request("GET", path)
        assert raw.answer()[0] in (400, 404)


@pytest.mark.parametrize("path", ["/static/" + "a/" * 3000, "/" + "a" * 20_000, "/static/" + "a" * 5000])
def test_long_paths_are_refused(place: Place, path: str):
    with Raw(place.console) as raw:
        raw.request("GET", path)
        assert raw.answer()[0] in (400, 404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "BREW", "X" * 200])
def test_other_methods_are_refused(place: Place, method: str):
    with Raw(place.console) as raw:
        raw.request(method, "/api/about")
        status, _, body = raw.answer()
        assert status == 405 and "GET, HEAD, POST" in json.loads(body)["error"]


def test_reading_and_writing_are_not_mixed_up(place: Place):
    visitor = place.visitor("xenia")
    assert visitor.post("/api/about").status == 405
    for path in ("/api/login", "/api/logout"):
        assert place.console.get(path, Cookie=visitor.cookie, **{"X-Guardian-CSRF": visitor.csrf}).status == 405
    assert visitor.about()["user"] == "xenia"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'"a"', b"\xff", b"[" * 60_000, b'{"a":' * 10_000, b"1" * 60_000]
)
def test_bad_json_is_refused(place: Place, body: bytes):
    for path in ("/api/login", "/api/nodes/OVEN/write"):
        answer = place.visitor().post(path, body)
        assert answer.status == 400 and "JSON" in answer.error


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "a"])
def test_what_a_form_could_send_is_refused(place: Place, kind: str):
    answer = place.visitor().login("xenia", place.tokens["xenia"], Content_Type=kind)
    assert answer.status == 415 and "application/json" in answer.error


def test_a_huge_body_is_refused_before_it_has_come(place: Place):
    head = {"Origin": f"http://{place.console.address}", "Content-Type": "application/json"}
    for length in (MOST_BYTES + 1, 10**12):
        with Raw(place.console) as raw:
            raw.request("POST", "/api/login", {**head, "Content-Length": str(length)})
            status, _, body = raw.answer()
            assert status == 413 and str(MOST_BYTES) in json.loads(body)["error"]


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(place: Place):
    head = {"Origin": f"http://{place.console.address}", "Content-Type": "application/json"}
    with Raw(place.console) as raw:
        raw.request("POST", "/api/login", {**head, "Transfer-Encoding": "chunked"})
        for _ in range(MOST_BYTES // 4096 + 2):
            raw.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        assert raw.answer()[0] == 413


def test_a_body_where_none_belongs_is_refused(place: Place):
    for head in ({"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}):
        with Raw(place.console) as raw:
            raw.request("GET", "/", head)
            assert raw.answer()[0] == 400


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 5000,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_costs_no_line_in_the_log(place: Place, sent: bytes):
    before = place.console.report
    with Raw(place.console) as raw:
        raw.send(sent)
        assert raw.ended()[:12] == b"HTTP/1.1 400"
    assert place.console.report == before


# --- answers ----------------------------------------------------------------------------------------------------------


def test_every_answer_keeps_others_out_of_the_page(place: Place):
    visitor = place.visitor()
    answers = [
        place.console.get(path) for path in ("/", "/api/about", "/nowhere", "/static/nothing.js", "/api/nowhere")
    ]
    answers += [visitor.post("/api/login", b"["), place.console.get("/", Host="evil.example")]
    for answer in answers:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        assert {name: headers.get(name.lower()) for name in HEADERS} == HEADERS
        assert headers["cache-control"] in ("no-cache", "no-store")
        assert "access-control-allow-origin" not in headers and "server" not in headers
    assert place.console.get("/api/about").headers["cache-control"] == "no-store"


def test_a_refusal_is_json_for_a_page_and_words_for_who_typed_the_address(place: Place):
    assert place.console.get("/nowhere").error == "there is nothing at this address"
    for head in ({"Sec-Fetch-Mode": "navigate"}, {"Accept": "text/html,*/*"}):
        answer = place.console.get("/nowhere", **head)
        assert answer.status == 404 and answer.body == b"there is nothing at this address\n"
        assert answer.headers["content-type"].startswith("text/plain")
    assert place.console.get("/nowhere", **{"Accept": "text/html", "Sec-Fetch-Mode": "cors"}).error


# --- the command line -------------------------------------------------------------------------------------------------


def test_writing_needs_users_and_a_network_is_warned_of(tmp_path: Path):
    tokens = enrol(tmp_path / "users", oscar=Role.OPERATOR)
    options = ("--allow-write", "--users", str(tmp_path / "users"), "--host", "0.0.0.0")
    with alone(tmp_path, *options) as console:
        assert console.child is not None
        assert "warning: everybody who reaches 0.0.0.0 can see all nodes, and tokens" in console.child.output
        console.host = "127.0.0.1"
        assert Visitor(console).login("oscar", tokens["oscar"]).status == 200
    with alone(tmp_path, "--host", "0.0.0.0") as console:
        assert console.child is not None
        assert "warning: everybody who reaches 0.0.0.0 can see all nodes." in console.child.output
