"""A slow line to a Channel Access server on this machine: what the server says comes late, and of several monitors of
one channel often only the last, as from a server that has much to do. What the client says goes out at once.

A program: ``python -m tests.support.slow_line PORT SERVER_PORT LONGEST_S SEED`` listens on UDP and TCP ``PORT`` of
127.0.0.1, says ``LINE READY``, and runs until it is ended. Order is kept, as TCP keeps it. A delay is mostly none or
short, and once in a hundred up to ``LONGEST_S``.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from typing import Any

from ioc.cas import wire

HOME = "127.0.0.1"


class Line:
    """The line; `serve` runs it."""

    def __init__(self, port: int, server_port: int, longest_s: float, seed: int) -> None:
        self._port, self._server_port, self._longest_s = port, server_port, longest_s
        self._dice = random.Random(seed)

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: Searches(self._port, self._server_port), (HOME, self._port))
        await asyncio.start_server(self._circuit, HOME, self._port)
        print("LINE READY", flush=True)
        await asyncio.Event().wait()

    async def _circuit(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        server_reader, server = await asyncio.open_connection(HOME, self._server_port)
        for writer in (client, server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard: list[wire.Message] = []
        news = asyncio.Event()
        ways = [
            asyncio.create_task(way)
            for way in (
                self._forward(client_reader, server),
                self._hear(server_reader, heard, news),
                self._deliver(client, heard, news),
            )
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for task in ways:
            task.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        client.close()
        server.close()

    @staticmethod
    async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    @staticmethod
    async def _hear(reader: asyncio.StreamReader, heard: list[wire.Message], news: asyncio.Event) -> None:
        parser = wire.Parser()
        while data := await reader.read(65536):
            heard += parser.feed(data)
            news.set()

    async def _deliver(self, writer: asyncio.StreamWriter, heard: list[wire.Message], news: asyncio.Event) -> None:
        dice = self._dice
        while True:
            await news.wait()
            fate = dice.random()
            if fate < 0.01:
                await asyncio.sleep(dice.uniform(0.0, self._longest_s))
            elif fate < 0.6:
                await asyncio.sleep(dice.uniform(0.0, 0.04))
            messages = latest(heard) if dice.random() < 0.7 else list(heard)
            heard.clear()
            news.clear()
            writer.write(b"".join(wire.message(*message) for message in messages))
            await writer.drain()


def latest(heard: list[wire.Message]) -> list[wire.Message]:
    """Of each subscription the last event, at its place; everything else as it is."""
    last = {message.two: at for at, message in enumerate(heard) if message.command == wire.EVENT_ADD}
    return [
        message
        for at, message in enumerate(heard)
        if message.command != wire.EVENT_ADD or not message.payload or last[message.two] == at
    ]


class Searches(asyncio.DatagramProtocol):
    """Hands searches on to the server; its answers name this line instead."""

    def __init__(self, port: int, server_port: int) -> None:
        self._port, self._server_port = port, server_port
        self._ways: dict[Any, asyncio.DatagramTransport] = {}

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, client: Any) -> None:
        asyncio.get_running_loop().create_task(self._ask(data, client))

    async def _ask(self, data: bytes, client: Any) -> None:
        way = self._ways.get(client)
        if way is None:
            loop = asyncio.get_running_loop()
            way, _ = await loop.create_datagram_endpoint(
                lambda: Answers(lambda answer: self._answer(answer, client)), remote_addr=(HOME, self._server_port)
            )
            self._ways[client] = way
        way.sendto(data)

    def _answer(self, data: bytes, client: Any) -> None:
        messages = [
            message._replace(data_type=self._port) if message.command == wire.SEARCH else message
            for message in wire.Parser().feed(data)
        ]
        self._transport.sendto(b"".join(wire.message(*message) for message in messages), client)


class Answers(asyncio.DatagramProtocol):
    """What the server answers to one client."""

    def __init__(self, heard: Any) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, _server: Any) -> None:
        self._heard(data)


if __name__ == "__main__":
    line = Line(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    asyncio.run(line.serve())
