"""Random and malformed bytes at a real server, bounded in number, with an honest client that watches its rate.

``FUZZ_ROUNDS`` makes it longer; the seed is printed, and given again by ``FUZZ_SEED``.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from ioc.cas import wire
from tests.ioc.cas.raw import Raw, subscription
from tests.support import eventually
from tests.support.load import PREFIX, LoadServer, Witness

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.slow]

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "400"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
OFFERED = 1000


@pytest.fixture(scope="module")
def server() -> Iterator[LoadServer]:
    with LoadServer("cheap", 100) as one:
        one.offer(OFFERED)
        yield one


@pytest.fixture
def dice() -> random.Random:
    print(f"FUZZ_SEED={SEED} FUZZ_ROUNDS={ROUNDS}")
    return random.Random(SEED)


# -- what may come -----------------------------------------------------------------------------------------------------


def noise(dice: random.Random) -> bytes:
    """Any bytes."""
    return dice.randbytes(dice.randrange(1, 4000))


def any_message(dice: random.Random) -> bytes:
    """A header that is one, with numbers near those that mean something, and a payload of any length."""
    number = dice.choice([0, 1, 2, 3, 50, 2**16 - 1, 2**31, 2**32 - 1, dice.getrandbits(32)])
    other = dice.choice([0, 1, 2, 5, 2**31 - 1, dice.getrandbits(32)])
    size = dice.choice([0, 8, 16, 40, 48, 1000])
    payload = dice.randbytes(size) if dice.random() < 0.5 else f"{PREFIX}FAN{dice.randrange(120)}".encode() + b"\0"
    elements = dice.choice([0, 1, 2, 100, 2**16 - 1, 2**31])
    return wire.message(dice.randrange(30), dice.randrange(45), elements, number, other, payload)


def long_header(dice: random.Random) -> bytes:
    """Announces what does not come: up to 4 GB."""
    size = dice.choice([2**16, 2**24, 2**31 - 1, 2**32 - 1])
    count = dice.choice([0, 1, 2**31])
    return struct.pack(">HHHHIIII", dice.choice([4, 15, 19, 1]), 0xFFFF, 6, 0, 1, 1, size, count) + b"\0" * 100


def cut(dice: random.Random) -> bytes:
    """A real conversation that ends in the middle."""
    whole = b"".join(
        (
            wire.message(wire.VERSION, 0, 13),
            wire.message(wire.CLIENT_NAME, payload=b"fuzz\0"),
            wire.message(wire.HOST_NAME, payload=b"\xff\xfe\0"),
            wire.message(wire.CREATE_CHAN, 0, 0, 1, 13, f"{PREFIX}FAN1\0".encode()),
            subscription(1, 1, dice.randrange(39)),
            wire.message(wire.READ_NOTIFY, dice.randrange(39), 0, 1, 2),
            wire.message(wire.WRITE_NOTIFY, 6, 1, 1, 3, dice.randbytes(8)),
            wire.message(wire.EVENTS_OFF),
            wire.message(wire.EVENT_CANCEL, 6, 0, 1, 1),
            wire.message(wire.EVENTS_ON),
            wire.message(wire.CLEAR_CHANNEL, 0, 0, 1, 1),
        )
    )
    return whole[: dice.randrange(1, len(whole) + 1)]


def flipped(dice: random.Random) -> bytes:
    """A real conversation with some bits turned."""
    data = bytearray(cut(dice))
    for _ in range(dice.randrange(1, 6)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


KINDS: list[Callable[[random.Random], bytes]] = [noise, any_message, long_header, cut, flipped]


# -- the tests ---------------------------------------------------------------------------------------------------------


def test_any_bytes_on_circuits_disturb_nobody(server: LoadServer, dice: random.Random) -> None:
    memory, files = server.memory_mb, server.files
    with Witness(server) as witness:
        witness.watch(1)
        start = time.monotonic()
        for _ in range(ROUNDS):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 30) as sock:
                sock.settimeout(0.02)
                if dice.random() < 0.7:
                    sock.sendall(wire.message(wire.CREATE_CHAN, 0, 0, 1, 13, f"{PREFIX}FAN0\0".encode()))
                for _ in range(dice.randrange(1, 6)):
                    sock.sendall(dice.choice(KINDS)(dice))
                if dice.random() < 0.5:
                    sock.recv(10_000)
        got = witness.watch(2)
        print(f"{ROUNDS} in {time.monotonic() - start:.1f} s; {got.rate:.0f}/s, silent for {got.silence_s:.3f} s")
        assert got.rate > 0.8 * OFFERED
        assert got.silence_s < 1.0
    eventually(lambda: server.files <= files, what=f"{files} descriptors again")
    assert server.memory_mb - memory < 60
    assert "Traceback" not in server.output and "Please report" not in server.output, server.report()


def test_any_datagrams_disturb_nobody(server: LoadServer, dice: random.Random) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, Witness(server) as witness:
        sock.connect(("127.0.0.1", server.port))
        witness.watch(1)
        for _ in range(5 * ROUNDS):
            data = dice.choice(KINDS)(dice)[:1400]
            if dice.random() < 0.5:
                data = wire.message(wire.VERSION, 1, 13, 7) + data
            with contextlib.suppress(OSError):
                sock.send(data)
        got = witness.watch(2)
        assert got.rate > 0.8 * OFFERED
        assert got.silence_s < 1.0
    assert "Traceback" not in server.output, server.report()


def test_names_with_anything_in_them_are_not_here(server: LoadServer, dice: random.Random) -> None:
    with Raw(server.port) as raw:
        for _ in range(ROUNDS):
            junk = bytes(dice.choice(b'.{}[]":,$ abc0\xff') for _ in range(dice.randrange(1, 40)))
            name = f"{PREFIX}FAN0".encode() + dice.choice([b".", b"", b".VAL"]) + junk
            raw.send(wire.message(wire.CREATE_CHAN, 0, 0, 5, 13, name + b"\0"))
            raw.next(wire.CREATE_CHAN, wire.CREATE_CH_FAIL)
        raw.sync()


def test_a_write_of_any_bytes_is_taken_or_refused(server: LoadServer, dice: random.Random) -> None:
    with Raw(server.port) as raw:
        sid = raw.channel(f"{PREFIX}PV0")[0]
        for _ in range(ROUNDS):
            raw.put(
                sid, dice.randrange(60), dice.randbytes(dice.choice([0, 1, 8, 40, 80])), dice.choice([0, 1, 2, 999])
            )
            raw.next(wire.WRITE_NOTIFY, wire.ERROR)
        for data_type in range(70):
            raw.read(sid, data_type, dice.choice([0, 1]))
    assert "Traceback" not in server.output, server.report()
