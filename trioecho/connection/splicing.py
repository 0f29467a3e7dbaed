"""Echoes the rest of large frames without a copy: from the socket into a pipe, and back, by splice(2).

Some facts:

- A pipe takes references to the memory in which the kernel has received; to copy a frame
  out of the kernel and in again takes longer, from a certain size on
  (`trioecho.connection.exchange.LEAST_PIPED_BYTES`).
- A pipe has slots, not bytes: each takes what lies together in memory. A megabyte of pipe
  holds several megabytes that came in large pieces, and 256 bytes that came one by one.
- A frame is echoed only when all of it has come. Until then it needs pipes for all of it.
- Each pipe takes two descriptors. Of the memory of pipes, Linux allows an ordinary user
  64 MiB in all (``pipe-user-pages-soft``), and refuses large ones beyond that. Some
  sandboxes refuse splice(2).

Consequences:

- There is a way back (`Splice.take_back`): what lies in pipes is read, and the exchange
  takes it as if it had been received in the ordinary way, which then goes on. That is so
  when there is no pipe left, or nothing that is worth one; when the peer has ended its
  stream; and when the connection leaves the reactor: for a clock, a drain or a cancellation.
- The pipes of a reactor are few, and are used again (`PipePool`). A connection takes one
  only after bytes have come for it, and gives it back when it is empty.
- A connection whose peer sends in pieces too small for a pipe does without.
"""

from __future__ import annotations

import errno
import os
import socket

from ..base.open_files import allow_open_files
from .exchange import Exchange
from .sending import PipedBytes, Wire

try:
    import fcntl
except ImportError:  # Windows has neither this nor splice
    HAS_SPLICE = False
else:
    HAS_SPLICE = hasattr(os, "splice") and hasattr(fcntl, "F_SETPIPE_SZ")

# What a pipe of an ordinary user may have (pipe-max-size): 256 slots.
PIPE_BYTES = 1 << 20
# A quarter of what an ordinary user may have, who may also have several workers.
MOST_PIPES = 16
PIPE_DESCRIPTORS: int = 2 * MOST_PIPES if HAS_SPLICE else 0
# Pipes may take this part of the descriptors that are allowed.
_PART_OF_DESCRIPTORS = 1 / 32
# What is read out of a pipe at a time.
_READ_BYTES = 1 << 18
_NO_WAIT: int = getattr(os, "SPLICE_F_NONBLOCK", 0)
# splice(2) is not there, is forbidden, or cannot be had for this socket.
_REFUSALS = {errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP}


class Pipe:
    """A pipe.

    Attributes:
      held: bytes that lie in it.
    """

    __slots__ = ("held", "read_end", "write_end")

    def __init__(self) -> None:
        """Make one of `PIPE_BYTES`.

        Raises:
          OSError: that was refused.
        """
        self.held: int = 0
        self.read_end: int
        self.write_end: int
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close it; what lies in it is gone."""
        os.close(self.read_end)
        os.close(self.write_end)


class PipePool:
    """The pipes of a reactor.

    Attributes:
      is_usable: whether it is worth asking for a pipe: splice(2) is there, and was not refused.
    """

    def __init__(self) -> None:
        self.is_usable: bool = HAS_SPLICE
        self._most = min(MOST_PIPES, int(allow_open_files(0) * _PART_OF_DESCRIPTORS / 2))
        self._count = 0
        self._free: list[Pipe] = []

    def take(self) -> Pipe | None:
        """Return an empty pipe; None if no more are to be had."""
        if self._free:
            return self._free.pop()
        if self._count >= self._most or not self.is_usable:
            return None
        try:
            pipe = Pipe()
        except OSError:  # out of descriptors, or of what this user may have of pipes
            return None
        self._count += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take a pipe back; what still lies in it is not wanted."""
        if pipe.held or not self.is_usable:
            pipe.close()
            self._count -= 1
        else:
            self._free.append(pipe)

    def close(self) -> None:
        """Make no more pipes, and close those that are free."""
        self.is_usable = False
        while self._free:
            self.give_back(self._free.pop())


class Splice:
    """The way through pipes for one connection.

    Args:
      connection: its socket.
      exchange: its exchange.
      pool: where pipes come from.
    """

    __slots__ = ("_descriptor", "_exchange", "_is_worth_it", "_pipes", "_pool", "_socket")

    def __init__(self, connection: socket.socket, exchange: Exchange, pool: PipePool) -> None:
        self._socket = connection
        self._descriptor = connection.fileno()
        self._exchange = exchange
        self._pool = pool
        self._pipes: list[Pipe] = []
        self._is_worth_it = True

    def receive(self, most: int, beginning: bytes = b"") -> PipedBytes | None:
        """Move bytes from the socket into a pipe.

        Args:
          most: how many, at most.
          beginning: what was received just before them, which is to be reported with them.

        Returns:
          What was moved; None if the ordinary way is to be taken: nothing is in pipes any more.

        Raises:
          OSError: as recv(2); BlockingIOError, only without a beginning, when nothing is here.
        """
        while (pipe := self._pipe()) is not None:
            try:
                count = os.splice(self._descriptor, pipe.write_end, most, flags=_NO_WAIT)
            except BlockingIOError:
                if pipe.held:
                    self._socket.recv(
                        1, socket.MSG_PEEK
                    )  # raises the same, unless it is the pipe that is full
                    if self._add_pipe(pipe):
                        continue
                elif not beginning:
                    self._pool.give_back(self._pipes.pop())
                    raise
                break
            except OSError as error:
                if error.errno not in _REFUSALS:
                    raise
                self._pool.close()
                break
            if not count:  # the end of the stream
                break
            pipe.held += count
            return PipedBytes(beginning, count)
        self.take_back()
        return None

    def _pipe(self) -> Pipe | None:
        """Return the pipe that is to be filled."""
        if not self._pipes and self._is_worth_it and (pipe := self._pool.take()) is not None:
            self._pipes.append(pipe)
        return self._pipes[-1] if self._pipes else None

    def _add_pipe(self, full: Pipe) -> bool:
        """Take another pipe beside one that is full; return whether there is one, and it is worth it."""
        self._is_worth_it = full.held >= PIPE_BYTES
        another = self._pool.take() if self._is_worth_it else None
        if another is not None:
            self._pipes.append(another)
        return another is not None

    def send(self, wire: Wire) -> int:
        """Send bytes, or what lies in pipes; return how many were accepted.

        Raises:
          OSError: as send(2).
        """
        if not isinstance(wire, PipedBytes):
            return self._socket.send(wire)
        sent = 0
        try:
            if wire.beginning:
                # So little would go out by itself, without MSG_MORE.
                sent = self._socket.send(wire.beginning, socket.MSG_MORE)
                if sent < len(wire.beginning):
                    return sent
            while self._pipes:
                pipe = self._pipes[0]
                while pipe.held:
                    count = os.splice(pipe.read_end, self._descriptor, pipe.held, flags=_NO_WAIT)
                    pipe.held -= count
                    sent += count
                self._pool.give_back(self._pipes.pop(0))
        except OSError as error:
            is_refused = error.errno in _REFUSALS
            # The next send meets what is not an error of the connection; that is reported only once.
            if sent and (is_refused or isinstance(error, BlockingIOError)):
                return sent
            if not is_refused:
                raise
            self._pool.close()
            self.take_back()
        return sent

    def take_back(self) -> None:
        """Give the exchange what still lies in pipes, as far as it is wanted."""
        exchange = self._exchange
        for pipe in self._pipes:
            while pipe.held and exchange.piped_bytes:
                data = os.read(pipe.read_end, min(pipe.held, _READ_BYTES))
                pipe.held -= len(data)
                exchange.take_back(data)
            self._pool.give_back(pipe)
        self._pipes.clear()
