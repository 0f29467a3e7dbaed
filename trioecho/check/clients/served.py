"""A connection of the client that is checked, at the scripted server's end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import trio

from ..client.finding import Kind
from ..client.peer import Peer
from ..client.peer_socket import PeerSocket
from ..client.transcript import Transcript
from ..client.wire import Wire

_RECEIVE_BYTES = 1 << 18
# A frame that is longer is not waited for: no client that echoes messages sends one.
_MOST_BYTES = 128 << 20
# So many frames are taken together at most.
_MOST_FRAMES = 64
# A frame is looked for in so many bytes first, then in twice as many, and so on.
_WINDOW_BYTES = 1 << 12


class Served(Peer):
    """A connection that the scripted server has accepted.

    A task of its own takes frames from the connection however long the replies take, so a client
    that sends all of them before it reads is not held up; where the server is narrow, it is.

    Attributes:
      frames (int): how many whole frames have come.
      received_bytes (int): how many bytes have come.
      last_received (float): when bytes came last, or the end, by Trio's clock.
      ending (Kind | None): how the client has ended it; None as long as that was not seen.
      has_ended (trio.Event): set when no more can come.
    """

    other: ClassVar[str] = "client"

    def __init__(
        self, sock: PeerSocket, wire: Wire, transcript: Transcript, number: int, *, is_narrow: bool
    ) -> None:
        super().__init__(sock, wire, transcript, number, patience_s=0.0)
        self.frames: int = 0
        self.received_bytes: int = 0
        self.last_received: float = trio.current_time()
        self.ending: Kind | None = None
        self.has_ended: trio.Event = trio.Event()
        self._data = bytearray()
        self._to_script, self._taken = trio.open_memory_channel[bytes](0 if is_narrow else math.inf)

    @property
    def last_moved(self) -> float:
        """When bytes went in either direction last."""
        return max(self.last_received, self.last_progress)

    @property
    def rest(self) -> bytes:
        """What has come behind the last whole frame."""
        return bytes(self._data)

    async def take_frames(self) -> None:
        """Take frames from the connection until the client has ended it."""
        with self._to_script:
            while self.ending is None and len(self._data) <= _MOST_BYTES:
                await self._take()
                for payload in self._whole_frames():
                    self.frames += 1
                    await self._to_script.send(payload)
        self.has_ended.set()

    async def _take(self) -> None:
        try:
            piece = await self._receive_now(_RECEIVE_BYTES, log=True)
        except trio.ClosedResourceError:  # the script has reset the connection
            piece = Kind.END
        self.last_received = trio.current_time()
        if isinstance(piece, Kind):
            self.ending = piece
        else:
            self.received_bytes += len(piece)
            self._data += piece

    def _whole_frames(self) -> list[bytes]:
        """Take all whole frames out of what has come."""
        payloads = []
        at, window = 0, _WINDOW_BYTES
        while at < len(self._data):
            frame = self._wire.first(bytes(self._data[at : at + window]))
            if frame is not None:
                payloads.append(frame[0])
                at, window = at + frame[1], _WINDOW_BYTES
            elif at + window >= len(self._data):
                break
            else:
                window *= 2
        del self._data[:at]
        return payloads

    async def next_frame(self) -> bytes | None:
        """Return the payload of the next frame; None when the client sends no more.

        A cancelled call has taken nothing.
        """
        try:
            return await self._taken.receive()
        except trio.EndOfChannel:
            return None

    async def next_batch(self, quiet_s: float) -> list[bytes]:
        """Return the payloads of all frames that come until none does for so long.

        There is at least one, unless the client sends no more.
        """
        batch: list[bytes] = []
        payload = await self.next_frame()
        while payload is not None:
            batch.append(payload)
            payload = None
            if len(batch) < _MOST_FRAMES:
                with trio.move_on_after(quiet_s):
                    payload = await self.next_frame()
        return batch

    async def send_block(self, block: bytes, most: int) -> None:
        """Send a block again and again until the client takes no more, or so many bytes were sent."""
        self.note(f"sending up to {most:,} bytes")
        sent = 0
        while sent < most and await self._send_all(block):
            sent += len(block)
        self.note(f"sent {sent:,} bytes")

    async def send_apart(self, pieces: Iterable[bytes], pause_s: float) -> None:
        """Send each piece by itself; the client sees them apart, if it reads meanwhile."""
        for piece in pieces:
            if not await self.send(piece):
                return
            await trio.sleep(pause_s)
