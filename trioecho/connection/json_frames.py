"""JSON documents in frames: how a supervisor and its workers talk, of a service and of a load.

Each worker has one end of a pair of sockets, and its supervisor the other. The end of the
stream says that the other process is gone, however it ended.
"""

from __future__ import annotations

import json
import socket
from typing import Any

import trio

from .channel import FrameChannel

# Bytes of the longest document: ten times what the longest load leaves behind.
MAX_DOCUMENT_BYTES = 64 << 20


class JsonChannel(trio.abc.Channel[Any]):
    """Sends and receives JSON documents, a frame for each.

    Several tasks may use a channel, one sending and one receiving at a time.

    Args:
      connected: a socket; the channel owns it from now on.
    """

    def __init__(self, connected: socket.socket) -> None:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(connected))
        self._frames = FrameChannel(stream, max_frame_length=MAX_DOCUMENT_BYTES)

    async def send(self, value: object) -> None:
        """Send one document, as `FrameChannel.send` sends a message.

        Raises:
          PayloadTooLargeError: it has more than `MAX_DOCUMENT_BYTES`.
          trio.BrokenResourceError: the other process is gone, or a send was torn before.
        """
        await self._frames.send(json.dumps(value).encode())

    async def receive(self) -> Any:
        """Wait for the next document and return it. A cancelled call loses nothing.

        Raises:
          trio.EndOfChannel: the other process has ended, after a whole document.
          RemoteProtocolError: it has ended within one, or sent one that is too long.
          trio.BrokenResourceError: it is gone, and has left unread what was sent to it.
        """
        return json.loads(await self._frames.receive())

    async def aclose(self) -> None:
        """Close the connection, which ends the other side's stream."""
        await self._frames.aclose()


def open_json_pair() -> tuple[JsonChannel, socket.socket]:
    """Return a channel, and the socket at its other end, which is for another process.

    This process has to close its copy of that socket when the other process has it: else the
    channel would not see the other process end.
    """
    ours, theirs = socket.socketpair()
    return JsonChannel(ours), theirs
