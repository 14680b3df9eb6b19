"""Files that would hold up a host which reads them: pipes, endless devices, disks that hang."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from guardian.errors import ExpectedError
from guardian.host.reader import Reader
from guardian.host.reading import read_bytes


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert read_bytes(tmp_path / "file") == b"x" * 100_000
    assert read_bytes(Path("/dev/null")) == b""


def test_what_has_no_end_or_no_beginning_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe, and no file"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(OSError, match="it has more than 16000000 bytes"):
        read_bytes(Path("/dev/zero"))


def test_a_folder_is_refused_and_costs_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with pytest.raises(IsADirectoryError):
            read_bytes(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_disk_that_hangs_costs_one_thread_and_no_time_of_the_loop() -> None:
    reader, back = Reader("site file X1.toml"), threading.Event()
    with pytest.raises(ExpectedError, match=r"site file X1.toml could not be read in 0\.1 s: its disk hangs"):
        await reader.read(lambda: back.wait(60), 0.1)
    for _ in range(3):
        with pytest.raises(ExpectedError, match="is still being read"):
            await reader.read(lambda: 1)
    assert [thread.name for thread in threading.enumerate()].count("reader") == 1
    back.set()
    for thread in threading.enumerate():
        if thread.name == "reader":
            thread.join(20)
    assert await reader.read(lambda: 2) == 2


async def test_what_goes_wrong_is_told_to_whoever_reads() -> None:
    with pytest.raises(ZeroDivisionError):
        await Reader("it").read(lambda: 1 // 0)
