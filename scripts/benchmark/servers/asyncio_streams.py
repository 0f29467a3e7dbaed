"""asyncio's streams as its documentation shows them.

python asyncio_streams.py MAX_FRAME_LENGTH [uvloop]

Both event loops set TCP_NODELAY themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

MAX_FRAME_LENGTH = int(sys.argv[1])


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            header = await reader.readexactly(4)
            length = int.from_bytes(header, "big")
            if length > MAX_FRAME_LENGTH:
                return
            writer.write(header + await reader.readexactly(length))
            await writer.drain()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await server.serve_forever()


if "uvloop" in sys.argv[2:]:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
