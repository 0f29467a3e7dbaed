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
from collections.abc import Callable, Iterator
from types import TracebackType

import trio

from .steps import Steps, Wait

# How long the hub may keep Trio's other tasks from their turn.
_TURN_S = 0.002
# How many it resumes between two looks at the clock.
_BATCH = 32
# How long it may wait for the next message by itself. Less than the kernel's tick
# (4 ms) would set a timer for every wait, which costs more than is won.
_MOMENT_S = 0.005
# How often somebody must have been ready before it does so, at first and after failures.
_LEAST_ROUNDS, _MOST_ROUNDS = 16, 16384


class Ride:
    """Steps that the hub resumes.

    Attributes:
      resume: goes on with the steps; what they wait for then.
      wait: what they wait for, or waited for at last.
      failure: what they raised, or StopIteration at their end; None until then.
      has_ended: set when they have, and also when they wait for something that
        the hub does not know.
    """

    __slots__ = ("failure", "has_ended", "resume", "wait")

    def __init__(self, steps: Steps, wait: Wait) -> None:
        self.resume: Callable[[], Wait] = steps.__next__
        self.wait: Wait = wait
        self.failure: BaseException | None = None
        self.has_ended: trio.Event = trio.Event()


class _Patience:
    """Whether it is worth while to wait for the next message in the hub's own epoll.

    A pass through Trio costs more than an exchange with a quick client. But while
    the hub waits by itself, no other task runs; and if it is one of them that
    would send the next message, the hub waits in vain. So with every failure it
    takes longer until it tries again.

    Attributes:
      wait_s: how long the hub may wait now.
    """

    __slots__ = ("_rounds_after_failure", "_rounds_to_go", "wait_s")

    def __init__(self) -> None:
        self.wait_s: float = 0.0
        self._rounds_after_failure = _LEAST_ROUNDS
        self._rounds_to_go = _LEAST_ROUNDS

    def note_round(self) -> None:
        """Somebody was ready."""
        if self.wait_s:
            self._rounds_after_failure = _LEAST_ROUNDS
        else:
            self._rounds_to_go -= 1
            if not self._rounds_to_go:
                self.wait_s = _MOMENT_S

    def note_silence(self) -> None:
        """Nobody was, not even after the wait, if there was one."""
        if self.wait_s:
            self.wait_s = 0.0
            self._rounds_to_go = self._rounds_after_failure
            self._rounds_after_failure = min(2 * self._rounds_after_failure, _MOST_ROUNDS)


class Hub:
    """Resumes the steps of many sockets. A context manager; use it around its `run`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._events = {Wait.READABLE: select.EPOLLIN, Wait.WRITABLE: select.EPOLLOUT}
        self._rides: dict[int, Ride] = {}

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

    def watch(self, listener: socket.socket) -> None:
        """Give way when something comes for this socket, for which a task waits.

        Without that, the task would learn of it only when this hub's turn is over.
        """
        self._epoll.register(listener.fileno(), select.EPOLLIN | select.EPOLLET)

    def unwatch(self, listener: socket.socket) -> None:
        """No more; call it before the socket is closed."""
        self._epoll.unregister(listener.fileno())

    def _leave(self, descriptor: int, ride: Ride) -> None:
        # When the socket was closed meanwhile, the epoll has forgotten it, and
        # its number may be another's by now.
        if self._rides.get(descriptor) is ride:
            del self._rides[descriptor]
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    async def run(self) -> None:
        """Resume who is ready, until cancelled."""
        rides, poll, now = self._rides, self._epoll.poll, time.perf_counter
        patience = _Patience()
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            wait_s = patience.wait_s
            turn_ends = 0.0 if wait_s else now() + _TURN_S
            while ready := poll(wait_s, _BATCH):
                for descriptor, _ in ready:
                    ride = rides.get(descriptor)
                    if ride is None:  # a socket that a task waits for
                        turn_ends = 0.0
                        continue
                    try:
                        wait = ride.resume()
                    except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                        ride.failure = error
                        self._end(descriptor, ride)
                        turn_ends = 0.0
                    else:
                        if wait is not ride.wait:
                            self._change(descriptor, ride, wait)
                patience.note_round()
                if now() > turn_ends:
                    # Twice, because Trio runs tasks in no order: only then has
                    # everyone had a turn who was ready together with this task.
                    await trio.lowlevel.checkpoint()
                    await trio.lowlevel.checkpoint()
                    turn_ends = now() + _TURN_S
            patience.note_silence()

    def _change(self, descriptor: int, ride: Ride, wait: Wait) -> None:
        ride.wait = wait
        if wait in self._events:
            self._epoll.modify(descriptor, self._events[wait])
        else:
            self._end(descriptor, ride)

    def _end(self, descriptor: int, ride: Ride) -> None:
        self._leave(descriptor, ride)
        ride.has_ended.set()


def open_hub() -> Hub | None:
    """A hub, where the platform has what it takes."""
    return Hub() if hasattr(select, "epoll") else None
