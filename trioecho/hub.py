"""The fast driver: one epoll for all plain sockets of a server, and who is resumed by it.

A task that waits for its socket costs Trio two system calls and a turn of its
scheduler for every message. The hub is one task with an epoll of its own, in
which sockets stay registered. It waits for that epoll through Trio, and resumes
the steps of every connection that is ready, one after the other, in its own
turn. The connection's task sleeps meanwhile; it wakes up when there is something
that only it can do, when a clock has run out, and when a drain begins.

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
# Clocks may run out so much later than they should, as a part of the shortest.
_CLOCK_PRECISION = 0.01


class Ride:
    """Steps that the hub resumes for a connection's task, which is parked meanwhile.

    Attributes:
      wait: what the steps wait for, or waited for at last.
      failure: what they raised, or StopIteration at their end; None until then.
      is_over: whether the hub has left them, because they ended, or wait for
        something that the hub does not know.
      resume: goes on with the steps; what they wait for then.
      deadline: when the wait for something has lasted too long.
    """

    __slots__ = (
        "_epoll",
        "_is_muted",
        "_is_woken",
        "_next",
        "_socket",
        "_task",
        "deadline",
        "failure",
        "is_over",
        "resume",
        "wait",
    )

    def __init__(
        self,
        epoll: select.epoll,
        connection: socket.socket,
        steps: Steps,
        wait: Wait,
        deadline: Callable[[Wait], float],
    ) -> None:
        self._epoll = epoll
        self._socket = connection
        self._next: Callable[[], Wait] = steps.__next__
        self.resume: Callable[[], Wait] = self._next
        self.wait: Wait = wait
        self.deadline: Callable[[Wait], float] = deadline
        self.failure: BaseException | None = None
        self.is_over: bool = False
        self._is_muted = False  # the epoll does not look at the socket
        self._is_woken = False
        self._task: trio.lowlevel.Task | None = None

    async def parked(self) -> None:
        """Sleep until woken, or return at once if that has happened already. A checkpoint."""
        if not self._is_woken:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._unpark)
        else:
            await trio.lowlevel.checkpoint()
        self._is_woken = False

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Wake up the connection's task."""
        self._is_woken = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def give(self) -> None:
        """Let the connection's task take what was received; the steps are not resumed until `go_on`."""
        self.resume = self._mute
        self.wake()

    def _mute(self) -> Wait:
        """More has come meanwhile, so that the socket would always be ready: look away."""
        self._epoll.unregister(self._socket)
        self._is_muted = True
        return self.wait

    def go_on(self) -> Wait:
        """Resume the steps, in the connection's task, after what was received has been taken.

        Raises:
          Whatever the steps raise.
        """
        self.wait = self._next()
        if self.wait is Wait.READABLE:
            self.resume = self._next
            if self._is_muted:
                self._epoll.register(self._socket, select.EPOLLIN)
                self._is_muted = False
        return self.wait


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
        self._somebody_rides = trio.Event()

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
    def riding(
        self, connection: socket.socket, steps: Steps, wait: Wait, deadline: Callable[[Wait], float]
    ) -> Iterator[Ride]:
        """Within this, the hub resumes steps that wait for this socket.

        Afterwards they are where the hub has left them, for another driver.
        """
        ride = Ride(self._epoll, connection, steps, wait, deadline)
        descriptor = connection.fileno()
        if wait not in self._events:
            ride.is_over = True
        else:
            self._rides[descriptor] = ride
            self._somebody_rides.set()
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
                        if wait is not ride.wait and self._change(descriptor, ride, wait):
                            turn_ends = 0.0
                patience.note_round()
                if now() > turn_ends:
                    # Twice, because Trio runs tasks in no order: only then has
                    # everyone had a turn who was ready together with this task.
                    await trio.lowlevel.checkpoint()
                    await trio.lowlevel.checkpoint()
                    turn_ends = now() + _TURN_S
            patience.note_silence()

    def _change(self, descriptor: int, ride: Ride, wait: Wait) -> bool:
        """Note what the steps wait for now; whether that is their task."""
        ride.wait = wait
        if wait is Wait.TAKEN:
            ride.give()
        elif wait in self._events:
            self._epoll.modify(descriptor, self._events[wait])
            return False
        else:
            self._end(descriptor, ride)
        return True

    def _end(self, descriptor: int, ride: Ride) -> None:
        self._leave(descriptor, ride)
        ride.is_over = True
        ride.wake()

    async def run_clocks(self, shortest_clock_s: float) -> None:
        """Wake up tasks whose clock has run out, until cancelled.

        Nothing is done for a clock that moves on; they are all looked at when
        the first of them may have run out.

        Args:
          shortest_clock_s: no clock that starts later runs out sooner.
        """
        while True:
            if not self._rides:
                self._somebody_rides = trio.Event()
                await self._somebody_rides.wait()
            now = trio.current_time()
            first = now + shortest_clock_s
            for ride in self._rides.values():
                deadline = ride.deadline(ride.wait)
                if deadline <= now:
                    ride.wake()
                elif deadline < first:
                    first = deadline
            await trio.sleep_until(max(first, now + _CLOCK_PRECISION * shortest_clock_s))


def open_hub() -> Hub | None:
    """A hub, where the platform has what it takes."""
    return Hub() if hasattr(select, "epoll") else None
