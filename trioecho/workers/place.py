"""A place for a worker: its listening sockets, and whoever serves on them now."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from ..channel import FrameChannel
from ..errors import RemoteProtocolError
from ..metrics import Counts
from .messages import Ended, Increment, LogLine, Order, Ready, Task, decode_message, encode_message

logger: logging.Logger = logging.getLogger(__name__)

# How long a worker may take to stop at once, before it is killed.
STOP_S = 2.0


@dataclass(frozen=True)
class Death:
    """The end of a worker that was not told to end.

    Attributes:
      description: how, in words.
      was_ready: whether it had served.
      connections: those that it had, when it last told.
    """

    description: str
    was_ready: bool
    connections: int


class Place:
    """Where one worker at a time serves.

    The sockets stay open here too. When a worker dies, they live on, and who
    connects meanwhile waits in their queues until the next one takes over. Only
    in a drain are they closed, and before the worker is told: it empties its
    queues and then closes, and that must be the end of these sockets, or they
    would go on queueing connections that nobody will ever serve.

    Args:
      number: from 1, for people.
      sockets: listening.
      program: the command that runs a worker, but for its last argument.
      task: what it is to do, given the descriptors of its sockets.
      drain_began: when set, the worker is told to drain.
      on_counts: called with what a worker has counted.
      on_ready: called when a worker serves.

    Attributes:
      sockets: empty when no other worker shall come into this place.
      is_ready: whether a worker serves here.
      connections: open here, when the worker last told.
      connections_aborted: how many a drain, or an end at once, has aborted here.
    """

    def __init__(
        self,
        number: int,
        sockets: Sequence[trio.socket.SocketType],
        *,
        program: Sequence[str],
        task: Callable[[tuple[int, ...]], Task],
        drain_began: trio.Event,
        on_counts: Callable[[Counts], object],
        on_ready: Callable[[], object],
    ) -> None:
        self.number = number
        self.sockets: tuple[trio.socket.SocketType, ...] = tuple(sockets)
        self.is_ready: bool = False
        self.connections: int = 0
        self.connections_aborted: int = 0
        self._program = program
        self._task = task
        self._drain_began = drain_began
        self._on_counts = on_counts
        self._on_ready = on_ready
        self._ended: Ended | None = None

    def close(self) -> None:
        """Close the sockets on this side."""
        for listening in self.sockets:
            listening.close()
        self.sockets = ()

    async def run_worker(self) -> Death | None:
        """Start a worker and be with it to its end; None if it has drained as it was told.

        Cancellation stops it at once, and kills it if it does not stop within
        two seconds; what it had counted is still taken.
        """
        self.is_ready, self._ended = False, None
        ours, theirs = socket.socketpair()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        async with FrameChannel(stream, max_frame_length=0) as channel:
            with theirs:
                try:
                    process = await self._start(theirs)
                except OSError as error:
                    return self._take_down(f"cannot be started: {error}")
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._direct, channel)
                    await self._listen(channel)
                    nursery.cancel_scope.cancel()
                await process.wait()
            finally:
                await self._end(channel, process)
                death = self._take_down(f"(process {process.pid}) {_describe_end(process.returncode)}")
        return death

    async def _start(self, connection: socket.socket) -> trio.Process:
        return await trio.lowlevel.open_process(
            [*self._program, str(connection.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[connection.fileno(), *(listening.fileno() for listening in self.sockets)],
            # A Ctrl-C at the terminal is for the supervisor alone.
            start_new_session=True,
        )

    async def _direct(self, channel: FrameChannel) -> None:
        """Tell a worker what to do, and in a drain to drain."""
        task = self._task(tuple(listening.fileno() for listening in self.sockets))
        with contextlib.suppress(trio.BrokenResourceError):  # it is dead, which _listen sees
            await channel.send(encode_message(task))
            await self._drain_began.wait()
            self.close()
            await channel.send(encode_message(Order.DRAIN))

    async def _listen(self, channel: FrameChannel) -> None:
        """Take what a worker tells, until it ends."""
        # Of what it was telling when it died, nothing can be used.
        with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
            async for payload in channel:
                message = decode_message(payload)
                if isinstance(message, Increment):
                    self.connections = message.connections
                    self._on_counts(message.counts)
                elif isinstance(message, LogLine):
                    _log(f"worker {self.number}: {message.text}", message)
                elif isinstance(message, Ready):
                    self.is_ready = True
                    self._on_ready()
                elif isinstance(message, Ended):
                    self._ended = message

    async def _end(self, channel: FrameChannel, process: trio.Process) -> None:
        """Stop a worker that still runs, and take its last words; kill it if it does not listen."""
        if process.returncode is None:
            with trio.CancelScope(deadline=trio.current_time() + STOP_S, shield=True):
                with contextlib.suppress(trio.BrokenResourceError):
                    await channel.send(encode_message(Order.STOP))
                await self._listen(channel)
                await process.wait()
        if process.returncode is None:
            logger.error("worker %d (process %d) does not stop; it is killed", self.number, process.pid)
            process.kill()
            with trio.CancelScope(deadline=trio.current_time() + STOP_S, shield=True):
                await process.wait()

    def _take_down(self, ending: str) -> Death | None:
        """Account for a worker that is no more."""
        death = Death(ending, self.is_ready, self.connections)
        self.is_ready, self.connections = False, 0
        if self._ended is not None:
            self.connections_aborted += self._ended.connections_aborted
        elif self._drain_began.is_set():
            # Also without connections: some may have been queued.
            self.connections_aborted += max(1, death.connections)
        return None if self._ended is not None and not self.sockets else death


def _describe_end(returncode: int | None) -> str:
    if returncode is None:
        return "does not end, although it was killed"
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"was ended by signal {-returncode}"


def _log(text: str, line: LogLine) -> None:
    logger.handle(
        logging.makeLogRecord(
            {
                "name": logger.name,
                "levelno": line.level,
                "levelname": logging.getLevelName(line.level),
                "created": line.created,
                "msg": "%s",
                "args": (text,),
            }
        )
    )
