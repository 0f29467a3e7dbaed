"""asyncio's callbacks, tuned: received in place, one write for all frames that came together.

python asyncio_protocol.py MAX_FRAME_LENGTH [uvloop] [--certfile FILE]

Each message becomes an object that a function answers, as in a service that
does something with it. Both event loops set TCP_NODELAY themselves. With a certificate it serves
under TLS; the file has the private key, too.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from struct import Struct
from typing import cast

MAX_FRAME_LENGTH = int(sys.argv[1])

LARGE = 1 << 16

header = Struct(">I")


def reply(message: bytes) -> bytes:
    return message


class Echo(asyncio.BufferedProtocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.view = memoryview(bytearray(1 << 18))
        self.filled = 0
        self.needed = 4

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view[self.filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.filled += nbytes
        if self.filled < self.needed:
            return
        start, end = 0, self.filled
        received: bytes | memoryview = self.view[:end]
        if end < LARGE:
            received = bytes(received)  # slices of it cost less, which small frames repay
        replies: list[bytes] = []
        self.needed = 4
        while end - start >= 4:
            (length,) = header.unpack_from(received, start)
            if length > MAX_FRAME_LENGTH:
                self.transport.close()
                break
            frame_end = start + 4 + length
            if frame_end > end:
                self.needed = 4 + length
                break
            answer = reply(bytes(received[start + 4 : frame_end]))
            replies += (header.pack(len(answer)), answer)
            start = frame_end
        if replies:
            self.transport.write(b"".join(replies))
        self.keep(received[start:])

    def keep(self, rest: bytes | memoryview) -> None:
        if self.needed > len(self.view):
            self.view = memoryview(bytearray(self.needed))
        self.filled = len(rest)
        self.view[: len(rest)] = rest

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def main() -> None:
    loop = asyncio.get_running_loop()
    context = None
    if "--certfile" in sys.argv:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[sys.argv.index("--certfile") + 1])
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024, ssl=context)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await server.serve_forever()


if "uvloop" in sys.argv[2:]:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
