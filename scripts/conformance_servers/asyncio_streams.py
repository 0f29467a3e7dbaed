"""asyncio's streams: a coroutine per connection.  usage: asyncio_streams.py PORT"""

import asyncio
import signal
import sys

LIMIT = 1 << 20
LINGER_S = 1.0
GRACE_S = 5.0


class Server:
    def __init__(self) -> None:
        self.is_stopping = False
        self.connections: set[asyncio.Task[None]] = set()
        self.idle: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            await self.echo(reader, writer, task)
            writer.write_eof()
            # A close with bytes unread would reset the connection, and destroy echoes under way.
            await asyncio.wait_for(self.discard(reader), LINGER_S)
        except (OSError, asyncio.TimeoutError):
            pass
        finally:
            self.connections.discard(task)
            writer.close()

    async def echo(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> None:
        try:
            while not self.is_stopping:
                self.idle.add(task)
                try:
                    header = await reader.readexactly(4)
                finally:
                    self.idle.discard(task)
                length = int.from_bytes(header, "big")
                if length > LIMIT:
                    return
                writer.write(header + await reader.readexactly(length))
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        except asyncio.CancelledError:
            if not self.is_stopping:
                raise

    async def discard(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass

    async def serve(self, port: int) -> None:
        server = await asyncio.start_server(self.handle, "127.0.0.1", port, backlog=1024)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
        self.is_stopping = True
        server.close()
        for task in self.idle.copy():
            task.cancel()
        if self.connections:
            await asyncio.wait(self.connections, timeout=GRACE_S)


asyncio.run(Server().serve(int(sys.argv[1])))
