"""Wait for many sockets, up to a moment that is met to some microseconds."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any, Protocol

import trio

from ...base.units import NS_PER_S
from .cpu_time import WaitingTime, times_taken_away

# The grain of epoll_wait(2) and poll(2).
_GRAIN_NS = 1_000_000

# Who spins gives the processor up only when the kernel takes it away. For others that wake up, it does so
# often. Others that spin as well get it in turns of some ms, which are few; but then it is waited for, by two
# for half of the time, by three on two processors for a third. Where there are processors enough, it is taken
# away some times a second, and for one turn.
_MOST_TAKEN_AWAY_PER_S = 200
_MOST_WAITING_SHARE = 0.25
_LOOK_NS = 50_000_000
_LOOK_TAKES_NS = 20_000  # at most: so much time must be left, for nothing is to be late for it
_SHARED_NS = 10_000_000_000  # is how long it is believed that others want it
# So long it is believed at first: engines that start in step, and spin, would hold up each other's starts.
_BEGINNING_NS = 20_000_000

# What select(2) takes is below this number (FD_SETSIZE).
_SELECTABLE = 1024

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

    The reactor has an epoll as well; this differs in what it waits for: a socket may be waited for
    in both directions at once, and a wait ends at a given time, for which a grain of 1 ms is too
    coarse. So the last millisecond or two before a message is due are spent asking again and again;
    a reply that comes meanwhile is noticed sooner than by who has to be woken.

    On Linux that is given up for 10 s when others want the processor meanwhile: there may be fewer
    processors than processes, and then who sleeps gets one sooner than who spins, and holds up
    nobody. select(2) wakes at most 50 us after its time, the slack of the kernel's timers
    (PR_SET_TIMERSLACK in prctl(2)), and what waking takes. So a message is late by some 80 us then,
    and not by milliseconds.

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
        self._shared_until = 0.0
        # When it was looked last how often the processor was taken away, and how long it was waited for.
        self._looked_at = 0.0
        self._taken_away = self._waited_ns = 0
        self._waiting_time = WaitingTime()

    def __enter__(self) -> Poller:
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for nothing more."""
        self._waiting_time.close()

    def register(self, connection: HasDescriptor) -> int:
        """Wait for this socket to be readable from now on; return the number by which `wait` calls it."""
        raise NotImplementedError

    def also_writable(self, number: int, yes: bool) -> None:
        """Wait for room to send as well, or no longer."""
        raise NotImplementedError

    def unregister(self, number: int) -> None:
        """Stop waiting for this socket; to be called before it is closed."""
        raise NotImplementedError

    def begin(self) -> None:
        """Note that the load begins."""
        self._shared_until = time.perf_counter_ns() + _BEGINNING_NS

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
        now = time.perf_counter_ns()
        left = until - now
        if left >= 2 * _GRAIN_NS:
            return poll(self._grain)
        if left > 0 and now < self._shared_until:
            dozed = self._doze(min(left, _GRAIN_NS) / NS_PER_S)
            if dozed is not None:
                return dozed
        if (ready := poll(0)) or left <= 0:
            return ready
        return self._spin(until)

    def _doze(self, seconds: float) -> ReadySockets | None:
        """Sleep until a socket is ready, for this part of a millisecond; None if that cannot be done."""
        return None

    def _spin(self, until: float) -> ReadySockets:
        poll = self._poll
        ready: ReadySockets = []
        cpu_ns = time.thread_time_ns()
        now = time.perf_counter_ns()
        if now - self._looked_at >= _LOOK_NS and until - now >= _LOOK_TAKES_NS:
            self._look_for_others(now)
        while not ready and now < until:
            ready = poll(0)
            now = time.perf_counter_ns()
        self.spun_ns += time.thread_time_ns() - cpu_ns
        return ready

    def _look_for_others(self, now: int) -> None:
        """Note whether others want the processor."""
        taken_away, waited_ns, looked_at = self._taken_away, self._waited_ns, self._looked_at
        self._taken_away, self._waited_ns, self._looked_at = times_taken_away(), self._waiting_time.ns(), now
        if looked_at <= self._shared_until:
            return  # who dozes waits as well, if only for a moment each time
        lasted_ns = now - looked_at
        is_taken_away_often = self._taken_away - taken_away > _MOST_TAKEN_AWAY_PER_S * lasted_ns / NS_PER_S
        if is_taken_away_often or self._waited_ns - waited_ns > _MOST_WAITING_SHARE * lasted_ns:
            self._shared_until = now + _SHARED_NS


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
        super().__init__(select.epoll(), _GRAIN_NS / NS_PER_S)
        # An epoll can be waited for as a socket can, also by what has a finer grain than its own.
        self._ourselves: list[int] = [self._registered.fileno()]
        self._dozes: bool = self._ourselves[0] < _SELECTABLE

    def __exit__(self, *exception: object) -> None:
        """Close the epoll."""
        super().__exit__(*exception)
        self._registered.close()

    def _doze(self, seconds: float) -> ReadySockets | None:
        if not self._dozes:
            return None
        somebody_is_ready, _, _ = select.select(self._ourselves, (), (), seconds)
        return self._poll(0) if somebody_is_ready else []

    async def rest(self, seconds: float) -> None:
        """See `Poller.rest`."""
        with trio.move_on_after(seconds):
            await trio.lowlevel.wait_readable(self._ourselves[0])


class SelectPoller(Poller):
    """By select(2): everywhere, for few sockets."""

    # 512 on Windows; elsewhere descriptors up to 1023, of which some are no sockets.
    most_sockets: int | None = 500

    def __init__(self) -> None:
        super().__init__(self._select, _GRAIN_NS / NS_PER_S)
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
