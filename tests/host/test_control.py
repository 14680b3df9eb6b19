"""The control socket: who may use it, what it answers to orders and to nonsense, and `ask` at its other end."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import socket
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import Stop
from guardian.core.who import Who
from guardian.enums import Op, Worker
from guardian.errors import ExpectedError
from guardian.host.access import Access
from guardian.host.asking import PATH_BYTES, NoAnswer, NoHost, ask
from guardian.host.control import LINE_BYTES, Control
from guardian.host.doorkeeper import Doorkeeper
from tests.host.house import House, house
from tests.support import Child

EVE = Who("eve", "", "guardctrl")


class Client:
    """A connection that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, line: bytes) -> dict[str, Any]:
        self.writer.write(line + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(self.reader.readline(), 20))
        return answer

    async def order(self, do: str, node: str = "") -> dict[str, Any]:
        return await self.says(json.dumps({"do": do, "node": node}).encode())


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        control = Control(made.host)
        await control.start()
        yield made
        await control.stop()
        assert not made.site.control_socket.exists()


async def connect(home: House) -> Client:
    return Client(*await asyncio.open_unix_connection(home.site.control_socket))


@pytest.fixture
async def client(home: House) -> AsyncIterator[Client]:
    made = await connect(home)
    yield made
    made.writer.close()


async def test_the_orders(home: House, client: Client) -> None:
    assert await client.order("create", "SUS") == {"ok": True, "node": "SUS", "op": "EXEC"}
    await home.settled(home.host["SUS"])
    (facts,) = (await client.order("list"))["nodes"]
    assert facts == {
        "node": "SUS",
        "state": "ALIGNED",
        "request": "ALIGNED",
        "status": "DONE",
        "op": "EXEC",
        "mode": "AUTO",
        "worker": "RUN",
        "ok": True,
        "why": "",
    }
    about = await client.order("about")
    assert about["nodes"] == ["SUS"] and about["dir"] == str(home.site.state_dir)
    assert (about["ifo"], about["pv"], about["port"]) == (home.site.ifo, home.site.pv, home.face.port)
    assert (await client.order("stop", "SUS"))["ok"]
    await home.reached(home.host["SUS"], lambda v: v.worker is Worker.STOP)
    (record,) = await home.journal(kind="op")
    assert record["by"] == f"{getpass.getuser()} (guardctrl)"  # told by the kernel
    assert (await client.order("start", "SUS"))["ok"]
    await home.settled(home.host["SUS"])
    assert (await client.order("destroy", "SUS"))["ok"]
    assert (await client.order("list"))["nodes"] == []
    for what in ("was added to", "is removed from"):
        assert await home.logged(f"SUS {what} this host by {getpass.getuser()} (guardctrl)")


@pytest.mark.parametrize(
    ("do", "node", "says"),
    [
        ("create", "SUS", "runs already"),
        ("create", "sus", "no name for a node"),
        ("create", "", "no name for a node"),
        ("create", "../etc", "no name for a node"),
        ("destroy", "IMC", "does not run in this host; it runs SUS"),
        ("start", "IMC", "guardctrl create IMC"),
        ("stop", "", "does not run"),
    ],
)
async def test_orders_that_cannot_be_done(home: House, client: Client, do: str, node: str, says: str) -> None:
    await home.host.add("SUS")
    answer = await client.order(do, node)
    assert not answer["ok"] and says in answer["error"]
    assert list(home.host) == ["SUS"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'"do"',
        b"{}",
        b'{"do": 5}',
        b'{"do": []}',
        b'{"do": "explode"}',
        b"\xff",
        b"[" * 50_000,
    ],
    ids=lambda line: line[:12].decode(errors="replace"),
)
async def test_nonsense_is_answered(client: Client, line: bytes) -> None:
    answer = await client.says(line)
    assert (
        not answer["ok"]
        and "is no order; known are create, destroy, start, stop, restart, list, about" in answer["error"]
    )
    assert (await client.order("list"))["ok"]  # the connection lives on


@pytest.mark.parametrize("size", [LINE_BYTES + 100, 150_000])
async def test_a_line_that_is_too_long_is_answered_and_ends_the_connection(
    home: House, client: Client, size: int
) -> None:
    answer = await client.says(b"x" * size)
    assert f"more than {LINE_BYTES} bytes" in answer["error"]
    assert await asyncio.wait_for(client.reader.read(), 20) == b""
    other = await connect(home)
    assert (await other.order("list"))["ok"]
    other.writer.close()


async def test_a_fault_of_ours_is_answered_too(
    home: House, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_name: str, **_: str) -> None:
        raise KeyError("x")

    monkeypatch.setattr(home.host, "add", broken)
    answer = await client.order("create", "SUS")
    assert "create SUS: KeyError" in answer["error"] and "please report" in answer["error"]
    assert "Traceback" in caplog.text


async def test_clients_do_not_wait_for_each_other(home: House, client: Client) -> None:
    await home.host.add("SUS")
    home.spawner.unkillable = True
    home.spawner.mute = {Stop}
    going = asyncio.create_task(client.order("destroy", "SUS"))
    other = await connect(home)
    assert (await other.order("create", "IMC"))["ok"]
    assert not going.done()
    assert "is being removed" in (await other.order("create", "SUS"))["error"]
    assert "is being removed" in (await other.order("start", "SUS"))["error"]  # not done, and not said to be
    home.spawner.unkillable = False
    home.spawner.workers[0].die(sig=9)
    assert (await going)["ok"]
    other.writer.close()


async def test_clients_that_go_away_in_the_middle(home: House) -> None:
    for rest in (b"", b'{"do": "li', b'{"do": "list"}\n'):
        leaving = await connect(home)
        leaving.writer.write(rest)
        await leaving.writer.drain()
        leaving.writer.transport.abort()
    last = await connect(home)
    assert (await last.order("list"))["ok"]
    last.writer.close()


async def test_a_node_that_is_removed_while_it_is_added_is_told(home: House) -> None:
    """Ten shells at once: what was found was a KeyError."""

    async def shell(number: int) -> list[dict[str, Any]]:
        client = await connect(home)
        told = [await client.order("destroy" if (number + turn) % 2 else "create", "SUS") for turn in range(40)]
        client.writer.close()
        return told

    told = [answer for answers in await asyncio.gather(*map(shell, range(10))) for answer in answers]
    assert any(answer["ok"] for answer in told)
    assert not [answer for answer in told if "please report" in answer.get("error", "")]


async def test_who_creates_a_node_that_was_stopped_hears_of_it(home: House, client: Client) -> None:
    await home.aligned()
    await client.order("stop", "SUS")
    await client.order("destroy", "SUS")
    assert await client.order("create", "SUS") == {"ok": True, "node": "SUS", "op": "STOP"}


async def test_only_the_user_may_open_it(home: House) -> None:
    assert stat.S_IMODE(home.site.control_socket.stat().st_mode) == 0o600


async def test_the_end_of_the_host_lets_go_of_clients(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        control = Control(home.host)
        await control.start()
        idle = await connect(home)
        await idle.order("list")
        await control.stop()
        assert await asyncio.wait_for(idle.reader.read(), 20) == b""
        idle.writer.close()


async def test_the_socket_of_a_dead_host_is_taken_over(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        path = home.site.control_socket
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        control = Control(home.host)
        await control.start()
        client = await connect(home)
        assert (await client.order("list"))["ok"]
        client.writer.close()
        second = Control(home.host)
        with pytest.raises(ExpectedError, match="another host answers there"):
            await second.start()
        await second.stop()
        assert path.exists()  # it is not the second one's
        await control.stop()


async def test_places_where_no_socket_can_be(tmp_path: Path) -> None:
    async with house(tmp_path / "here") as home:
        home.site.control_socket.mkdir()
        with pytest.raises(ExpectedError, match="something else has that name"):
            await Control(home.host).start()
        home.site.control_socket.rmdir()
        home.site.control_socket.write_text("precious")
        with pytest.raises(ExpectedError, match="something else has that name"):
            await Control(home.host).start()
        assert home.site.control_socket.read_text() == "precious"
    async with house(tmp_path / ("deep" * 30)) as home:
        with pytest.raises(ExpectedError, match="too long; give a shorter --state-dir"):
            await Control(home.host).start()


# --- ask


def _serve_once(path: Path, reply: Callable[[socket.socket], None]) -> threading.Thread:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        with server, server.accept()[0] as client:
            client.recv(65536)
            reply(client)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "ended before it answered"),
        (b"hello\n", "no host answers"),
        (b"[1]\n", "no host answers"),
        (b"null\n", "no host answers"),
        (b'{"ok": false, "error": "IMC does not run"}\n', "^IMC does not run$"),
        (b'{"ok": false}\n', "refused"),
        (b'{"nodes": []}\n', "refused"),
    ],
)
def test_ask_tells_what_is_wrong(tmp_path: Path, reply: bytes, says: str) -> None:
    path = tmp_path / "control.sock"
    thread = _serve_once(path, lambda client: client.sendall(reply))
    with pytest.raises(ExpectedError, match=says):
        ask(path, {"do": "list"})
    thread.join()


def test_ask_does_not_wait_for_ever(tmp_path: Path) -> None:
    path, over = tmp_path / "control.sock", threading.Event()
    thread = _serve_once(path, lambda _client: (over.wait(20), None)[1])
    with pytest.raises(ExpectedError, match=r"did not answer within 0.05 s"):
        ask(path, {"do": "list"}, timeout_s=0.05)
    over.set()
    thread.join()


def test_a_host_that_is_stopped_is_named_and_may_still_do_it(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    code = (
        f"import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind({str(path)!r})\ns.listen(1)\nprint('UP', flush=True)"
    )
    with Child([sys.executable, "-c", f"{code}\ninput()"], stdin=True) as child:
        child.wait_for("UP")
        child.signal(signal.SIGSTOP)
        stopped = f"process {child.pid} is stopped, by SIGSTOP or a debugger"
        with pytest.raises(NoAnswer, match=f"{stopped}.*kill -CONT.*It may still do what it was asked for"):
            ask(path, {"do": "destroy", "node": "SUS"}, timeout_s=0.2)
        with pytest.raises(NoAnswer) as told:
            ask(path, {"do": "status"}, timeout_s=0.2)
        assert stopped in str(told.value) and "may still" not in str(told.value)
        for _ in range(3):  # more than it lets in
            with pytest.raises(NoAnswer, match=r"did not answer within 0\.2 s"):
                ask(path, {"do": "status"}, timeout_s=0.2)
        child.signal(signal.SIGCONT)


def test_a_host_that_dies_with_the_order_unread_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def die() -> None:
            server.accept()[0].close()

        threading.Timer(0.3, die).start()
        with pytest.raises(ExpectedError, match="ended before it answered; see its log"):
            ask(path, {"do": "destroy", "node": "SUS"})


def test_where_no_socket_can_be_is_no_host(tmp_path: Path) -> None:
    with pytest.raises(NoHost, match="too long"):
        ask(tmp_path / ("x" * PATH_BYTES), {"do": "list"})


def test_ask_where_nobody_is(tmp_path: Path) -> None:
    for path in (tmp_path / "control.sock", tmp_path / ("x" * 120) / "control.sock", tmp_path):
        with pytest.raises(ExpectedError, match="no host answers at"):
            ask(path, {"do": "list"})


async def test_ask_and_a_real_control_socket(home: House) -> None:
    answer = await asyncio.to_thread(ask, home.site.control_socket, {"do": "create", "node": "SUS"})
    assert answer == {"ok": True, "node": "SUS", "op": "EXEC"}
    assert home.host["SUS"].view.op is Op.EXEC


async def test_who_may_write_is_told_and_read_anew(home: House, tmp_path: Path) -> None:
    await home.aligned()
    acf = tmp_path / "lab.acf"
    acf.write_text("ASG(DEFAULT){RULE(1,READ)}")
    keeper = await Doorkeeper.begin(Access(acf=acf), lambda: Access(acf=acf), lambda *_: None)
    control = Control(home.host, keeper)
    who = {"user": "ann", "host": "ws3", "address": "10.1.2.3"}

    async def asked(do: str, node: str = "") -> dict[str, Any]:
        return await control._answer(json.dumps({"do": do, "node": node, **who}).encode(), EVE)

    told = await asked("rights", "SUS")
    assert [(group["group"], group["may"]) for group in told["groups"]] == [
        (asg, "read") for asg in ("READ", "OPERATE", "MANAGE", "EXPERT")
    ]
    assert told["groups"][1]["rule"] == f"{acf}:1 RULE(1, READ)" and "REQUEST" in told["groups"][1]["pvs"]
    assert "does not run in this host" in (await asked("rights", "NOBODY"))["error"]
    acf.write_text("ASG(DEFAULT){RULE(1,WRITE)}")
    assert await asked("load rules") == {"ok": True, "from": str(acf)}
    assert [group["may"] for group in (await asked("rights"))["groups"]] == ["read", "write", "write", "write"]
    acf.write_text("ASG(")
    assert "lab.acf:1: found the end of the file" in (await asked("load rules"))["error"]
    assert "everybody may write" in (await Control(home.host)._answer(b'{"do": "rights"}', EVE))["error"]
