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
from collections.abc import Awaitable, Callable
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
# How often somebody must have been ready before it does so: at first, and at most.
_LEAST_ROUNDS, _MOST_ROUNDS = 16, 16384
# ... and meanwhile, that it was worth it.
_WORTH_ROUNDS = 64
# Clocks may run out so much later than they should, as a part of the shortest.
_CLOCK_PRECISION = 0.01


class Ride:
    """Steps that the hub resumes for a connection's task, which is parked meanwhile.

    Attributes:
      wait: what the steps wait for, or waited for at last.
      failure: what they raised, or StopIteration at their end; None until then.
      is_over: whether the hub has left them, because they ended, or wait for
        something that the hub does not know.
      descriptor: the socket's.
      resume: goes on with the steps; what they wait for then.
      deadline: when the wait for something has lasted too long.
    """

    __slots__ = (
        "_hub",
        "_is_muted",
        "_is_woken",
        "_next",
        "_task",
        "deadline",
        "descriptor",
        "failure",
        "is_over",
        "resume",
        "wait",
    )

    def __init__(
        self,
        hub: Hub,
        connection: socket.socket,
        steps: Steps,
        wait: Wait,
        deadline: Callable[[Wait], float],
    ) -> None:
        self._hub = hub
        self.descriptor: int = connection.fileno()
        self._next: Callable[[], Wait] = steps.__next__
        self.resume: Callable[[], Wait] = self._next
        self.wait: Wait = wait
        self.deadline: Callable[[Wait], float] = deadline
        self.failure: BaseException | None = None
        self.is_over: bool = False
        self._is_muted = False  # the epoll does not look at the socket
        self._is_woken = False
        self._task: trio.lowlevel.Task | None = None

    def __enter__(self) -> Ride:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hub.leave(self)

    def parked(self) -> Awaitable[object]:
        """To be awaited at once: sleep until woken, also if that has happened before. A checkpoint."""
        # Not an async function, whose frame an idle connection would hold.
        if self._is_woken:
            self._is_woken = False
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - it is awaited by who calls this
        self._task = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._unpark)  # noqa: ASYNC105 - likewise

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Wake up the connection's task."""
        if self._task is None:
            self._is_woken = True
        else:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def give(self) -> None:
        """Let the connection's task take what was received; the steps are not resumed until `go_on`."""
        self.resume = self._mute
        self.wake()

    def _mute(self) -> Wait:
        """More has come meanwhile, so that the socket would always be ready: look away."""
        self._hub.epoll.unregister(self.descriptor)
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
                self._hub.epoll.register(self.descriptor, select.EPOLLIN)
                self._is_muted = False
        return self.wait


class _Patience:
    """Whether it is worth while to wait for the next message in the hub's own epoll.

    A pass through Trio costs more than an exchange with a quick client. But while
    the hub waits by itself, no other task runs; and if it is one of them that
    would send the next message, the hub waits in vain. So with every wait that was
    not worth it, it takes longer until the next.

    Attributes:
      wait_s: how long the hub may wait now.
    """

    __slots__ = ("_pause_rounds", "_rounds_to_go", "wait_s")

    def __init__(self) -> None:
        self.wait_s: float = 0.0
        self._pause_rounds = _LEAST_ROUNDS
        self._rounds_to_go = _LEAST_ROUNDS

    def note_pass(self, rounds: int) -> None:
        """Somebody was ready so many times, and then nobody, not even after the wait if there was one."""
        if not self.wait_s:
            self._rounds_to_go -= rounds
            if self._rounds_to_go <= 0:
                self.wait_s = _MOMENT_S
            return
        self.wait_s = 0.0
        was_worth_it = rounds >= _WORTH_ROUNDS
        self._pause_rounds = _LEAST_ROUNDS if was_worth_it else min(2 * self._pause_rounds, _MOST_ROUNDS)
        self._rounds_to_go = self._pause_rounds


class Hub:
    """Resumes the steps of many sockets. A context manager; use it around its `run`.

    Attributes:
      epoll: in which their sockets are.
    """

    def __init__(self) -> None:
        self.epoll: select.epoll = select.epoll()
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
        self.epoll.close()

    def riding(
        self, connection: socket.socket, steps: Steps, wait: Wait, deadline: Callable[[Wait], float]
    ) -> Ride:
        """Within the ride, as a context manager, the hub resumes steps that wait for this socket.

        Afterwards they are where the hub has left them, for another driver.
        """
        ride = Ride(self, connection, steps, wait, deadline)
        if wait in self._events:
            self._rides[ride.descriptor] = ride
            self._somebody_rides.set()
            self.epoll.register(ride.descriptor, self._events[wait])
        else:
            ride.is_over = True
        return ride

    def watch(self, listener: socket.socket) -> None:
        """Give way when something comes for this socket, for which a task waits.

        Without that, the task would learn of it only when this hub's turn is over.
        """
        self.epoll.register(listener.fileno(), select.EPOLLIN | select.EPOLLET)

    def unwatch(self, listener: socket.socket) -> None:
        """No more; call it before the socket is closed."""
        self.epoll.unregister(listener.fileno())

    def leave(self, ride: Ride) -> None:
        """No longer resume these steps."""
        # When the socket was closed meanwhile, the epoll has forgotten it, and
        # its number may be another's by now.
        if self._rides.get(ride.descriptor) is ride:
            del self._rides[ride.descriptor]
            with contextlib.suppress(OSError):
                self.epoll.unregister(ride.descriptor)

    async def run(self) -> None:
        """Resume who is ready, until cancelled."""
        rides, poll, now = self._rides, self.epoll.poll, time.perf_counter
        patience = _Patience()
        while True:
            await trio.lowlevel.wait_readable(self.epoll.fileno())
            wait_s = patience.wait_s
            rounds = 0
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
                        self._end(ride)
                        turn_ends = 0.0
                    else:
                        if wait is not ride.wait and self._change(ride, wait):
                            turn_ends = 0.0
                rounds += 1
                if now() > turn_ends:
                    # Twice, because Trio runs tasks in no order: only then has
                    # everyone had a turn who was ready together with this task.
                    await trio.lowlevel.checkpoint()
                    await trio.lowlevel.checkpoint()
                    turn_ends = now() + _TURN_S
            patience.note_pass(rounds)

    def _change(self, ride: Ride, wait: Wait) -> bool:
        """Note what the steps wait for now; whether that is their task."""
        ride.wait = wait
        if wait is Wait.TAKEN:
            ride.give()
        elif wait in self._events:
            self.epoll.modify(ride.descriptor, self._events[wait])
            return False
        else:
            self._end(ride)
        return True

    def _end(self, ride: Ride) -> None:
        self.leave(ride)
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
