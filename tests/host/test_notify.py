"""What is said to a service manager, read by a real socket of the kind that systemd has."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from guardian.host import notify


def manager(address: str) -> socket.socket:
    """A service manager, as far as a datagram can tell."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(f"\0{address[1:]}" if address.startswith("@") else address)
    sock.settimeout(10)
    return sock


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_lines_arrive_together_whatever_kind_of_address(kind: str, tmp_path: Path):
    address = str(tmp_path / "notify") if kind == "path" else f"@guardian-test-{os.getpid()}"
    with manager(address) as listening:
        to = notify.listen_to({"NOTIFY_SOCKET": address})
        assert to and to.send(notify.READY, notify.status("two\n lines"))
        assert listening.recv(4096) == b"READY=1\nSTATUS=two lines"
        to.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:3"}])
def test_without_a_manager_that_it_understands_it_is_silent(environ: dict[str, str]):
    to = notify.listen_to({**environ, "WATCHDOG_USEC": "1000000"})
    assert not to
    assert to.send("READY=1")
    assert to.watchdog_s == 0.0


def test_a_manager_that_does_not_read_or_is_gone_holds_nobody_up(tmp_path: Path):
    address = str(tmp_path / "notify")
    to = notify.listen_to({"NOTIFY_SOCKET": address})
    assert not to.send("READY=1")
    with manager(address) as listening:
        sent = 0
        while to.send(f"STATUS={sent}"):
            sent += 1
            assert sent < 100_000
        assert listening.recv(4096) == b"STATUS=0"
        assert to.send("READY=1")
    to.close()


def test_the_watchdog_is_for_the_process_that_is_named():
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}
    assert notify.listen_to(environ).watchdog_s == 30.0
    assert notify.listen_to({**environ, "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 30.0
    assert notify.listen_to({**environ, "WATCHDOG_PID": "1"}).watchdog_s == 0.0
    assert notify.listen_to({**environ, "WATCHDOG_PID": "77"}, {os.getpid(), 77}).watchdog_s == 30.0
    assert notify.listen_to({**environ, "WATCHDOG_USEC": "soon"}).watchdog_s == 0.0


def test_what_is_taken_is_in_no_environment_any_more():
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "PATH": "/bin"}
    assert notify.take(environ)
    assert environ == {"PATH": "/bin"}


def test_a_status_is_one_line_of_bounded_length():
    line = notify.status("ä" * 1000)
    assert len(line.encode()) <= notify.STATUS_BYTES + len("STATUS=") and line.endswith("...")
