"""The proxy itself: it accepts clients, and connects to the server for each."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import trio

from ..base.connect import open_stream
from ..base.endpoint import is_shortage, tls_name, why_not_connected
from ..base.rate_limited_log import RateLimitedLog
from ..connection.transport import SHARED_RECEIVE_BYTES, SocketTransport, Transport
from ..server.accepting import Admission, open_acceptor
from .connection_limits import UNLIMITED, WAIT, ConnectionLimits
from .counts import Direction, ProxyCounts
from .delay_line import DelayLine
from .fault_stream import FaultStream
from .faults import CLEAN, Faults, FrameRule
from .faulty_pump import FaultyPump
from .leave_watch import LeaveWatch, open_leave_watch
from .proxied_connection import ProxiedConnection
from .pump import PlainPump, Pump, Side
from .recording import ConnectionRecording
from .tls_side import NoTlsError, ProxyTls, open_tls_side

logger: logging.Logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10.0
_SHORTAGE_ADVICE = "raise the limit of open files, or lower max_connections"


async def relay_connections(
    listeners: Sequence[trio.SocketListener],
    host: str,
    port: int,
    *,
    to_server: Faults = CLEAN,
    to_client: Faults = CLEAN,
    seed: int = 0,
    max_connections: int = 0,
    counts: ProxyCounts | None = None,
    recording: ConnectionRecording | None = None,
    tls: ProxyTls | None = None,
) -> None:
    """Pass connections on, with faults, until cancelled.

    What one side does is passed on to the other: bytes, the end of the stream (the other
    direction goes on), and resets. A side is never read from faster than the other side
    reads. The faults of a connection depend only on the seed, its number and the bytes.

    Args:
      listeners: where clients connect; closed at the end.
      host: name or address of the server.
      port: its TCP port; 0 where the host is a Unix socket, ``unix:/path``.
      to_server: what happens to what clients send.
      to_client: what happens to what the server sends.
      seed: of the random numbers.
      max_connections: connections at a time; more wait in the kernel. 0 for no limit.
      counts: kept up to date with what happens.
      recording: keeps what both sides send.
      tls: where TLS ends and begins; faults and recordings are then of what is inside. None passes all
        bytes as they are.

    Cancellation resets all connections. No error of a connection ends another, or
    the proxy; they are logged, as faults are, at most 20 a second.

    Raises:
      OSError: accepting failed for a reason that waiting does not change; in an
        exception group, as from any nursery.
    """
    relay = Relay(
        (host, port),
        {Direction.TO_SERVER: to_server, Direction.TO_CLIENT: to_client},
        seed=seed,
        counts=counts,
        recording=recording,
        tls=tls,
        limits=ConnectionLimits(max_connections),
    )
    await relay.run(listeners)


class Relay:
    """Passes the connections of some listeners on, with faults that can be changed meanwhile.

    Args:
      address: host and port of the server, as of `relay_connections`.
      faults: what happens to what goes in each direction.
      seed, counts, recording, tls: as of `relay_connections`.
      is_changeable: whether `change_faults` may be called. Then frames are counted without a fault, too,
        which takes a little time for each.
      limits: how many clients it takes.
      most_connections: how many at a time there are open files for; more wait in the kernel, whatever the
        limits say. 0 for any number.
      name: put before what is logged of a connection, as ``orders: ``.
    """

    def __init__(
        self,
        address: tuple[str, int],
        faults: Mapping[Direction, Faults],
        *,
        seed: int = 0,
        counts: ProxyCounts | None = None,
        recording: ConnectionRecording | None = None,
        tls: ProxyTls | None = None,
        is_changeable: bool = False,
        limits: ConnectionLimits = UNLIMITED,
        most_connections: int = 0,
        name: str = "",
    ) -> None:
        self._address = address
        self._faults = dict(faults)
        self._seed = seed
        self._counts = counts or ProxyCounts()
        self._recording = recording
        self._tls = tls or ProxyTls()
        self._is_changeable = is_changeable
        self._limits = limits
        self._most_connections = most_connections
        self._name = name
        self._pumps: dict[FaultyPump, Direction] = {}
        # What ends each connection when its time is over, and when it was opened.
        self._lifetimes: dict[trio.CancelScope, float] = {}
        self._log = RateLimitedLog(logger)
        self._fault_log = RateLimitedLog(logger)  # many faults must not hide why a connection failed
        self._buffer = memoryview(bytearray(SHARED_RECEIVE_BYTES))
        self._watch: LeaveWatch | None = None
        self._nursery: trio.Nursery
        self._admission: Admission

    def change_target(self, address: tuple[str, int]) -> None:
        """Connect the next clients to another server."""
        self._address = address

    def change_limits(self, limits: ConnectionLimits) -> None:
        """Take so many clients from now on; those that are connected stay."""
        self._limits = limits
        self._admission.change_max_connections(self._most_waiting)

    @property
    def _most_waiting(self) -> int:
        """How many clients there may be before others wait in the kernel; 0 for any number."""
        limits = self._limits
        waits = limits.when_full == WAIT and not limits.is_used_up(self._counts.connections)
        wanted = limits.max_connections if waits else 0
        most = [number for number in (wanted, self._most_connections) if number]
        return min(most, default=0)

    def change_faults(self, faults: Mapping[Direction, Faults]) -> None:
        """Have these faults from now on, on all connections.

        Faults of frames are for those that begin from now on, and others for the bytes that come from now
        on; cuts, delays, the gap and the bandwidth are also for what is on its way. What is held back to be
        joined passes at once. A connection that was reset, truncated or stalled stays so.
        """
        self._faults = dict(faults)
        for scope, opened_at in self._lifetimes.items():
            scope.deadline = opened_at + self._most_open_s
        for pump, direction in self._pumps.items():
            pump.change(faults[direction])

    async def run(
        self,
        listeners: Sequence[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Pass connections on until cancelled, as `relay_connections` does. Report when that begins.

        Raises:
          OSError: as `relay_connections`; before it begins, the machine is short of descriptors.
        """
        async with contextlib.AsyncExitStack() as resources:
            for log in (self._log, self._fault_log):
                resources.callback(log.flush)
            for listener in listeners:
                await resources.enter_async_context(listener)
            self._watch = open_leave_watch()
            if self._watch is not None:
                resources.enter_context(self._watch)
            acceptors = [
                await resources.enter_async_context(open_acceptor(listener, self._buffer))
                for listener in listeners
            ]
            async with trio.open_nursery() as self._nursery:
                self._admission = Admission(
                    self._start,
                    connections=lambda: self._counts.open_connections,
                    max_connections=self._most_waiting,
                    log=self._log,
                    on_failure=lambda: None,
                )
                for log in (self._log, self._fault_log):
                    self._nursery.start_soon(log.run)
                if self._watch is not None:
                    self._nursery.start_soon(self._watch.run)
                for acceptor in acceptors:
                    self._nursery.start_soon(self._admission.accept_from, acceptor)
                task_status.started()

    def _start(self, client: Transport, peer: str) -> None:
        assert isinstance(client, SocketTransport)  # noqa: S101 - for the type checker: the listeners have sockets
        counts = self._counts
        why = self._limits.why_reset(open_connections=counts.open_connections, connections=counts.connections)
        if why is not None:
            counts.rejected += 1
            self._fault_log.warning(f"{self._name}a client is reset: {why}, and that is the most")
            self._nursery.start_soon(client.abort)
            return
        counts.connections += 1
        counts.open_connections += 1
        if self._limits.is_used_up(counts.connections):
            self._admission.change_max_connections(
                self._most_waiting
            )  # later ones are reset, and do not wait
        self._nursery.start_soon(self._serve, client, counts.connections)

    async def _serve(self, client: SocketTransport, number: int) -> None:
        try:
            async with contextlib.AsyncExitStack() as closing:
                closing.push_async_callback(client.abort)
                sides = await self._open_sides(client, number, closing)
                if sides is not None:
                    connection = ProxiedConnection(*sides, self._watch)
                    if self._recording is not None:
                        record = closing.enter_context(self._recording.of_connection(number))
                        connection.client.record = record.get(Direction.TO_SERVER)
                        connection.server.record = record.get(Direction.TO_CLIENT)
                    client_side, server_side = sides
                    to_server = self._pump(connection, client_side, server_side, Direction.TO_SERVER, number)
                    to_client = self._pump(connection, server_side, client_side, Direction.TO_CLIENT, number)
                    closing.callback(self._forget, to_server, to_client)
                    with self._lifetime(number):
                        await connection.run(to_server, to_client)
        except Exception as error:
            logger.error("%sconnection %d: ended by an unexpected error", self._name, number, exc_info=error)
        finally:
            self._counts.open_connections -= 1
            self._admission.note_free_place()

    @property
    def _most_open_s(self) -> float:
        """How long a connection may be open."""
        limits = [faults.reset_after_s for faults in self._faults.values()]
        return min((limit for limit in limits if limit is not None), default=math.inf)

    @contextlib.contextmanager
    def _lifetime(self, number: int) -> Iterator[None]:
        """Cancel the block, which resets the connection, when it has been open for its time."""
        opened_at = trio.current_time()
        with trio.CancelScope(deadline=opened_at + self._most_open_s) as scope:
            self._lifetimes[scope] = opened_at
            try:
                yield
            finally:
                del self._lifetimes[scope]
        if scope.cancelled_caught:
            self._counts.faults["reset"] += 1
            after_s = trio.current_time() - opened_at
            self._fault_log.warning(f"{self._name}connection {number}: it is reset after {after_s:.3g} s")

    async def _open_sides(
        self, client: SocketTransport, number: int, closing: contextlib.AsyncExitStack
    ) -> tuple[Side, Side] | None:
        tls = self._tls
        client_side, what = Side(client), "client"
        try:
            if tls.listening is not None:
                client_side = await open_tls_side(client, tls.listening, self._buffer)
            server = await self._connect(number)
            if server is None:
                return None
            closing.push_async_callback(server.abort)
            what = "server"
            if tls.target is None:
                return client_side, Side(server)
            name = tls.target_hostname or tls_name(self._address[0])
            return client_side, await open_tls_side(server, tls.target, self._buffer, server_hostname=name)
        except NoTlsError as error:
            self._counts.unconnected += 1
            where = f"{self._name}connection {number}"
            self._log.warning(f"{where}: the TLS handshake with the {what} failed: {error}")
            return None

    async def _connect(self, number: int) -> SocketTransport | None:
        try:
            with trio.fail_after(_CONNECT_TIMEOUT_S):
                stream = await open_stream(*self._address)
        except trio.TooSlowError:
            reason = f"no reply within {_CONNECT_TIMEOUT_S:g} s"
        except (OSError, UnicodeError) as error:
            reason = why_not_connected(error)
            if is_shortage(error):
                reason = f"this machine is short of something: {reason} ({_SHORTAGE_ADVICE})"
        else:
            return SocketTransport(socket.socket(fileno=stream.socket.detach()), self._buffer)
        self._counts.unconnected += 1
        self._log.warning(f"{self._name}connection {number}: cannot connect to the server: {reason}")
        return None

    def _pump(
        self, connection: ProxiedConnection, source: Side, sink: Side, direction: Direction, number: int
    ) -> Pump:
        faults = self._faults[direction]
        on_passed = partial(self._note_passed, direction)
        if faults == CLEAN and not self._is_changeable:
            return PlainPump(source, sink, on_passed)
        words = f"{number} {direction.value}"

        def numbers_of(rule: FrameRule) -> random.Random:
            seed = self._seed if rule.seed is None else rule.seed
            return random.Random(f"{seed} {words} {rule.name}")

        pump = FaultyPump(
            source,
            sink,
            on_passed,
            faults=faults,
            stream=FaultStream(
                faults,
                numbers_of,
                partial(self._note_fault, direction, number),
                is_changeable=self._is_changeable,
                total=self._counts.let_through[direction],
            ),
            # A generator of its own: how many numbers are drawn for pieces depends on how the bytes were cut.
            line=DelayLine(faults, random.Random(f"{self._seed} {words} pieces"), trio.current_time()),
            buffer=self._buffer,
            on_stall=connection.look,
            on_left=None if self._watch is not None else partial(connection.note_left, source),
        )
        self._pumps[pump] = direction
        return pump

    def _forget(self, *pumps: Pump) -> None:
        for pump in pumps:
            if isinstance(pump, FaultyPump):
                del self._pumps[pump]

    def _note_passed(self, direction: Direction, count: int) -> None:
        self._counts.passed_bytes[direction] += count

    def _note_fault(self, direction: Direction, number: int, kind: str, words: str) -> None:
        if kind:
            self._counts.faults[kind] += 1
        self._fault_log.warning(f"{self._name}connection {number}, {direction.value}: {words}")
