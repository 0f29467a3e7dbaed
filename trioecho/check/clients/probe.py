"""What a case of the book of clients is given: scripted servers, and the client that is started for them."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from ...base.addresses import format_address
from ...base.describe import describe
from ...base.nursery import open_background_nursery
from ..client.finding import InconclusiveError
from ..client.payloads import PayloadMaker
from ..client.peer_socket import PeerSocket
from ..client.settings import Settings
from ..client.transcript import Transcript
from ..spawned.spawned_process import SpawnedProcess
from ..verdict import ClientFacts
from .client_run import ClientRun
from .served import Served
from .spawned_client import HOST, ClientStarter
from .watch import Watch

# What a script does on a connection, until the client sends no more.
Serve = Callable[[Served], Awaitable[None]]
# What a script sends for a frame: the connection, the frame's number over all of them, its payload.
Reply = Callable[[Served, int, bytes], Awaitable[None]]

# Once the client has ended, so long is waited for the ends of its connections.
_LAST_S = 2.0
_BACKLOG = 128
_INTERRUPT_S = 8.0
# Of each of the server's buffers, where they are small.
NARROW_BYTES = 1 << 15


class ClientProbe(PayloadMaker):
    """What one run of one case works with.

    Attributes:
      facts (ClientFacts): what the client does with a server that is right.
      patience_s (float): how long the client may do nothing while all is right.
      notice_s (float): how long it may take to end when something is wrong.
      pause_s (float): between pieces that are to arrive apart, and how long a client that has
        more to send sends nothing.
      interrupt_s (float): how long it may take to end at a Ctrl-C.
      transcript (Transcript): of all connections.
      lines (tuple[str, ...]): what the client has written last.
      fault (str): what the server has done wrong in this run; empty as long as all is right.
      port (int): where the server listens, or nobody does, in this run.
      replies (int): how many frames were answered in this run, or are about to be.
    """

    def __init__(
        self,
        case_id: str,
        settings: Settings,
        starter: ClientStarter,
        facts: ClientFacts,
        *,
        patience_s: float,
        notice_s: float,
    ) -> None:
        super().__init__(case_id, settings)
        self.facts = facts
        self.patience_s = patience_s
        self.notice_s = notice_s
        self.pause_s: float = 0.01
        self.interrupt_s: float = _INTERRUPT_S
        self.transcript: Transcript = Transcript()
        self.lines: tuple[str, ...] = ()
        self.fault: str = ""
        self.replies: int = 0
        self.port: int = 0
        self._starter = starter
        self._served: list[Served] = []
        self._watch: Watch | None = None

    @property
    def middle(self) -> int:
        """The number of a frame in the middle of what the client sends."""
        return (self.facts.messages + 1) // 2

    # ---- scripts ----

    def spoil(self, connection: Served, words: str) -> None:
        """Note that from here on something is wrong, and what: the end of a sentence."""
        if self._watch is not None:
            self._watch.note_memory()
        self.fault = words
        connection.note(f"from here on wrong: {words}")

    async def serve_right(self, connection: Served) -> None:
        """Echo every frame as soon as it is whole, then end this side as well."""
        await self.serve_with(self.reply_right, connection)

    async def serve_with(self, reply: Reply, connection: Served) -> None:
        """Reply to every frame, then end this side as well."""
        while (payload := await connection.next_frame()) is not None:
            self.replies += 1
            await reply(connection, self.replies, payload)
        connection.half_close()

    async def reply_right(self, connection: Served, number: int, payload: bytes) -> None:
        """Send the echo."""
        await connection.send(self.wire.frame(payload))

    # ---- the client ----

    async def run_with(self, reply: Reply, **options: bool) -> ClientRun:
        """Start the client against a server that replies so; the options are those of `run`."""
        return await self.run(partial(self.serve_with, reply), **options)

    async def run(
        self,
        serve: Serve,
        *,
        watches_memory: bool = False,
        listens: bool = True,
        is_narrow: bool = False,
        interrupts: bool = False,
    ) -> ClientRun:
        """Start the client against a server, and wait until it has ended, or does nothing any more.

        Args:
          serve: what the server does on each connection.
          watches_memory: whether the client is ended when it takes much memory.
          listens: whether there is a server.
          is_narrow: whether the server's buffers are small.
          interrupts: whether the client gets a Ctrl-C as soon as something is wrong.

        Raises:
          InconclusiveError: this machine could not.
          SpawnError: the client does not start.
        """
        self.transcript = Transcript()
        self.fault, self.replies, self.lines = "", 0, ()
        self._served, self._watch = [], None
        with contextlib.ExitStack() as stack:
            try:
                listener = stack.enter_context(await _bound(is_narrow=is_narrow))
                if listens:
                    listener.listen(_BACKLOG)
            except OSError as error:
                raise InconclusiveError(f"this machine could not: {describe(error)}") from None
            self.port = listener.getsockname()[1]
            self._note_start(listens=listens)
            async with self._starter.running(self.port) as client:
                watch = Watch(client, lambda: self._served, lambda: self.fault)
                self._watch = watch if watches_memory else None
                try:
                    async with open_background_nursery() as nursery:
                        accept = partial(self._accept, is_narrow=is_narrow)
                        nursery.start_soon(accept, listener, serve, nursery, stack)
                        if watches_memory:
                            nursery.start_soon(watch.memory)
                        if interrupts:
                            nursery.start_soon(self._interrupt, client)
                        await watch.wait(self.patience_s, self.notice_s, self.facts.run_s)
                        has_ended = client.has_ended
                        self._note_end(client)
                        if has_ended:
                            await self._take_what_is_left()
                finally:
                    self.lines = client.last_lines()
        was_large = watch.was_large or client.bytes_at_end > 0
        return ClientRun(
            exit_code=client.process.returncode if has_ended and not was_large else None,
            fault=self.fault,
            connections=tuple(self._served),
            frames=sum(each.frames for each in self._served),
            elapsed_s=watch.elapsed_s,
            silence_s=watch.silence_s,
            waited_s=watch.waited_s,
            lines=self.lines,
            grown_bytes=client.bytes_at_end or watch.grown_bytes,
            was_large=was_large,
        )

    def _note_start(self, *, listens: bool) -> None:
        where = format_address((HOST, self.port))
        words = f"a server listens on {where}" if listens else f"nobody listens on {where}"
        self.transcript.happened(0, f"{words}; what is sent here, the client gets")
        if not listens:
            self.fault = "a connection that was refused"

    def _note_end(self, client: SpawnedProcess) -> None:
        how = client.how_it_ended if client.has_ended else "has not ended, so it is ended now"
        self.transcript.happened(0, f"the client {how}")

    async def _interrupt(self, client: SpawnedProcess) -> None:
        while not self.fault:  # noqa: ASYNC110 - a script sets it, and waits for nobody
            await trio.sleep(self.pause_s)
        self.transcript.happened(0, "the client gets SIGINT")
        client.send_signal(signal.SIGINT)

    async def _accept(
        self,
        listener: trio.socket.SocketType,
        serve: Serve,
        nursery: trio.Nursery,
        stack: contextlib.ExitStack,
        *,
        is_narrow: bool,
    ) -> None:
        while True:
            try:
                sock, _ = await listener.accept()
            except OSError:
                await trio.sleep(self.pause_s)  # the client was gone again, or no descriptor was left
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = len(self._served) + 1
            self.transcript.happened(number, "the client connected")
            connection = Served(PeerSocket(sock), self.wire, self.transcript, number, is_narrow=is_narrow)
            stack.callback(connection.release)
            self._served.append(connection)
            nursery.start_soon(connection.take_frames)
            nursery.start_soon(serve, connection)

    async def _take_what_is_left(self) -> None:
        """Wait for what the client had still sent, and for the ends of its connections."""
        with trio.move_on_after(_LAST_S):
            for connection in self._served:
                await connection.has_ended.wait()


async def _bound(*, is_narrow: bool) -> trio.socket.SocketType:
    """Bind a socket to a port that is free."""
    listener = trio.socket.socket()
    try:
        if is_narrow:  # connections that are accepted have the same
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BYTES)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW_BYTES)
        await listener.bind((HOST, 0))
    except BaseException:
        listener.close()
        raise
    return listener
