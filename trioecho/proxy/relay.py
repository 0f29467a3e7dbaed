"""The proxy itself: connections taken here, made there, and what passes between them."""

from __future__ import annotations

import contextlib
import enum
import logging
import math
import random
import socket
from collections.abc import Callable, Sequence

import trio

from .faults import CLEAN, Cut, Faults, FaultStream, Send

logger: logging.Logger = logging.getLogger(__name__)

_RECEIVE_BYTES = 65536
_CONNECT_TIMEOUT_S = 10.0
_RESET_AT_CLOSE = b"\1\0\0\0\0\0\0\0"  # struct linger: on, 0 seconds


class Direction(enum.Enum):
    """Which way bytes go."""

    TO_SERVER = "to-server"
    TO_CLIENT = "to-client"


async def relay_connections(
    listeners: Sequence[trio.SocketListener],
    host: str,
    port: int,
    *,
    to_server: Faults = CLEAN,
    to_client: Faults = CLEAN,
    seed: int = 0,
) -> None:
    """Pass connections on, with faults, until cancelled.

    What one side does is passed on to the other: bytes, the end of the stream
    (the other direction goes on), and resets. Nobody is read from faster than the
    other side reads. The faults of a connection depend on the seed, its number and
    the bytes, and on nothing else.

    Args:
      listeners: where clients connect; closed at the end.
      host: name or address of the server.
      port: its TCP port.
      to_server: what happens to what clients send.
      to_client: what happens to what the server sends.
      seed: where chance begins.

    Cancellation resets all connections. No error of a connection ends another, or
    the proxy; they are logged, as faults are.
    """
    count = 0

    async def relay(client: trio.SocketStream) -> None:
        nonlocal count
        count += 1
        await _relay_connection(client, (host, port), count, to_server, to_client, seed)

    await trio.serve_listeners(relay, list(listeners))


async def _relay_connection(
    client: trio.SocketStream,
    server_address: tuple[str, int],
    number: int,
    to_server: Faults,
    to_client: Faults,
    seed: int,
) -> None:
    async with client:
        try:
            with trio.fail_after(_CONNECT_TIMEOUT_S):
                server = await trio.open_tcp_stream(*server_address)
        except (OSError, trio.TooSlowError) as error:
            logger.warning("connection %d: cannot reach the server: %s", number, error)
            _reset_at_close(client)
            return
        async with server:
            is_reset = True
            try:
                async with trio.open_nursery() as nursery:
                    for source, sink, faults, direction in (
                        (client, server, to_server, Direction.TO_SERVER),
                        (server, client, to_client, Direction.TO_CLIENT),
                    ):
                        numbers = random.Random(f"{seed} {number} {direction.value}")
                        stream = FaultStream(faults, numbers, _log_of(number, direction))
                        nursery.start_soon(_pump, source, sink, stream, faults, nursery.cancel_scope.cancel)
                is_reset = nursery.cancel_scope.cancel_called
            finally:
                if is_reset:
                    _reset_at_close(client)
                    _reset_at_close(server)


def _log_of(number: int, direction: Direction) -> Callable[[str], None]:
    def log(words: str) -> None:
        logger.info("connection %d, %s: %s", number, direction.value, words)

    return log


async def _pump(
    source: trio.SocketStream,
    sink: trio.SocketStream,
    stream: FaultStream,
    faults: Faults,
    reset: Callable[[], object],
) -> None:
    """Pass one direction on until its end; ``reset`` when a side has reset, or a fault does."""
    try:
        while True:
            data = None
            with trio.move_on_after(faults.coalesce_s if stream.holds_back else math.inf):
                data = await source.receive_some(_RECEIVE_BYTES)
            steps = stream.flush() if data is None else stream.receive(data) if data else stream.end()
            for step in steps:
                if isinstance(step, Send):
                    await trio.sleep(step.delay_s)
                    await sink.send_all(step.data)
                elif step is Cut.RESET:
                    reset()
                elif step is Cut.STALL:
                    await trio.sleep_forever()
                else:
                    await sink.send_eof()
            if data == b"":
                if not stream.is_cut:
                    await sink.send_eof()
                return
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        reset()


def _reset_at_close(stream: trio.SocketStream) -> None:
    with contextlib.suppress(OSError):
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
