"""asyncio's protocols: callbacks, and flow control by hand.  usage: asyncio_protocol.py PORT"""

import asyncio
import signal
import sys

LIMIT = 1 << 20
LINGER_S = 1.0


class Echo(asyncio.Protocol):
    connections: "set[Echo]" = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = bytearray()
        self.is_ending = False
        self.connections.add(self)

    def connection_lost(self, error: "Exception | None") -> None:
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.is_ending:
            return  # what comes after a refusal is read, and dropped
        self.buffer += data
        at, size = 0, len(self.buffer)
        is_refused = False
        while size - at >= 4:
            length = int.from_bytes(self.buffer[at : at + 4], "big")
            if length > LIMIT:
                is_refused = True
                break
            if size - at < 4 + length:
                break
            at += 4 + length
        if at:
            self.transport.write(bytes(self.buffer[:at]))
            del self.buffer[:at]
        if is_refused:
            self.end()

    def end(self) -> None:
        """End the stream; close when the client has, or after a moment."""
        if not self.is_ending and not self.transport.is_closing():
            self.is_ending = True
            self.transport.write_eof()
            self.transport.resume_reading()
            asyncio.get_running_loop().call_later(LINGER_S, self.transport.close)

    # The client does not read: stop reading from it.
    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=1024)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()
    for connection in Echo.connections.copy():
        connection.end()
    while Echo.connections:
        await asyncio.sleep(0.05)


asyncio.run(serve(int(sys.argv[1])))
