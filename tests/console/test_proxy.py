"""A console behind a real nginx, which has the certificate, with the lines of docs/howto/console.rst."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from websockets.sync.client import connect

from guardian.console.people import Role
from tests.console.consoling import GuardianConsole
from tests.console.visiting import enrol
from tests.support import REPO, Child, eventually, free_port
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [
    pytest.mark.ca,
    pytest.mark.proc,
    pytest.mark.skipif(not shutil.which("nginx"), reason="there is no nginx; Debian has it in nginx-light"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl, which makes the certificate"),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with Guardhost(tmp_path_factory.mktemp("px"), {"OVEN": GOOD}) as host:
        host.wait("OVEN", "STATUS", "DONE")
        yield host


class Proxy:
    """What a browser reaches, at ``https://localhost:PORT``."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.port = port
        self.origin = f"https://localhost:{port}"
        self.tls = ssl.create_default_context(cafile=str(certificate))

    def ask(self, method: str, path: str, said: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPSConnection("localhost", self.port, timeout=30, context=self.tls)
        try:
            body = None if said is None else json.dumps(said).encode()
            sent = {"Content-Type": "application/json", "Origin": self.origin} | headers
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in sent.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def configuration(folder: Path, port: int, console: int) -> str:
    """The lines of the manual, with the paths and ports of this test, and what nginx needs around them."""
    manual = (REPO / "docs" / "howto" / "console.rst").read_text()
    lines = manual.partition("For nginx::\n\n")[2].partition("\n\n``Host``")[0]
    for theirs, ours in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server_name control.lab.example;", "server_name localhost;"),
        ("/etc/ssl/certs/control.pem", str(folder / "control.pem")),
        ("/etc/ssl/private/control.key", str(folder / "control.key")),
        ("http://127.0.0.1:8080", f"http://127.0.0.1:{console}"),
    ):
        assert lines.count(theirs) == 1, f"the manual says {theirs} no more"
        lines = lines.replace(theirs, ours)
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    rooms = "\n".join(f"{place}_temp_path {folder}/{place};" for place in places)
    head = f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}"
    return f"{head}\nhttp {{\naccess_log off;\n{rooms}\n{lines}\n}}\n"


@pytest.fixture(scope="module")
def proxy(house: Guardhost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, dict[str, str]]]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    key, certificate = str(folder / "control.key"), folder / "control.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True, timeout=60)
    tokens = enrol(folder / "users", ann=Role.OPERATOR)
    proxy = Proxy(port, certificate)
    options = ("--allow-write", "--users", str(folder / "users"), "--origin", proxy.origin)
    with GuardianConsole(house, options=options) as console:
        console.wait("/api/nodes/OVEN", lambda node: node["graph"])
        (folder / "nginx.conf").write_text(configuration(folder, port, console.port))
        with Child(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]) as nginx:

            def reached() -> bool:
                try:
                    return proxy.ask("GET", "/api/about")[0] == 200
                except OSError:
                    return False

            try:
                eventually(reached, 30, "nginx to pass on a page", period_s=0.1)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{nginx.report()}\n{console.report}") from None
            yield proxy, tokens


def test_a_person_logs_in_and_a_node_moves(proxy: tuple[Proxy, dict[str, str]], house: Guardhost) -> None:
    place, tokens = proxy
    status, headers, body = place.ask("POST", "/api/login", {"user": "ann", "token": tokens["ann"]})
    assert status == 200, body
    cookie = headers["set-cookie"]
    assert cookie.startswith("__Host-") and "Secure" in cookie
    known = {"Cookie": cookie.partition(";")[0], "X_Guardian_CSRF": json.loads(body)["csrf"]}
    wanted = "WORK" if house.get("OVEN", "STATE") == "REST" else "REST"
    status, _, body = place.ask("POST", "/api/nodes/OVEN/request", {"state": wanted, "confirm": "OVEN"}, **known)
    assert status == 200, body
    house.wait("OVEN", "STATE", wanted)


def test_the_socket_of_a_page_comes_through(proxy: tuple[Proxy, dict[str, str]]) -> None:
    place, _ = proxy
    address = place.origin.replace("https", "wss") + "/feed"
    with connect(address, ssl=place.tls, origin=place.origin) as page:  # type: ignore[arg-type]
        told = json.loads(page.recv(30))
        assert told["t"] == "snap" and [cell["node"] for cell in told["cells"]] == ["OVEN"]
        assert json.loads(page.recv(30))["t"] in ("beat", "delta")


def test_pages_of_others_are_others_behind_a_proxy_too(proxy: tuple[Proxy, dict[str, str]]) -> None:
    place, tokens = proxy
    said = {"user": "ann", "token": tokens["ann"]}
    assert place.ask("POST", "/api/login", said, Origin="https://evil.example")[0] == 403
    assert place.ask("GET", "/", Host="evil.example")[0] in (403, 421)
