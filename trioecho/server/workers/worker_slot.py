"""A slot for a worker: its listening sockets, and the worker that serves on them now."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from ...base.describe import describe
from ...base.heartbeats import SilenceWatch
from ...base.processes import Program, signal_name
from ...connection.json_frames import JsonChannel, open_json_pair
from ...errors import RemoteProtocolError
from ..counts import Counts
from .messages import (
    LAST_WORDS_S,
    CannotStart,
    Command,
    Ended,
    Increment,
    LogLine,
    Ready,
    WorkerConfig,
    decode_message,
    encode_message,
)

logger: logging.Logger = logging.getLogger(__name__)

# How long a worker may take to stop at once, before it is killed. What it has not sent then is not counted.
STOP_S = LAST_WORDS_S
# A worker sends something at least every beat. One that was silent for this number of
# beats of this process hangs; after its start, the first message may take longer.
_SILENT_BEATS, _SILENT_START_BEATS = 10, 60


@dataclass(frozen=True)
class WorkerExit:
    """The end of a worker that had no command to end.

    Attributes:
      description: how, in words.
      reason: why, in words; empty if nothing is known.
      was_started: whether there was a process at all.
      was_ready: whether it had served.
      connections: the number in its last message.
      silent_s: how long ago that message came.
      cannot_start: why it could not serve, if it has said that itself.
      has_changed: whether it has ended by itself because a source file has changed.
    """

    description: str
    reason: str
    was_started: bool
    was_ready: bool
    connections: int
    silent_s: float
    cannot_start: str = ""
    has_changed: bool = False


class WorkerSlot:
    """Listening sockets on which one worker at a time serves.

    The sockets stay open in this process, too. When a worker dies, they stay, and a
    client that connects meanwhile waits in their queues until the next worker serves it.
    Only in a drain are they closed, and before the command goes to the worker: the worker
    empties its queues and then closes. That must be the end of these sockets, or they
    would go on queueing connections that no worker will ever serve.

    Args:
      number: from 1, for people.
      name: what the worker's process is called, in its arguments.
      sockets: listening.
      program: what runs a worker, given its name and a socket.
      config: makes its configuration, given the descriptors of its sockets.
      drain_began: when set, the worker gets the command to drain.
      on_counts: called with what a worker has counted.
      on_ready: called when a worker serves.

    Attributes:
      sockets: empty when no other worker may be started in this slot.
      is_ready: whether a worker serves here.
      connections: open here, as of the last message of the worker.
      connections_aborted: how many were aborted here, by a drain or a stop at once.
      leaves_queued: whether another process accepts from the sockets when this one drains.
      failure: why the context manager of the last worker here failed; empty if it did not.
    """

    def __init__(
        self,
        number: int,
        name: str,
        sockets: Sequence[trio.socket.SocketType],
        *,
        program: Program,
        config: Callable[[tuple[int, ...]], WorkerConfig],
        drain_began: trio.Event,
        on_counts: Callable[[Counts], object],
        on_ready: Callable[[], object],
    ) -> None:
        self.number = number
        self.sockets: tuple[trio.socket.SocketType, ...] = tuple(sockets)
        self.is_ready: bool = False
        self.connections: int = 0
        self.connections_aborted: int = 0
        self.failure: str = ""
        self.leaves_queued: bool = False
        self._name = name
        self._program = program
        self._config = config
        self._drain_began = drain_began
        self._on_counts = on_counts
        self._on_ready = on_ready
        self._ended: Ended | None = None
        self._cannot_start = ""
        self._process: trio.Process | None = None
        self._must_reload = trio.Event()
        self._sending = trio.Lock()
        self._is_overdue = False
        self._silence = SilenceWatch()
        self._last_message_at = 0.0

    def close(self) -> None:
        """Close the sockets on this side."""
        for listening in self.sockets:
            listening.close()
        self.sockets = ()

    def reload_tls(self) -> None:
        """Have the worker read the files of TLS again; one that starts does so anyway."""
        self._must_reload.set()

    def end_overdue(self) -> None:
        """Kill the worker of this slot, and let no other be started."""
        self.close()
        self._is_overdue = True
        if self._process is not None:
            self._kill(self._process, "does not stop")

    async def run_worker(self) -> WorkerExit | None:
        """Start a worker and supervise it to its end.

        Returns:
          None if it has drained on command.

        Cancellation stops the worker at once, and kills it if it does not stop within
        five seconds; what it had counted is still taken.
        """
        self.is_ready, self._ended, self._last_message_at = False, None, trio.current_time()
        self._cannot_start = ""
        self._must_reload = trio.Event()
        channel, theirs = open_json_pair()
        async with channel:
            with theirs:
                try:
                    process = await self._start(theirs)
                except OSError as error:
                    return self._record_exit("cannot be started", describe(error), was_started=False)
            self._process = process
            try:
                if self._is_overdue:
                    process.kill()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_commands, channel, nursery)
                    nursery.start_soon(self._watch, process)
                    await self._take_messages(channel)
                    await process.wait()
                    nursery.cancel_scope.cancel()
            finally:
                await self._end(channel, process)
                self._process = None
                worker_exit = self._record_exit(
                    f"(process {process.pid}) {_describe_end(process.returncode)}"
                )
        return worker_exit

    async def _start(self, connection: socket.socket) -> trio.Process:
        return await trio.lowlevel.open_process(
            [*self._program.command, "--name", self._name, "--socket", str(connection.fileno())],
            env=self._program.env,
            cwd=self._program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[connection.fileno(), *(listening.fileno() for listening in self.sockets)],
            # A Ctrl-C at the terminal is for the supervisor alone.
            start_new_session=True,
        )

    async def _send_commands(self, channel: JsonChannel, nursery: trio.Nursery) -> None:
        """Send the worker its configuration, and in a drain the command to drain; in between, to reload."""
        config = self._config(tuple(listening.fileno() for listening in self.sockets))
        with contextlib.suppress(trio.BrokenResourceError):  # it is dead, which _take_messages sees
            await channel.send(encode_message(config))
            nursery.start_soon(self._send_reloads, channel)
            await self._drain_began.wait()
            self.close()
            async with self._sending:
                command = Command.HAND_OVER if self.leaves_queued else Command.DRAIN
                await channel.send(encode_message(command))

    async def _send_reloads(self, channel: JsonChannel) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await self._must_reload.wait()
                self._must_reload = trio.Event()
                async with self._sending:
                    await channel.send(encode_message(Command.RELOAD))

    async def _watch(self, process: trio.Process) -> None:
        """Kill a worker that hangs."""
        silent_s = await self._silence.wait_for_silence(
            lambda: _SILENT_BEATS if self.is_ready else _SILENT_START_BEATS
        )
        self._kill(process, f"has said nothing for {silent_s:g} s")

    def _kill(self, process: trio.Process, why: str) -> None:
        if process.returncode is None:
            logger.error("worker %d (process %d) %s; it is killed", self.number, process.pid, why)
            process.kill()

    async def _take_messages(self, channel: JsonChannel) -> None:
        """Take what the worker sends, until it ends."""
        # A message that was cut off by the death of the worker cannot be used.
        with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
            async for document in channel:
                message = decode_message(document)
                self._silence.note_message()
                self._last_message_at = trio.current_time()
                if isinstance(message, Increment):
                    self.connections = message.connections
                    self._on_counts(message.counts)
                elif isinstance(message, LogLine):
                    _log(f"worker {self.number}: {message.text}", message)
                elif isinstance(message, Ready):
                    self.is_ready = True
                    self._on_ready()
                elif isinstance(message, CannotStart):
                    self._cannot_start = message.reason
                elif isinstance(message, Ended):
                    self._ended = message
                    self.failure = message.failure

    async def _end(self, channel: JsonChannel, process: trio.Process) -> None:
        """Stop a worker that still runs, and take its last messages; kill it if it does not stop."""
        if process.returncode is None:
            with trio.CancelScope(deadline=trio.current_time() + STOP_S, shield=True):
                with contextlib.suppress(trio.BrokenResourceError):
                    await channel.send(encode_message(Command.STOP))
                await self._take_messages(channel)
                await process.wait()
        if process.returncode is None:
            self._kill(process, "does not stop")
            with trio.CancelScope(deadline=trio.current_time() + STOP_S, shield=True):
                await process.wait()

    def _record_exit(self, ending: str, reason: str = "", *, was_started: bool = True) -> WorkerExit | None:
        """Record how the worker ended, and return that unless the worker has drained on command."""
        silent_s = trio.current_time() - self._last_message_at
        has_changed = self._ended is not None and self._ended.has_changed
        worker_exit = WorkerExit(
            ending,
            reason or self._cannot_start or self.failure,
            was_started,
            self.is_ready,
            self.connections,
            silent_s,
            self._cannot_start,
            has_changed,
        )
        self.is_ready, self.connections = False, 0
        if self._ended is not None:
            self.connections_aborted += self._ended.connections_aborted
        elif self._drain_began.is_set():
            # At least 1: connections may have been queued.
            self.connections_aborted += max(1, worker_exit.connections)
        return None if self._ended is not None and not self.sockets else worker_exit


def _describe_end(returncode: int | None) -> str:
    if returncode is None:
        return "does not end, although it was killed"
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    return f"was ended by {signal_name(-returncode)}"


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
