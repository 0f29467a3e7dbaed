"""Trio as a tutorial shows it: a task per connection, a buffer, one frame at a time.

python trio_plain.py MAX_FRAME_LENGTH

Trio sets TCP_NODELAY itself.
"""

from __future__ import annotations

import contextlib
import sys

import trio

MAX_FRAME_LENGTH = int(sys.argv[1])


async def serve(stream: trio.SocketStream) -> None:
    buffer = bytearray()
    with contextlib.suppress(trio.BrokenResourceError):
        async for data in stream:
            buffer += data
            while len(buffer) >= 4:
                length = int.from_bytes(buffer[:4], "big")
                if length > MAX_FRAME_LENGTH:
                    return
                if len(buffer) < 4 + length:
                    break
                frame = bytes(buffer[: 4 + length])
                del buffer[: 4 + length]
                await stream.send_all(frame)


async def main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await trio.serve_listeners(serve, listeners)


trio.run(main)
