"""Waiting for many sockets, up to a moment that is met to some microseconds."""

from __future__ import annotations

import select
import socket
import time

# The grain of epoll_wait(2). Shorter waits than two of them are spun.
_GRAIN_NS = 1_000_000

ONLY_WRITABLE: int = getattr(select, "EPOLLOUT", 4)


class Poller:
    """One epoll, in which sockets stay registered. A context manager.

    The hub has one as well; this one differs in what it waits for: a socket may be
    waited for in both directions at once, and a wait ends at a given time, which
    the grain of epoll (1 ms) is too coarse for. So the last millisecond or two before
    a message is due are spent asking the epoll again and again.

    Attributes:
      spun_ns: CPU time spent so; it was used, but not needed.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.spun_ns: int = 0

    def __enter__(self) -> Poller:
        return self

    def __exit__(self, *exception: object) -> None:
        self._epoll.close()

    def fileno(self) -> int:
        """Readable when a socket is ready."""
        return self._epoll.fileno()

    def register(self, connection: socket.socket) -> int:
        """Wait for this socket to be readable; gives the number by which `wait` calls it."""
        self._epoll.register(connection, select.EPOLLIN)
        return connection.fileno()

    def also_writable(self, number: int, yes: bool) -> None:
        """Wait until there is room to send as well, or no longer."""
        self._epoll.modify(number, select.EPOLLIN | select.EPOLLOUT if yes else select.EPOLLIN)

    def unregister(self, number: int) -> None:
        """Wait for this socket no longer; to be called before it is closed."""
        self._epoll.unregister(number)

    def wait(self, until: float) -> list[tuple[int, int]]:
        """The sockets that are ready, by number; with `ONLY_WRITABLE` if there is nothing to receive.

        Returns none at the time ``until`` (of `time.perf_counter_ns`), or a millisecond
        from now: what comes first.
        """
        poll = self._epoll.poll
        if until - time.perf_counter_ns() >= 2 * _GRAIN_NS:
            return poll(_GRAIN_NS / 1e9)
        if ready := poll(0):
            return ready
        cpu_ns = time.thread_time_ns()
        while not ready and time.perf_counter_ns() < until:
            ready = poll(0)
        self.spun_ns += time.thread_time_ns() - cpu_ns
        return ready
