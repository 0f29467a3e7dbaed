"""What a case is given: connections, bytes, time, and sometimes a server of its own."""

from __future__ import annotations

import contextlib
import random
import string
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import trio

from .finding import Deviation, InconclusiveError, Kind, NotApplicableError
from .pace import Pace
from .peer import Peer, connected
from .server import SpawnedServer, SpawnError, running_server
from .transcript import Transcript
from .wire import Wire

# What is tried as a limit when nobody has told the server's.
USUAL_LIMIT = 1 << 20
_SYMBOLS = (string.ascii_letters + string.digits).encode()
_LETTERS = bytes(_SYMBOLS[value % len(_SYMBOLS)] for value in range(256))
_BREAKS_OFF = (Kind.NO_CONNECTION, Kind.END, Kind.RESET)
# A process that dies shows first by its connections.
_LAST_BREATH_S = 0.5
# More than this is not sent in one frame.
_MOST_PAYLOAD = 64 << 20


@dataclass(frozen=True)
class Settings:
    """What all cases of a run have in common.

    Attributes:
      wire: how headers are written.
      seed: what the bytes are made from.
      max_frame_length: the server's limit in payload bytes; None if nobody has told it.
      command: what starts a server, in words with ``{port}`` in them; None if the
        suite cannot start one.
      spawn_timeout_s: how long a server may take until it listens.
    """

    wire: Wire = field(default_factory=Wire)
    seed: int = 0
    max_frame_length: int | None = None
    command: tuple[str, ...] | None = None
    spawn_timeout_s: float = 10.0


class Probe:
    """What one run of one case works with.

    Attributes:
      address (tuple[str, int]): where the server listens.
      wire (Wire): how headers are written.
      limit (int | None): the server's limit, if it was told.
      random (random.Random): for this case's bytes; the same for the same seed.
      patience_s (float): how long the server may be silent.
      pace (Pace): how fast the server is, and so how much can be asked of it.
      serves_several (bool): whether the server serves two connections at a time; other
        rules than those about that must not ask for it.
      is_last_try (bool): whether what is seen now is believed.
      pause_s (float): between pieces that shall arrive apart.
      transcript (Transcript): of all connections.
    """

    def __init__(
        self,
        case_id: str,
        address: tuple[str, int],
        settings: Settings,
        *,
        patience_s: float,
        pace: Pace | None = None,
        serves_several: bool = True,
        is_last_try: bool = True,
        starting: trio.CapacityLimiter | None = None,
    ) -> None:
        self.address: tuple[str, int] = address
        self.wire: Wire = settings.wire
        self.limit: int | None = settings.max_frame_length
        self.random: random.Random = random.Random(f"{settings.seed}:{case_id}")
        self.patience_s = patience_s
        self.pace: Pace = pace or Pace()
        self.serves_several = serves_several
        self.is_last_try = is_last_try
        self.pause_s: float = max(0.01, 2 * min(self.pace.round_trip_s, 0.1))
        self.transcript: Transcript = Transcript()
        self.server: SpawnedServer | None = None
        self._settings = settings
        self._starting = starting or trio.CapacityLimiter(1)
        self._connections = 0

    def begin_transcript(self) -> None:
        """Forget what has happened so far."""
        self.transcript = Transcript()
        self._connections = 0

    # ---- bytes ----

    def payload(self, length: int) -> bytes:
        """Random letters and digits, the same for the same seed: nothing that a case is not about."""
        return self.random.randbytes(length).translate(_LETTERS)

    def payloads(self, *lengths: int) -> list[bytes]:
        """Payloads of these lengths, or shorter ones where headers are too narrow."""
        return [self.payload(self.fitting(length)) for length in lengths]

    def fitting(self, length: int) -> int:
        """The length, or the longest that header and limit allow."""
        return min(length, self.wire.largest_payload, self.limit or length)

    def needs(self, length: int) -> None:
        """A frame of this length must be possible.

        Raises:
          NotApplicableError: it is not.
        """
        if length > self.wire.largest_payload:
            raise NotApplicableError(f"a header of {self.wire} cannot announce {length:,} bytes")
        if self.limit is not None and length > self.limit:
            raise NotApplicableError(f"the server's limit is {self.limit:,} bytes, as told")
        if length > _MOST_PAYLOAD:
            raise NotApplicableError(f"{length:,} bytes are more than this suite sends in a frame")

    # ---- connections ----

    @contextlib.asynccontextmanager
    async def connect(self, *, receive_buffer: int | None = None) -> AsyncIterator[Peer]:
        """A new connection."""
        self._connections += 1
        async with connected(
            self.address,
            self.wire,
            self.transcript,
            number=self._connections,
            patience_s=self.patience_s,
            receive_buffer=receive_buffer,
        ) as peer:
            yield peer

    async def is_served(self, cause_id: str | None, *, others: int = 1) -> None:
        """New connections are accepted and get their echoes.

        Raises:
          Deviation: they do not; ``cause_id`` is its cause.
        """
        for _ in range(others):
            try:
                async with self.connect() as peer:
                    await peer.echo(b"anybody there?"[: self.fitting(14)], cause_id=cause_id)
            except Deviation as deviation:
                deviation.expected = f"a new connection to be served: {deviation.expected}"
                deviation.cause_id = deviation.cause_id or cause_id
                raise

    @contextlib.asynccontextmanager
    async def bystander(self, cause_id: str) -> AsyncIterator[None]:
        """A connection that is open all the while, and still served at the end.

        Raises:
          Deviation: it is not; ``cause_id`` is its cause.
        """
        if not self.serves_several:
            with _blamed_if_it_breaks_off(cause_id):
                yield
            return
        async with self.connect() as peer:
            await peer.echo(self.payload(10))
            with _blamed_if_it_breaks_off(cause_id):
                yield
            try:
                await peer.echo(*self.payloads(20, 20))
            except Deviation as deviation:
                deviation.actual += " (a connection that was open all the while)"
                deviation.cause_id = cause_id
                raise

    async def side_by_side(self, *functions: Callable[[], Awaitable[object]]) -> None:
        """Run all; the first deviation ends the others.

        Raises:
          Deviation: the first one.
        """
        deviation: Deviation | None = None

        async def run(function: Callable[[], Awaitable[object]]) -> None:
            nonlocal deviation
            try:
                await function()
            except Deviation as error:
                if deviation is None:
                    deviation = error
                    nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(run, function)
        if deviation is not None:
            raise deviation

    # ---- a server of one's own ----

    @contextlib.asynccontextmanager
    async def own_server(self, *, port: int | None = None) -> AsyncIterator[tuple[SpawnedServer, Peer]]:
        """A fresh server, and the first connection that it accepted. From now on connections go to it.

        Raises:
          InconclusiveError: it does not start.
        """
        assert self._settings.command is not None  # noqa: S101 - the runner has seen to it
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with self._starting:
                    server, sock = await stack.enter_async_context(
                        running_server(
                            list(self._settings.command),
                            timeout_s=self._settings.spawn_timeout_s,
                            port=port,
                        )
                    )
                self.server, self.address = server, server.address
                self.transcript.happened(0, f"a server was started on port {server.address[1]}")
                self._connections += 1
                self.transcript.happened(self._connections, "connected")
                try:
                    yield server, Peer(sock, self.wire, self.transcript, self._connections, self.patience_s)
                except Deviation as deviation:
                    if await died_of_it(server, deviation):
                        deviation.actual += f" (the server {server.how_it_ended})"
                        deviation.cause_id = deviation.cause_id or "crashes"
                    raise
        except SpawnError as error:
            raise InconclusiveError(str(error)) from None


@contextlib.contextmanager
def _blamed_if_it_breaks_off(cause_id: str) -> Iterator[None]:
    """A server that breaks off a good connection, or takes none, has not survived what was done before."""
    try:
        yield
    except Deviation as deviation:
        if deviation.kind in _BREAKS_OFF:
            deviation.cause_id = deviation.cause_id or cause_id
        raise


async def died_of_it(server: SpawnedServer, deviation: Deviation) -> bool:
    """Whether the server's process is gone; if it looks so, it gets a moment for that."""
    return await server.wait_ended(_LAST_BREATH_S if deviation.kind in _BREAKS_OFF else 0)


def nothing_came(deviation: Deviation) -> bool:
    """Whether the server has ended the connection, or reset it, without a byte."""
    return deviation.kind in (Kind.END, Kind.RESET) and not deviation.received_bytes
