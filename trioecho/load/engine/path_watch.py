"""Watch what the kernel knows of a load's connections: read some at a time, and each when it is closed.

Reading a connection takes some microseconds, in which no message is sent or received. So all are read in
turns, a few in one go, and at most `MOST_READS` in a round of nine tenths of an interval; with more
connections each is read more rarely. What the kernel counts is exact all the same: a count is the
difference to what was read before, and the last one is taken when the connection is closed.
"""

from __future__ import annotations

import math
import socket
from collections import deque
from collections.abc import Callable, Iterable

from ...base.tcp_info import TcpInfo, read_tcp_info
from ...base.units import NS_PER_S
from ..results.path_counts import PathCounts
from ..results.path_result import PathResult
from ..results.time_series import FIRST_INTERVAL_S
from .connection import LoadConnection
from .sending import Socket
from .tls import TlsSocket

# Connections that are read in a round, and in one go, at most.
MOST_READS = 64
_AT_ONCE = 8
# From one round to the next: a little less than an interval, so that each has one also where turns are late.
_ROUND_NS = 0.9 * FIRST_INTERVAL_S * NS_PER_S
# Of a connection of which nothing was read: what its kernel counts since it was opened is of the load.
_NOTHING_YET = TcpInfo(0, 0, 0, 0, 0, 0, None, 0, 0, 0, 0, 0, 0)
_US = 1000  # in nanoseconds


def tcp_info_of(connection: Socket) -> TcpInfo | None:
    """Return what the kernel knows of a connection's socket; None where it does not say."""
    plain = connection.plain if isinstance(connection, TlsSocket) else connection
    return read_tcp_info(plain) if isinstance(plain, socket.socket) else None


class PathWatch:
    """Reads connections while the engine turns, and counts.

    Attributes:
      next_moment: when some are to be read, in ns of the clock; infinity while there is none.

    Args:
      read: gives what the kernel knows of a connection; None where it does not say.
    """

    def __init__(self, read: Callable[[Socket], TcpInfo | None] = tcp_info_of) -> None:
        self.next_moment: float = math.inf
        self._read = read
        self._known: dict[LoadConnection, TcpInfo] = {}
        self._turns: deque[LoadConnection] = deque()
        self._total = PathResult()
        self._counts = PathCounts()
        # Of the interval; histograms take many at a time in less time.
        self._rtts_ns: list[int] = []
        self._windows: list[int] = []
        self._unsent: list[int] = []

    def begin(self, connections: Iterable[LoadConnection]) -> None:
        """Begin with the connections that are open; what they did before does not count."""
        for connection in connections:
            if (info := self._read(connection.socket)) is not None:
                self._watch(connection, info)

    def add(self, connection: LoadConnection) -> None:
        """Watch a connection that was opened later; what it took to open it counts, too."""
        if self._read(connection.socket) is not None:
            self._watch(connection, _NOTHING_YET)

    def _watch(self, connection: LoadConnection, info: TcpInfo) -> None:
        self._known[connection] = info
        self._turns.append(connection)
        self._total.connections += 1
        if self.next_moment == math.inf:
            self.next_moment = 0

    def remove(self, connection: LoadConnection) -> None:
        """Take the last differences of a connection that is about to be closed."""
        before = self._known.pop(connection, None)
        if before is not None and (info := self._read(connection.socket)) is not None:
            self._count(before, info)

    def look(self, now: int) -> None:
        """Read the next few connections."""
        self._look(_AT_ONCE)
        reads = max(_AT_ONCE, min(MOST_READS, len(self._known)))
        self.next_moment = now + _ROUND_NS * _AT_ONCE / reads if self._known else math.inf

    def _look(self, most: int) -> None:
        turns, known = self._turns, self._known
        for _ in range(min(most, len(turns))):
            connection = turns.popleft()
            before = known.get(connection)
            if before is None:  # it was closed
                continue
            turns.append(connection)
            info = self._read(connection.socket)
            if info is None:
                continue
            known[connection] = info
            self._count(before, info)
            if info.rtt_us:
                self._rtts_ns.append(info.rtt_us * _US)
                self._counts.rtt_deviation_us += info.rtt_deviation_us
            self._windows.append(info.congestion_window)
            if info.unsent_bytes is not None:
                self._unsent.append(info.unsent_bytes)

    def _count(self, before: TcpInfo, now: TcpInfo) -> None:
        """Count the differences between two readings of a connection."""
        counts = self._counts
        counts.retransmits += now.retransmits - before.retransmits
        counts.data_segments += (now.data_segments or 0) - (before.data_segments or 0)
        counts.needless += (now.needless_retransmits or 0) - (before.needless_retransmits or 0)
        counts.out_of_order += (now.out_of_order or 0) - (before.out_of_order or 0)
        counts.busy_us += (now.busy_us or 0) - (before.busy_us or 0)
        counts.window_limited_us += (now.window_limited_us or 0) - (before.window_limited_us or 0)
        counts.buffer_limited_us += (now.buffer_limited_us or 0) - (before.buffer_limited_us or 0)
        if counts.least_rto_us is None or now.rto_us < counts.least_rto_us:
            counts.least_rto_us = now.rto_us
        least = now.least_rtt_us
        if least is not None and (counts.least_rtt_us is None or least < counts.least_rtt_us):
            counts.least_rtt_us = least

    def begin_measured_part(self) -> None:
        """Let only what follows count: read what can be read in an interval, and forget all of it."""
        self._look(MOST_READS)
        self._take()

    def take_step(self) -> PathCounts:
        """Return what was counted since the last call."""
        counts = self._take()
        self._total.counts.add(counts)
        return counts

    def _take(self) -> PathCounts:
        counts, self._counts = self._counts, PathCounts()
        for histogram, values in (
            (counts.rtt_ns, self._rtts_ns),
            (counts.congestion_window, self._windows),
            (counts.unsent_bytes, self._unsent),
        ):
            histogram.record_all(values)
            values.clear()
        return counts

    def result(self) -> PathResult:
        """Return what was counted in all steps."""
        if not self._total.connections:
            return PathResult(missing="the kernel does not say (TCP_INFO)")
        return self._total
