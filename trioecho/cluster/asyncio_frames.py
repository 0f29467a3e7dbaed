"""JSON documents in frames, as `JsonChannel` sends them, for the event loop that Dask has."""

from __future__ import annotations

import asyncio
import socket

from ..connection.json_frames import MAX_DOCUMENT_BYTES
from ..framing import FrameFormat

_FORMAT = FrameFormat()
_BUFFER_BYTES = 1 << 20


class AsyncioFrames:
    """Sends and receives documents that are bytes of JSON; several tasks may send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()

    @classmethod
    async def open(cls, connected: socket.socket) -> AsyncioFrames:
        """Return what sends over a socket, and owns it from now on."""
        connected.setblocking(False)
        return cls(*await asyncio.open_connection(sock=connected, limit=_BUFFER_BYTES))

    async def send(self, document: bytes) -> None:
        """Send one document.

        Raises:
          OSError: the other process is gone.
        """
        async with self._sending:
            self._writer.write(_FORMAT.encode_header(len(document)) + document)
            await self._writer.drain()

    async def receive(self) -> bytes:
        """Wait for the next document and return it.

        Raises:
          EOFError: the other process has ended, or sends something else.
          OSError: it is gone.
        """
        header = await self._reader.readexactly(_FORMAT.header_bytes)
        length = int.from_bytes(header, "big")
        if length > MAX_DOCUMENT_BYTES:
            raise EOFError(f"a document of {length} bytes")
        return await self._reader.readexactly(length)

    def close(self) -> None:
        """Close the connection, which ends the other side's stream."""
        self._writer.close()
