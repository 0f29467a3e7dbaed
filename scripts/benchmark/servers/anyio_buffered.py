"""AnyIO on asyncio: a task per connection, reading through its buffered stream.

python anyio_buffered.py MAX_FRAME_LENGTH

AnyIO sets TCP_NODELAY itself.
"""

from __future__ import annotations

import sys

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

MAX_FRAME_LENGTH = int(sys.argv[1])


async def serve(stream: SocketStream) -> None:
    buffered = BufferedByteReceiveStream(stream)
    try:
        while True:
            header = await buffered.receive_exactly(4)
            length = int.from_bytes(header, "big")
            if length > MAX_FRAME_LENGTH:
                return
            await stream.send(header + await buffered.receive_exactly(length))
    except (anyio.IncompleteRead, anyio.BrokenResourceError):
        pass
    finally:
        await stream.aclose()


async def main() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0, backlog=1024)
    attributes = listener.listeners[0].extra_attributes
    port = attributes[SocketAttribute.local_port]()
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await listener.serve(serve)


anyio.run(main)
