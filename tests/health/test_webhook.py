"""Heartbeats over HTTP, to hubs that are dead, slow, lying or hostile: the program that sends never notices."""

from __future__ import annotations

import json
import logging
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.core.heartbeat import Heartbeat, read
from guardian.health.webhook import Webhook
from tests.health import odd_hub
from tests.health.odd_hub import OddHub
from tests.support import eventually, free_port

ONE = Heartbeat(name="camera", beat=1)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "guardian.health")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """To nobody yet."""
    made: list[Webhook] = []

    def make(url: str, token: str = "", timeout_s: float = 0.5) -> Webhook:
        made.append(Webhook(url, token, timeout_s=timeout_s))
        return made[-1]

    yield make  # type: ignore[misc]
    for one in made:
        one.close()


def test_a_hub_is_sent_json_with_the_token(webhook):
    with OddHub(odd_hub.good) as hub:
        hook = webhook(hub.url + "?who=me", "s3cret", timeout_s=20)
        hook.send(ONE)
        eventually(lambda: hub.requests)
        hook.close(20)
    head, _, body = hub.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hub?who=me HTTP/1.1\r\n")
    assert b"Authorization: Bearer s3cret" in head and b"Content-Type: application/json\r\n" in head
    assert read(body) == ONE and json.loads(body)["name"] == "camera"


TROUBLES = {
    "closes": (odd_hub.closes, "without an answer"),
    "hangs": (odd_hub.hangs, "no answer in 0.5 s"),
    "trickles": (odd_hub.trickles, "no answer in 0.5 s|does not speak HTTP"),
    "says 500": (odd_hub.says("HTTP/1.1 500 Out Of Coffee\n\n"), "it answers 500 Out Of Coffee"),
    "wants no token": (odd_hub.says("HTTP/1.1 401 Unauthorized\n\n"), "401"),
    "redirects": (odd_hub.says("HTTP/1.1 302 Found\nLocation: http://127.0.0.1:1/\n\n"), "redirects are not followed"),
    "is another kind of server": (odd_hub.says("SSH-2.0-OpenSSH_9.6\n"), "does not speak HTTP: b'SSH-2.0"),
    "floods": (odd_hub.floods, "does not speak HTTP"),
}


@pytest.mark.parametrize("behaves", TROUBLES)
def test_a_hub_in_trouble_is_told_once_and_once_when_it_is_well_again(behaves, webhook, caplog):
    behaviour, words = TROUBLES[behaves]
    with OddHub(behaviour) as hub:
        hook = webhook(hub.url)
        for count in range(1, 4):
            began = time.monotonic()
            hook.send(ONE)
            assert time.monotonic() - began < 5
            eventually(lambda count=count: len(hub.requests) >= count and hub.open == 0)
        eventually(lambda: hook.failing)
        hub.behaves = odd_hub.good
        eventually(lambda: hook.send(ONE) or not hook.failing, period_s=0.05)
        hook.close(20)
    told = [record.message for record in caplog.records]
    assert len(told) == 2, told
    assert f"do not reach the hub http://127.0.0.1:{hub.port}: " in told[0]
    assert any(word in told[0] for word in words.split("|"))
    assert "again" in told[1]


def test_a_hub_that_is_not_there_is_told_and_found_when_it_comes(webhook, caplog):
    port = free_port()
    hook = webhook(f"http://127.0.0.1:{port}/")
    hook.send(ONE)
    eventually(lambda: hook.failing)
    assert "refused" in caplog.records[0].message
    with OddHub(odd_hub.good, port) as hub:
        eventually(lambda: hook.send(ONE) or hub.requests, period_s=0.05)
        eventually(lambda: not hook.failing)


def test_a_huge_answer_is_neither_read_nor_kept(webhook):
    with OddHub(odd_hub.floods_after_a_good_line) as hub:
        hook = webhook(hub.url, timeout_s=20)
        hook.send(ONE)
        eventually(lambda: hub.requests and hub.open == 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(5):
            count = len(hub.requests)
            hook.send(ONE)
            eventually(lambda count=count: len(hub.requests) > count and hub.open == 0)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; five gigabytes were offered
        assert not hook.failing


def test_one_attempt_at_a_time_and_the_newest_heartbeat_wins(webhook):
    with OddHub(odd_hub.hangs) as hub:
        hook = webhook(hub.url)
        hook.send(Heartbeat(name="camera", beat=1))
        eventually(lambda: hub.requests)
        for beat in range(2, 5000):
            hook.send(Heartbeat(name="camera", beat=beat))
        eventually(lambda: len(hub.requests) == 2)
        assert read(hub.requests[1].partition(b"\r\n\r\n")[2]).beat == 4999
        eventually(lambda: hub.open == 0)
        assert hub.most_open == 1
        assert len([thread for thread in threading.enumerate() if thread.name == "guardian-webhook"]) == 1


def test_the_end_waits_for_no_hub(webhook):
    with OddHub(odd_hub.hangs) as hub:
        hook = webhook(hub.url, timeout_s=600)
        hook.send(ONE)
        eventually(lambda: hub.requests)
        began = time.monotonic()
        hook.close(0.2)
        assert time.monotonic() - began < 30
        assert not [thread for thread in threading.enumerate() if thread.name == "guardian-webhook"]
        hub.behaves = odd_hub.good
        hook.send(ONE)  # it begins anew
        eventually(lambda: len(hub.requests) == 2)


def test_the_last_heartbeat_goes_out_before_the_end(webhook):
    with OddHub(odd_hub.good) as hub:
        hook = webhook(hub.url)
        hook.send(ONE)
        hook.close(20)
        assert len(hub.requests) == 1


def test_a_forked_child_sends_nothing(webhook):
    import os

    with OddHub(odd_hub.good) as hub:
        hook = webhook(hub.url)
        pid = os.fork()
        if pid == 0:
            hook.send(ONE)
            hook.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert hub.requests == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "hub.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out", f"{path}.crt"]
    command += ["-days", "2", "-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


def test_https_is_spoken_and_the_certificate_checked(webhook, certificate, caplog, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)
    requests: list[bytes] = []
    ended = False

    def serve() -> None:
        while not ended:
            try:
                plain, _ = server.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    request = b""
                    while not request.endswith(b"}") and (more := connection.recv(65536)):
                        request += more
                    requests.append(request)
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:  # also the client's that does not trust it
                continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            hook = webhook(f"https://127.0.0.1:{server.getsockname()[1]}/", timeout_s=10)
            hook.send(ONE)
            eventually(lambda: hook.failing)
            assert "certificate" in caplog.records[0].message.lower()
            assert requests == []
            monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
            eventually(lambda: hook.send(ONE) or not hook.failing, period_s=0.1)
            assert requests
        finally:
            ended = True
            thread.join()
