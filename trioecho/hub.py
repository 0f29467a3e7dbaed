"""The fast driver: one epoll for all plain sockets of a server, and who is resumed by it.

A task that waits for its socket costs Trio two system calls and a turn of its
scheduler for every message. The hub is one task with an epoll of its own, in
which sockets stay registered. It waits for that epoll through Trio, and resumes
the steps of every connection that is ready, one after the other, in its own
turn. The connection's task sleeps meanwhile; it wakes up when the steps have
ended, when a clock may have run out, and when a drain begins, and takes over.

Steps never wait: a resumption is at most one receive, its decoding and one send.
The epoll is level-triggered, so what one resumption leaves is there for the
next, after all others had theirs.

There is no hub where there is no epoll (`open_hub` gives None): then, as for TLS
and in-memory streams, every task drives its own steps.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from types import TracebackType

import trio

from .steps import Steps, Wait

# How long the hub may keep Trio's other tasks from their turn.
_TURN_S = 0.002


class Ride:
    """Steps that the hub resumes.

    Attributes:
      wait: what the steps wait for, or waited for at last.
      failure: what they raised, or StopIteration at their end; None until then.
      has_ended: set when they have, and also when they wait for something that
        the hub does not know.
    """

    def __init__(self, steps: Steps, wait: Wait) -> None:
        self._steps = steps
        self.wait: Wait = wait
        self.failure: BaseException | None = None
        self.has_ended: trio.Event = trio.Event()

    def resume(self) -> Wait | None:
        """Resume the steps; what they wait for then, None if they have ended."""
        try:
            self.wait = next(self._steps)
        except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
            self.failure = error
            return None
        return self.wait


class Hub:
    """Resumes the steps of many sockets. A context manager; use it around its `run`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._events = {Wait.READABLE: select.EPOLLIN, Wait.WRITABLE: select.EPOLLOUT}
        self._rides: dict[int, Ride] = {}
        self._turn_ends = 0.0

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._epoll.close()

    @contextlib.contextmanager
    def riding(self, connection: socket.socket, steps: Steps, wait: Wait) -> Iterator[Ride]:
        """Within this, the hub resumes steps that wait for this socket.

        Afterwards they are where the hub has left them, for another driver.
        """
        ride = Ride(steps, wait)
        descriptor = connection.fileno()
        if wait not in self._events:
            ride.has_ended.set()
        else:
            self._rides[descriptor] = ride
            self._epoll.register(descriptor, self._events[wait])
        try:
            yield ride
        finally:
            self._leave(descriptor, ride)

    def _leave(self, descriptor: int, ride: Ride) -> None:
        # When the socket was closed meanwhile, the epoll has forgotten it, and
        # its number may be another's by now.
        if self._rides.get(descriptor) is ride:
            del self._rides[descriptor]
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    async def run(self) -> None:
        """Resume who is ready, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._turn_ends = time.perf_counter() + _TURN_S
            while ready := self._epoll.poll(0):
                await self._resume_all(ready)

    async def _resume_all(self, ready: list[tuple[int, int]]) -> None:
        """Resume each once, giving way to other tasks when this hub's turn is over."""
        for descriptor, _ in ready:
            ride = self._rides.get(descriptor)
            if ride is None:
                continue
            before = ride.wait
            wait = ride.resume()
            if wait is not before:
                if wait in self._events:
                    self._epoll.modify(descriptor, self._events[wait])
                else:
                    self._leave(descriptor, ride)
                    ride.has_ended.set()
                    self._turn_ends = 0.0  # a task has something to do now
            if time.perf_counter() > self._turn_ends:
                await self._give_way()

    async def _give_way(self) -> None:
        await trio.lowlevel.checkpoint()
        self._turn_ends = time.perf_counter() + _TURN_S


def open_hub() -> Hub | None:
    """A hub, where the platform has what it takes."""
    return Hub() if hasattr(select, "epoll") else None
