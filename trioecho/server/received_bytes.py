"""Bytes received, as the kernel counts them: no message pays for it."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Collection

import trio

from ..connection.channel import FrameChannel
from ..connection.connection_info import socket_below

# How often open connections are looked at, and how many of them before others have their turn.
_LOOK_EVERY_S = 1.0
_LOOKED_AT_ONCE = 100
# Of Linux's struct tcp_info: the state, and how many bytes have come (since Linux 4.1).
_TCP_INFO = struct.Struct("=B127xQ")
# A peer's FIN counts as a byte; it has come in these states: CLOSE_WAIT, LAST_ACK, CLOSING.
_AFTER_FIN = frozenset((8, 9, 11))


def can_count_received() -> bool:
    """Return whether this system counts bytes received of a connection."""
    return hasattr(socket, "TCP_INFO") and hasattr(socket, "SO_PEERCRED")  # the layout is Linux's


class ReceivedBytes:
    """Adds up what the kernel has received for the connections of a server.

    Each connection is looked at when it ends, and, while it is open, once a second. The
    time in which nothing ends or comes costs one system call for each open connection.

    Args:
      channels: the open connections, at any time.
      add: called with how many more bytes have come.
    """

    def __init__(self, channels: Collection[FrameChannel], add: Callable[[int], object]) -> None:
        self._channels = channels
        self._add = add
        self._seen: dict[FrameChannel, int] = {}

    async def run(self) -> None:
        """Look at open connections until cancelled."""
        while can_count_received():
            open_now = self._channels
            self._seen = {channel: seen for channel, seen in self._seen.items() if channel in open_now}
            for index, channel in enumerate(list(open_now)):
                if channel in open_now:
                    self._look(channel)
                if index % _LOOKED_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
            await trio.sleep(_LOOK_EVERY_S)
        await trio.sleep_forever()

    def note_end(self, channel: FrameChannel) -> None:
        """Count the rest of a connection that is about to be closed."""
        self._look(channel)

    def _look(self, channel: FrameChannel) -> None:
        seen = self._seen.get(channel, 0)
        received = _received_by_kernel(channel)
        if received > seen:
            self._add(received - seen)
            self._seen[channel] = received


def _received_by_kernel(channel: FrameChannel) -> int:
    """Return how many bytes have come on a connection; 0 where that is not known."""
    below = socket_below(channel._transport)
    if below is None:
        return 0
    with contextlib.suppress(OSError, struct.error):  # closed, or not TCP, or an older Linux
        info = below.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        state, received = _TCP_INFO.unpack(info)
        return int(received - (state in _AFTER_FIN))
    return 0
