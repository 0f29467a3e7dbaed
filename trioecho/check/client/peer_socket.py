"""A connected socket that knows whether the server reset it.

The system reports a reset once, to the call that comes first. Linux, tried with a server that
ends while the client still sends:

- After an RST alone, one call raises ECONNRESET. From then on sends raise EPIPE, and a receive
  returns what has arrived and then an end of the stream.
- After a FIN and then an RST, no call raises ECONNRESET: sends raise EPIPE, and a receive returns
  the end of the stream, as after a FIN alone.

So ECONNRESET is the one sign of a reset that came in the place of a FIN, and a send may take it
away from the receive that would show it. Trio's own sockets let other tasks run between a system
call and its error, and a receive in that moment would see an end. Here a call and the note of its
error are one step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from ...base.describe import describe
from ...base.resets import reset_at_close
from ...base.send_queue import count_in_send_queue

T = TypeVar("T")


class PeerSocket:
    """A connected socket, and whether any call on it has met a reset.

    Attributes:
      was_reset (bool): whether the server has sent an RST, and no FIN before it.
      last_sent_at (float): when the system last took bytes, by Trio's clock.
    """

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.was_reset: bool = False
        self.last_sent_at: float = trio.current_time()
        self._sock = socket.socket(fileno=sock.detach())
        self._sock.setblocking(False)

    @property
    def bytes_on_their_way(self) -> int:
        """How many bytes the system was given, and the server's has not taken; 0 where it does not tell."""
        return count_in_send_queue(self._sock) if self._sock.fileno() >= 0 else 0

    async def send(self, data: bytes | memoryview) -> int:
        """Send some bytes; return how many. If it is cancelled, none was sent.

        Raises:
          OSError: the connection has ended.
        """
        return await self._call(lambda: self._send_now(data), trio.lowlevel.wait_writable)

    async def send_last(self, data: bytes | memoryview, end: Callable[[], None]) -> int:
        """Send some bytes; if that were all, end in the same moment, before the server can see them.

        Raises:
          OSError: the connection has ended.
        """

        def send() -> int:
            sent = self._send_now(data)
            if sent == len(data):
                end()
            return sent

        return await self._call(send, trio.lowlevel.wait_writable)

    def _send_now(self, data: bytes | memoryview) -> int:
        sent = self._sock.send(data)
        self._note_sent()
        return sent

    def _note_sent(self) -> None:
        """Note that the system has just taken bytes."""
        self.last_sent_at = trio.current_time()

    def _receive_now(self, most: int) -> bytes:
        return self._sock.recv(most)

    async def receive(self, most: int) -> bytes:
        """Receive some bytes; none at the end of the stream. If it is cancelled, none was taken.

        Raises:
          ConnectionResetError: the server reset the connection, whichever call was the first to meet it.
          OSError: the connection has ended in another way.
        """
        data = await self._call(lambda: self._receive_now(most), trio.lowlevel.wait_readable)
        if not data and self.was_reset:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return data

    async def _call(self, call: Callable[[], T], wait: Callable[[socket.socket], Awaitable[None]]) -> T:
        """Make a system call as soon as it does not block, and note in the same moment how it failed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            while True:
                try:
                    return call()
                except BlockingIOError:
                    await wait(self._sock)
        except ConnectionResetError:
            self.was_reset = True
            raise
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def half_close(self) -> None:
        """End the sending side."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with an RST."""
        reset_at_close(self._sock)
        self.close()

    def close(self) -> None:
        """Close the socket, as often as it is called."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


def error_in_words(error: Exception) -> str:
    """Return the system's words for an error, without those that others have put around it."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else describe(error)
