"""The honest echo server again, written the other way: with a buffer, from which frames are taken."""

from __future__ import annotations

from typing import NamedTuple

from .honest import RECV_BYTES, ClientSocket, EchoServer


class FirstFrame(NamedTuple):
    """The first frame in a buffer.

    Attributes:
      payload: of the frame.
      end: where in the buffer it ends.
    """

    payload: bytes
    end: int


class BufferedServer(EchoServer):
    """The same, written the other way: receive what comes, then take the frames out of it."""

    def echo_frames(self, connection: ClientSocket) -> None:
        """Echo until the stream ends."""
        buffer = bytearray()
        while data := connection.recv(RECV_BYTES):
            buffer += data
            while (frame := self.first_frame(buffer)) is not None:
                self.write_frame(connection, frame.payload)
                del buffer[: frame.end]

    def first_frame(self, buffer: bytes | bytearray) -> FirstFrame | None:
        """Find the first frame in the buffer; None while it is not complete."""
        header_bytes = self.format.size_in(buffer)
        if header_bytes is None:
            return None
        header = bytes(buffer[:header_bytes])
        length = self.decode_length(header)
        self.check_length(length)
        trailer = header_bytes + length
        end = trailer + self.format.trailer_bytes(header)
        if len(buffer) < end:
            return None
        self.format.check_trailer(bytes(buffer[trailer:end]))
        return FirstFrame(bytes(buffer[header_bytes:trailer]), end)
