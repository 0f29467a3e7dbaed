"""Strangers at an HTTP port who want of it what they can get, as fast as they can.

python -m scripts.benchmark.hostile_http PORT COUNT DELAY_S

Each keeps one connection open, and begins anew when that is closed. They run until killed.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

import trio

from .idle import raise_open_files

_HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
_GET = _HEAD + b"\r\n"
_PART_BYTES = 1 << 16
# A connection that is refused is tried again, but a full queue takes no more of the kernel's time for it.
_REFUSED_S = 0.01


async def _say_nothing(stream: trio.SocketStream) -> None:
    await stream.receive_some(1)


async def _dribble(stream: trio.SocketStream) -> None:
    for byte in _HEAD * 1000:
        await stream.send_all(bytes([byte]))
        await trio.sleep(0.01)


async def _scrape(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(_GET)
        if not await stream.receive_some(_PART_BYTES):
            return


async def _ask_without_reading(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(_GET * 100)


async def _hold_a_stream(stream: trio.SocketStream) -> None:
    await stream.send_all(_GET.replace(b"/metrics", b"/events"))
    await trio.sleep_forever()


async def _post(stream: trio.SocketStream) -> None:
    await stream.send_all(
        _GET.replace(b"GET", b"POST").replace(b": x", b": x\r\nContent-Length: 99999999999")
    )
    while True:
        await stream.send_all(bytes(_PART_BYTES))


async def _send_garbage(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(random.randbytes(1000))


async def _speak_http_2(stream: trio.SocketStream) -> None:
    await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
    await stream.receive_some(1)


async def _reset(stream: trio.SocketStream) -> None:
    await stream.send_all(_GET)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


KINDS: tuple[Callable[[trio.SocketStream], Awaitable[None]], ...] = (
    _say_nothing,
    _dribble,
    _scrape,
    _ask_without_reading,
    _hold_a_stream,
    _post,
    _send_garbage,
    _speak_http_2,
    _reset,
)


async def _attack(port: int, kind: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    while True:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await kind(stream)
        except (OSError, trio.BrokenResourceError):
            await trio.sleep(_REFUSED_S)


async def attack(port: int, count: int, delay_s: float) -> None:
    """Begin after a delay, and go on until cancelled."""
    raise_open_files()
    await trio.sleep(delay_s)
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(_attack, port, KINDS[number % len(KINDS)])


if __name__ == "__main__":
    trio.run(attack, int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
