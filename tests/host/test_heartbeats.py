"""What a host sends to a hub outside, as its site file says; to a real one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from guardian.core.heartbeat import Heartbeat
from guardian.core.heartbeat import read as read_heartbeat
from guardian.enums import ProcessState
from guardian.errors import ExpectedError
from guardian.health.receiver import Receiver
from guardian.host import host as host_module
from guardian.host.heartbeats import Outside
from guardian.host.site import read_site
from tests.host.house import house


@pytest.fixture(autouse=True)
def _locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "locks"))


async def test_a_hub_hears_of_a_host_and_its_troubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "TICK_S", 0.02)
    (tmp_path / "token").write_text("secret\n")
    heard: list[Heartbeat] = []
    hub = Receiver(lambda body: heard.append(read_heartbeat(body)), port=0, token="secret")
    try:
        outside = Outside(webhook=hub.url, every_s=0.05, token_file=tmp_path / "token")
        async with house(tmp_path, host="a", outside=outside) as home:
            await home.aligned()
            await home.until(lambda: heard and heard[-1].facts["nodes"] == 1, "the node to be counted")
            last = heard[-1]
            assert (last.name, last.state) == ("X1:HOST_a", ProcessState.READY)
            assert (last.facts["ok"], last.facts["why"], last.late) == (True, "", ())
            await home.until(lambda: heard[-1].beat != last.beat, "the counter to move")
            home.host.troubles.wanted("a client was turned away")
            await home.until(lambda: heard[-1].facts["ok"] is False, "the trouble to be heard of")
            assert "a client was turned away" in str(heard[-1].facts["why"])
        await asyncio.sleep(0)
        assert heard[-1].state is ProcessState.STOPPED
    finally:
        hub.close()


async def test_a_loop_that_stands_still_is_seen_by_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats come all the same, and the counter in them stands."""
    monkeypatch.setattr(host_module, "TICK_S", 60.0)
    heard: list[Heartbeat] = []
    hub = Receiver(lambda body: heard.append(read_heartbeat(body)), port=0)
    try:
        async with house(tmp_path, outside=Outside(webhook=hub.url, every_s=0.05)) as home:
            await home.until(lambda: len(heard) > 3, "heartbeats")
            assert len({one.beat for one in heard}) == 1
    finally:
        hub.close()


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('webhook = "ftp://x/"', "health.webhook: the address of a hub is http://"),
        ('webhook = "http://u:p@x/"', "health.webhook: the address of a hub"),
        ("webhook_every = 5", "health.webhook is missing"),
        ('webhook = "http://x/"\nwebhook_every = 0', "health.webhook_every = 0; use 0.05 to"),
        ('webhook = "http://x/"\nevery = 1', "health.every is unknown; known are webhook, webhook_every, token_file"),
    ],
)
def test_what_a_site_file_may_not_say_of_it(tmp_path: Path, table: str, fault: str) -> None:
    (tmp_path / "site.toml").write_text(f'nodes = ["SUS"]\n[health]\n{table}\n')
    with pytest.raises(ExpectedError) as told:
        read_site(tmp_path / "site.toml")
    assert fault in str(told.value)


def test_what_a_site_file_says_of_it(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('nodes = ["SUS"]\n[health]\nwebhook = "http://x/"\ntoken_file = "t"\n')
    site = read_site(tmp_path / "site.toml")
    assert site.outside == Outside(webhook="http://x/", every_s=10.0, token_file=tmp_path / "t")


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff\xfe", "no text")])
async def test_without_its_token_a_host_does_not_start(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    outside = Outside(webhook="http://127.0.0.1:9/", token_file=tmp_path / "token")
    async with house(tmp_path, start=False, outside=outside) as home:
        with pytest.raises(ExpectedError, match=why):
            await home.host.start()
