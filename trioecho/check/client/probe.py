"""What a case is given: connections, bytes, time, and sometimes a server of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from ...base.addresses import format_address
from ..book.book import Level
from ..spawned.only_first import MOST_EXIT_S, OnlyFirst
from ..spawned.spawned_server import SpawnedServer, Spawner, SpawnError
from .connecting import CONNECT_S, connected, peer_socket_of, shake_hands
from .finding import BREAKS_OFF, Deviation, InconclusiveError, Kind
from .pace import Pace
from .payloads import PayloadMaker
from .peer import Peer
from .session import open_session
from .settings import Settings
from .tls_client import TlsClient
from .transcript import Transcript

# Returns where the server is, after a look whether it is there, and starts it again if that is
# allowed; None if it is gone.
Revive = Callable[[bool], Awaitable[tuple[str, int] | None]]
# A process that dies shows first by its connections.
_LAST_BREATH_S, _EXIT_S = 0.5, 0.1
# A connection for which the accept queue has no place is asked for again after a second (RFC 6298).
_SYN_AGAIN_S = 0.7
# That a server of one connection takes another is not to be expected.
_ANOTHER_S = 1.0
# So often a server that ends a connection soon is asked whether it serves at all.
_TRIES = 3
# A server that has something to do besides accepting needs no longer for it.
_ACCEPT_S = 0.01


class Probe(PayloadMaker):
    """What one run of one case works with.

    Attributes:
      address (tuple[str, int]): where the server listens.
      patience_s (float): how long the server may be silent.
      pace (Pace): how fast the server is, and so how much can be asked of it.
      serves_several (bool): whether the server serves two connections at a time; other
        rules than those about that must not ask for it.
      only_first (OnlyFirst | None): one connection is all that the server serves: each gets
        a fresh server, as long as no other is open.
      is_queue_short (bool): whether a connection had to wait for a place in the accept
        queue; from then on each gives the server a moment to accept the one before.
      is_last_try (bool): whether what is seen now is believed.
      pause_s (float): between pieces that are to arrive apart.
      transcript (Transcript): of all connections.
      has_asked_for_another (bool): whether a server that serves its first connection and no
        other was asked for another.
      server (SpawnedServer | None): the server that was started for this case last.
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
        spawner: Spawner | None = None,
        only_first: OnlyFirst | None = None,
        revive: Revive | None = None,
        is_queue_short: bool = False,
    ) -> None:
        super().__init__(case_id, settings)
        self.tls: TlsClient | None = settings.tls
        self.address: tuple[str, int] = address
        self._written_address = settings.written_address
        self.patience_s = patience_s
        self.pace: Pace = pace or Pace()
        self.serves_several = serves_several
        self.is_last_try = is_last_try
        self.pause_s: float = max(0.01, 2 * min(self.pace.round_trip_s, 0.1))
        self.transcript: Transcript = Transcript()
        self.server: SpawnedServer | None = None
        self.has_asked_for_another: bool = False
        self.only_first: OnlyFirst | None = only_first
        self.is_queue_short: bool = is_queue_short
        self._starting = starting or trio.CapacityLimiter(1)
        self._spawner = spawner
        self._revive = revive
        self._connections = 0
        self._open = 0
        self._offered: Peer | None = None
        self._peers: list[Peer] = []
        self._asked = 0

    def begin_transcript(self) -> None:
        """Forget what has happened so far."""
        self.transcript = Transcript()
        self._connections = 0

    @property
    def where(self) -> str:
        """Where the server listens, in words: as its user has written it, and its address if that differs."""
        address = format_address(self.address)
        written = self._written_address
        return f"{written} ({address})" if written not in ("", address) else address

    # ---- connections ----

    @property
    def was_cut_off(self) -> bool:
        """Whether the server has ended or reset any of the connections, or did not take one."""
        return any(peer.was_ended for peer in self._peers) or len(self._peers) < self._asked

    @property
    def has_connected(self) -> bool:
        """Whether any connection was accepted."""
        return bool(self._peers)

    @contextlib.asynccontextmanager
    async def connect(self, *, receive_buffer: int | None = None) -> AsyncIterator[Peer]:
        """Open a new connection.

        Raises:
          Deviation: the server does not accept it.
        """
        if self.only_first is not None and not self._open:
            async with self.own_server() as (_, peer):
                yield peer
            return
        if (offered := self._offered) is not None:
            self._offered = None
            yield offered
            offered.release()
            return
        self._connections += 1
        self._open += 1
        self._asked += 1
        self.has_asked_for_another = self.only_first is not None
        if self.is_queue_short:
            await trio.sleep(_ACCEPT_S)
        try:
            async with connected(
                self.address,
                self.wire,
                self.transcript,
                number=self._connections,
                patience_s=self.patience_s,
                receive_buffer=receive_buffer,
                connect_s=CONNECT_S if self.only_first is None else _ANOTHER_S,
                dialogue=self.dialogue,
                tls=self.tls,
            ) as peer:
                self.is_queue_short |= peer.connect_s > _SYN_AGAIN_S
                self._peers.append(peer)
                yield peer
        finally:
            self._open -= 1

    async def is_there(self) -> bool:
        """Return whether the server is still there; one that has ended is started again if that can be.

        It is not started again while other cases may run on it: before the last try.
        """
        if self.only_first is not None:
            return True
        address = None if self._revive is None else await self._revive(self.is_last_try)
        self.address = address or self.address
        return address is not None

    async def is_served(self, cause_id: str | None, *, others: int = 1) -> None:
        """See that new connections are accepted and get their echoes.

        Raises:
          Deviation: they do not; ``cause_id`` is its cause.
        """
        for _ in range(others):
            try:
                async with self.connect() as peer:
                    await peer.echo(self.text(b"anybody there?"), cause_id=cause_id)
            except Deviation as deviation:
                deviation.expected = f"a new connection to be served: {deviation.expected}"
                deviation.cause_id = deviation.cause_id or cause_id
                raise

    @contextlib.asynccontextmanager
    async def bystander(self, cause_id: str) -> AsyncIterator[None]:
        """Keep a connection open all the while, and see that it is still served at the end.

        Raises:
          Deviation: it is not; ``cause_id`` is its cause.
        """
        if not self.serves_several:
            async with self._blamed_if_it_breaks_off(cause_id):
                yield
            return
        async with self.connect() as peer:
            await peer.echo(self.payload(10))
            began = trio.current_time()
            async with self._blamed_if_it_breaks_off(cause_id):
                yield
            try:
                await peer.echo(*self.payloads(20, 20))
            except Deviation as deviation:
                deviation.actual += " (a connection that was open all the while)"
                deviation.cause_id = await self._cause_of_broken_bystander(deviation, cause_id, began)
                raise

    @contextlib.asynccontextmanager
    async def _blamed_if_it_breaks_off(self, cause_id: str) -> AsyncIterator[None]:
        """Blame what was done before, if the server then breaks off a good connection or takes none."""
        began = trio.current_time()
        try:
            yield
        except Deviation as deviation:
            if deviation.kind in BREAKS_OFF and deviation.cause_id is None:
                is_gone = deviation.kind is Kind.NO_CONNECTION or not await self._is_still_served()
                is_idle = not is_gone and await self._ends_when_idle(trio.current_time() - began)
                deviation.cause_id = "short-idle-timeout" if is_idle else cause_id
            raise

    async def _cause_of_broken_bystander(
        self, deviation: Deviation, cause_id: str, began: float
    ) -> str | None:
        """Find out whether the server has ended, or only that connection; or any that is idle so long."""
        if deviation.kind not in (Kind.END, Kind.RESET) or not await self._is_still_served():
            return cause_id
        is_idle = await self._ends_when_idle(trio.current_time() - began)
        return "short-idle-timeout" if is_idle else "ends-others"

    async def _is_still_served(self) -> bool:
        for _ in range(_TRIES):
            try:
                await self.is_served(None)
            except Deviation as deviation:
                if deviation.kind not in (Kind.END, Kind.RESET):
                    return False
                await trio.sleep(self.pause_s)  # it was accepted, and perhaps ended because it was idle
            else:
                return True
        return False

    async def _ends_when_idle(self, idle_s: float) -> bool:
        """Return whether the server ends a connection that is idle so long."""
        with contextlib.suppress(Deviation):
            async with self.connect() as peer:
                await peer.echo(self.payload(10))
                return await peer.receive(within_s=idle_s) in (Kind.END, Kind.RESET)
        return False

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
        """Start a fresh server, and give its first connection; from now on connections go to it.

        Raises:
          Deviation: the server has ended, and was not asked to.
          InconclusiveError: it does not start.
        """
        assert self._spawner is not None  # noqa: S101 - the runner has seen to it
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with self._starting:
                    server, sock = await stack.enter_async_context(self._spawner.running(port=port))
                self.server, self.address = server, server.address
                self.transcript.happened(0, f"a server was started on port {server.address[1]}")
                self._connections += 1
                self._open += 1
                self.transcript.happened(self._connections, "connected")
                peer_socket = peer_socket_of(sock, self.tls)
                peer = Peer(
                    peer_socket,
                    self.wire,
                    self.transcript,
                    self._connections,
                    self.patience_s,
                    dialogue=self.dialogue,
                )
                self._asked += 1
                self._peers.append(peer)
                try:
                    await shake_hands(peer_socket, self.transcript, self._connections)
                    await open_session(peer, self.dialogue, self.wire)
                    yield server, peer
                except Deviation as deviation:
                    if await self._ended_unasked(server, looks_so=deviation.kind in BREAKS_OFF):
                        deviation.actual += f" (the server {server.how_it_ended})"
                        deviation.cause_id = deviation.cause_id or "crashes"
                    raise
                else:
                    await self._raise_if_ended(server, peer)
                finally:
                    peer.release()
                    self._open -= 1
        except SpawnError as error:
            raise InconclusiveError(str(error)) from None

    @contextlib.asynccontextmanager
    async def one_server(self) -> AsyncIterator[None]:
        """Start one fresh server for all connections: it serves the first; does it serve others?

        Raises:
          InconclusiveError: it does not start.
        """
        async with self.own_server() as (_, first):
            self._offered = first
            yield

    @contextlib.asynccontextmanager
    async def clients(
        self, first: Peer, count: int, *, receive_buffer: int | None = None
    ) -> AsyncIterator[list[Peer]]:
        """Open ``count`` connections to a server of one's own; if it serves only its first, give that."""
        if self.only_first is not None:
            yield [first]
            return
        if not self.serves_several:
            first.close()
        async with contextlib.AsyncExitStack() as stack:
            connections = [self.connect(receive_buffer=receive_buffer) for _ in range(count)]
            yield [await stack.enter_async_context(connection) for connection in connections]

    async def _raise_if_ended(self, server: SpawnedServer, peer: Peer) -> None:
        """Raise if the server's process has ended, which may look like a refusal."""
        if self.only_first is None and not server.was_signalled:
            await server.wait_ended(_EXIT_S)  # the end of the last connections may end it
        if not server.was_signalled and await self._ended_unasked(server, looks_so=peer.was_ended):
            how = f"the server {server.how_it_ended}"
            raise Deviation(Kind.OTHER, "the server to serve on", how, level=Level.MUST, cause_id="crashes")

    async def _ended_unasked(self, server: SpawnedServer, *, looks_so: bool) -> bool:
        if self.only_first is None:
            return await dies(server, looks_so=looks_so) and not server.was_signalled
        # Whether it ends with its connection is known, and how.
        most_s = _EXIT_S if self.only_first.exit_code is None else MOST_EXIT_S
        within_s = most_s if looks_so else 0
        return await server.wait_ended(within_s) and server.process.returncode != self.only_first.exit_code


async def dies(server: SpawnedServer, *, looks_so: bool) -> bool:
    """Return whether the server's process is gone; if it looks so, it gets a moment for that."""
    return await server.wait_ended(_LAST_BREATH_S if looks_so else 0)
