"""Wait for many sockets, up to a moment that is met to some microseconds."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any, Protocol

import trio

# The grain of epoll_wait(2) and poll(2). Shorter waits than two of them are spun.
_GRAIN_NS = 1_000_000

# What a poller says of a socket: as epoll and poll do (EPOLLIN, POLLIN; EPOLLOUT, POLLOUT).
READABLE: int = 1
ONLY_WRITABLE: int = 4

ReadySockets = list[tuple[int, int]]


class HasDescriptor(Protocol):
    """What can be waited for."""

    def fileno(self) -> int: ...


class Waiter(Protocol):
    """What the engine needs to wait: a `Poller`, or something in virtual time."""

    spun_ns: int

    def wait(self, until: float) -> ReadySockets: ...

    def also_writable(self, number: int, yes: bool) -> None: ...

    def unregister(self, number: int) -> None: ...


class Poller:
    """Sockets that stay registered, and a wait for all of them. A context manager.

    The reactor has an epoll as well; this differs in what it waits for: a socket may be
    waited for in both directions at once, and a wait ends at a given time, for
    which a grain of 1 ms is too coarse. So the last millisecond or two before
    a message is due are spent asking again and again.

    Attributes:
      spun_ns: CPU time spent so; it was used, but not needed.
      most_sockets: how many can be registered; None if that is up to the limit of open files.

    Args:
      poll: gives the sockets that are ready; takes how long to wait at most.
      grain: a millisecond, as ``poll`` wants it.
    """

    most_sockets: int | None = None

    def __init__(self, poll: Callable[[float], ReadySockets], grain: float) -> None:
        self.spun_ns: int = 0
        self._poll = poll
        self._grain = grain

    def __enter__(self) -> Poller:
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for nothing more."""

    def register(self, connection: HasDescriptor) -> int:
        """Wait for this socket to be readable from now on; return the number by which `wait` calls it."""
        raise NotImplementedError

    def also_writable(self, number: int, yes: bool) -> None:
        """Wait for room to send as well, or no longer."""
        raise NotImplementedError

    def unregister(self, number: int) -> None:
        """Stop waiting for this socket; to be called before it is closed."""
        raise NotImplementedError

    async def rest(self, seconds: float) -> None:
        """Leave the time to Trio's other tasks until a socket is ready, for ``seconds`` at most.

        Without a descriptor that Trio could wait for, it is no longer than a turn of theirs.
        """
        await trio.lowlevel.checkpoint()

    def wait(self, until: float) -> ReadySockets:
        """Wait, and return the sockets that are ready, by number; see `ONLY_WRITABLE`.

        Returns none at the time ``until`` (of `time.perf_counter_ns`), or a millisecond
        from now: what comes first.
        """
        poll = self._poll
        if until - time.perf_counter_ns() >= 2 * _GRAIN_NS:
            return poll(self._grain)
        if ready := poll(0):
            return ready
        cpu_ns = time.thread_time_ns()
        while not ready and time.perf_counter_ns() < until:
            ready = poll(0)
        self.spun_ns += time.thread_time_ns() - cpu_ns
        return ready


class PollPoller(Poller):
    """By poll(2): what all systems have but Windows. Each wait looks at every socket."""

    def __init__(self, registered: Any = None, grain: float = 1) -> None:
        self._registered: Any = registered or select.poll()
        super().__init__(self._registered.poll, grain)

    def register(self, connection: HasDescriptor) -> int:
        """See `Poller.register`."""
        self._registered.register(connection, READABLE)
        return connection.fileno()

    def also_writable(self, number: int, yes: bool) -> None:
        """See `Poller.also_writable`."""
        self._registered.modify(number, READABLE | ONLY_WRITABLE if yes else READABLE)

    def unregister(self, number: int) -> None:
        """See `Poller.unregister`."""
        self._registered.unregister(number)


class EpollPoller(PollPoller):
    """By epoll(7), which only Linux has. A wait looks at those that are ready."""

    def __init__(self) -> None:
        super().__init__(select.epoll(), _GRAIN_NS / 1e9)

    def __exit__(self, *exception: object) -> None:
        """Close the epoll."""
        self._registered.close()

    async def rest(self, seconds: float) -> None:
        """See `Poller.rest`; an epoll can be waited for as a socket can."""
        with trio.move_on_after(seconds):
            await trio.lowlevel.wait_readable(self._registered.fileno())


class SelectPoller(Poller):
    """By select(2): everywhere, for few sockets."""

    # 512 on Windows; elsewhere descriptors up to 1023, of which some are no sockets.
    most_sockets: int | None = 500

    def __init__(self) -> None:
        super().__init__(self._select, _GRAIN_NS / 1e9)
        self._reading: set[int] = set()
        self._writing: set[int] = set()

    def register(self, connection: HasDescriptor) -> int:
        """See `Poller.register`."""
        number = connection.fileno()
        self._reading.add(number)
        return number

    def also_writable(self, number: int, yes: bool) -> None:
        """See `Poller.also_writable`."""
        (self._writing.add if yes else self._writing.discard)(number)

    def unregister(self, number: int) -> None:
        """See `Poller.unregister`."""
        self._reading.discard(number)
        self._writing.discard(number)

    def _select(self, seconds: float) -> ReadySockets:
        if not self._reading:  # which Windows refuses to wait for
            time.sleep(seconds)
            return []
        # An attempt to connect that has failed is exceptional on Windows, and writable elsewhere.
        readable, writable, failed = select.select(self._reading, self._writing, self._writing, seconds)
        events = dict.fromkeys(readable, READABLE)
        for number in {*writable, *failed}:
            events[number] = events.get(number, 0) | ONLY_WRITABLE
        return list(events.items())


def open_poller() -> Poller:
    """Return the best poller that this system has."""
    if hasattr(select, "epoll"):
        return EpollPoller()
    return PollPoller() if hasattr(select, "poll") else SelectPoller()
