"""What a program can ask of its machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guardian.errors import ExosError
from guardian.health import get_sysname, get_system_mac, is_capability_supported, is_stackable, machine
from tests.support import REPO, netns

ASK = "from guardian.health import *\ntry: print(get_system_mac())\nexcept ExosError as error: print(error)"


def test_the_system_is_the_site_else_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE", "XLAB")
    monkeypatch.setenv("IFO", "X1")
    assert get_sysname() == "XLAB"
    monkeypatch.delenv("SITE")
    assert get_sysname() == "X1"
    monkeypatch.delenv("IFO")
    assert get_sysname() == os.uname().nodename


def interfaces(folder: Path, **these: tuple[str, str, bool]) -> Path:
    for name, (kind, address, is_real) in these.items():
        (folder / name).mkdir()
        (folder / name / "type").write_text(f"{kind}\n")
        (folder / name / "address").write_text(f"{address}\n")
        if is_real:
            (folder / name / "device").mkdir()
    return folder


def test_the_address_is_that_of_the_first_real_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real interfaces of all kinds cannot be had on every machine: files as the kernel shows them."""
    found = interfaces(
        tmp_path,
        lo=("772", "00:00:00:00:00:00", False),
        docker0=("1", "02:42:00:00:00:01", False),
        enp2s0=("1", "AA:bb:cc:dd:ee:02", True),
        enp1s0=("1", "aa:bb:cc:dd:ee:01", True),
        ib0=("32", "80:00:02:08", True),
        down=("1", "00:00:00:00:00:00", True),
    )
    monkeypatch.setattr(machine, "_NET", found)
    assert get_system_mac() == "aa:bb:cc:dd:ee:01"
    for real in "enp1s0", "enp2s0":
        (found / real / "device").rmdir()
    assert get_system_mac() == "02:42:00:00:00:01"
    monkeypatch.setattr(machine, "_NET", tmp_path / "nothing")
    with pytest.raises(ExosError, match=r"no network interface with a hardware address \(found: none\)"):
        get_system_mac()


@pytest.mark.proc
@pytest.mark.skipif(bool(netns.why_not()), reason=str(netns.why_not()))
def test_a_machine_without_network_has_none() -> None:
    remount = "mount -t sysfs sysfs /sys && exec " + f"{sys.executable} -c '{ASK}'"
    done = subprocess.run(
        ["unshare", "-rnm", "sh", "-c", remount], cwd=REPO, capture_output=True, text=True, timeout=60, check=False
    )
    if "mount:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout == (
        "get_system_mac(): no network interface with a hardware address (found: lo); use get_sysname()\n"
    ), done.stderr


@pytest.mark.proc
def test_this_machine_says_what_the_kernel_says() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], cwd=REPO, capture_output=True, text=True, timeout=60, check=True)
    known = {path.read_text().strip() for path in Path("/sys/class/net").glob("*/address")}
    address = done.stdout.strip()
    assert "get_system_mac()" in address or (address in known and re.fullmatch("(..:){5}..", address))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("processes", True),
        ("threads", True),
        ("pools", True),
        ("heartbeats", True),
        ("Threads", True),
        ("ca-client", True),
        ("ca-server", True),
        ("supervised", False),
        ("watchdog", False),
        ("standby", False),
        ("campaigns", False),
        ("snapshots", False),
        ("time-travel", False),
    ],
)
def test_what_is_supported(name: str, expected: bool) -> None:
    assert is_capability_supported(name) is expected


def test_what_is_no_name_is_told_and_nothing_is_stacked() -> None:
    with pytest.raises(ExosError, match="the name of a capability is a text, found 7"):
        is_capability_supported(7)  # type: ignore[arg-type]
    assert is_stackable() is False
