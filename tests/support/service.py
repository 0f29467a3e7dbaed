"""A service in memory for a client: every connection is the test's to serve."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio
import trio.testing

from trioecho.base.nursery import open_background_nursery

from .guard import guarded
from .streams import receive_exactly
from .wire import frame


class Connection:
    """The service's end of one connection; frames of 4 bytes of length, big-endian."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.received: list[bytes] = []

    async def receive(self) -> bytes:
        """The next payload; empty at the end of the stream as well."""
        try:
            length = int.from_bytes(await receive_exactly(self.stream, 4), "big")
            payload = await receive_exactly(self.stream, length)
        except (AssertionError, trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        self.received.append(payload)
        return payload

    async def reply(self, *payloads: bytes) -> None:
        await self.stream.send_all(b"".join(map(frame, payloads)))

    async def end(self) -> None:
        await self.stream.aclose()


class Service:
    """Gives a client its connections.

    Attributes:
      connections: those that were opened.
      attempts: when a connection was asked for.
      refusals: how many connections are refused before one is opened again.
    """

    def __init__(self, serve: Callable[[Connection], Any], nursery: trio.Nursery) -> None:
        self._serve = serve
        self._nursery = nursery
        self.connections: list[Connection] = []
        self.attempts: list[float] = []
        self.refusals = 0

    async def connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.attempts.append(trio.current_time())
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError("not now")
        ours, theirs = trio.testing.memory_stream_pair()
        connection = Connection(theirs)
        self.connections.append(connection)
        self._nursery.start_soon(self._serve, connection)
        return ours


@contextlib.asynccontextmanager
async def open_service(serve: Callable[[Connection], Any]) -> AsyncIterator[Service]:
    """A service whose connections are served by that function, until the end of the block."""
    with guarded():
        async with open_background_nursery() as nursery:
            yield Service(serve, nursery)


async def echo(connection: Connection) -> None:
    """Reply to each request with itself; an empty one is the end."""
    while payload := await connection.receive():
        await connection.reply(payload)


async def stay_silent(connection: Connection) -> None:
    while await connection.receive():
        pass
