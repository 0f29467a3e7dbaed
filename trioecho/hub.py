"""The fast driver: one epoll for all plain sockets of a server, and who is resumed by it.

A task that waits for its socket costs Trio two system calls and a turn of its
scheduler for every message. The hub is one task with an epoll of its own, in
which sockets stay registered. It waits for that epoll through Trio, and resumes
the steps of every connection that is ready, one after the other, in its own
turn. The connection's task sleeps meanwhile; it wakes up when there is something
that only it can do, when a clock has run out, and when a drain begins. Then it
either makes an answer, which the steps send in the hub's next turn (`Ride`), or
it receives itself (`Seat`).

Steps never wait: a resumption is at most one receive, its decoding and one send.
The epoll is level-triggered, so what one resumption leaves is there for the
next, after all others had theirs.

There is no hub where there is no epoll (`open_hub` gives None): then, as for TLS
and in-memory streams, every task drives its own steps.
"""

from __future__ import annotations

import abc
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
# What the epoll calls that which the hub waits for.
EVENTS: dict[Wait, int] = (
    {Wait.READABLE: select.EPOLLIN, Wait.WRITABLE: select.EPOLLOUT} if hasattr(select, "epoll") else {}
)
# Clocks may run out so much later than they should, as a part of the shortest.
_CLOCK_PRECISION = 0.01


class _Place(abc.ABC):
    """Where a connection's task sleeps while the hub looks after its socket.

    Attributes:
      descriptor: the socket's.
      wait: what is waited for, or was at last.
      deadline: when the wait for something has lasted too long.
      resume: what the hub calls when the socket is ready; returns what is waited for then.
      is_woken: whether `wake` was called; for the task to reset after its sleep.
    """

    __slots__ = ("_task", "_watched", "deadline", "descriptor", "hub", "is_woken", "resume", "wait")

    def __init__(
        self,
        hub: Hub,
        connection: socket.socket,
        wait: Wait,
        deadline: Callable[[Wait], float],
        resume: Callable[[], Wait],
    ) -> None:
        self.hub: Hub = hub
        self.descriptor: int = connection.fileno()
        self.wait: Wait = wait
        self.deadline: Callable[[Wait], float] = deadline
        self.resume: Callable[[], Wait] = resume
        self.is_woken: bool = False
        self._watched: Wait | None = None  # for what the epoll looks at the socket
        self._task: trio.lowlevel.Task | None = None

    @abc.abstractmethod
    def change(self, wait: Wait) -> bool:
        """Note that something else is waited for now; whether that is the task."""

    @abc.abstractmethod
    def end(self, failure: BaseException) -> None:
        """Note what `resume` or `change` raised, which is for the task."""

    def watch(self, wait: Wait | None) -> None:
        """Have the epoll look at the socket for that; for None not at all."""
        if wait is self._watched:
            return
        if wait is None:
            self.hub.epoll.unregister(self.descriptor)
        elif self._watched is None:
            self.hub.epoll.register(self.descriptor, EVENTS[wait])
        else:
            self.hub.epoll.modify(self.descriptor, EVENTS[wait])
        self._watched = wait

    def parked(self) -> Awaitable[object]:
        """To be awaited at once: sleep until there is something to do, or `wake`. A checkpoint."""
        # Not an async function, whose frame an idle connection would hold.
        if self.is_woken:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - it is awaited by who calls this
        self._task = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._unpark)  # noqa: ASYNC105 - likewise

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    @property
    def is_parked(self) -> bool:
        """Whether the task sleeps here."""
        return self._task is not None

    def rouse(self) -> None:
        """End the task's sleep."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def wake(self) -> None:
        """End the task's sleep; if it does not sleep, then the next time as soon as it does."""
        self.is_woken = True
        self.rouse()

    def leave(self) -> None:
        """Let the hub look after the socket no longer; to be called before that is closed."""
        self.hub.leave(self)


class Ride(_Place):
    """Steps that the hub resumes for a connection's task. A context manager.

    When they have something for the task to take, they are resumed after it has called `Hub.go_on`.

    Attributes:
      failure: what they raised, or StopIteration at their end; None until then.
      is_over: whether the hub has left them, because they ended, or wait for
        something that the hub does not know.
      steps: goes on with them; what they wait for then.
    """

    __slots__ = ("failure", "is_over", "steps")

    resume: Callable[[], Wait]

    def __init__(
        self,
        hub: Hub,
        connection: socket.socket,
        steps: Steps,
        wait: Wait,
        deadline: Callable[[Wait], float],
    ) -> None:
        self.steps: Callable[[], Wait] = steps.__next__
        super().__init__(hub, connection, wait, deadline, self.steps)
        self.failure: BaseException | None = None
        self.is_over: bool = False

    def __enter__(self) -> Ride:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def change(self, wait: Wait) -> bool:
        self.wait = wait
        if wait is Wait.READABLE or wait is Wait.WRITABLE:
            self.resume = self.steps
            self.watch(wait)
            return False
        if wait is Wait.TAKEN:
            self.resume = self._look_away
            if self._task is None:  # it is in `Hub.go_on`
                self.wake()
            else:
                self.rouse()
        else:
            self._be_over()
        return True

    def end(self, failure: BaseException) -> None:
        self.failure = failure
        self._be_over()

    def _be_over(self) -> None:
        self.leave()
        self.is_over = True
        self.wake()

    def _look_away(self) -> Wait:
        """More has come before the task has taken what there was: the socket would always be ready."""
        self.watch(None)
        return self.wait


class Seat(_Place):
    """Where a task waits for input that it receives itself.

    As `trio.lowlevel.wait_readable`, at a fraction of its cost, because the
    socket stays in the epoll between two waits.
    """

    __slots__ = ()

    def __init__(self, hub: Hub, connection: socket.socket, deadline: Callable[[Wait], float]) -> None:
        super().__init__(hub, connection, Wait.READABLE, deadline, self._is_ready)

    def readable(self) -> Awaitable[object]:
        """As `parked`, until there may be something to receive."""
        self.watch(Wait.READABLE)
        return self.parked()

    def _is_ready(self) -> Wait:
        return Wait.TAKEN

    def change(self, wait: Wait) -> bool:
        if self.is_parked:
            self.rouse()
            return True
        self.watch(None)  # the task does something else, and the socket would always be ready
        return False

    def end(self, failure: BaseException) -> None:
        raise failure  # nothing here can fail


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
      has_ended: whether `run` has; then tasks wait by themselves.
    """

    def __init__(self) -> None:
        self.epoll: select.epoll = select.epoll()
        self.has_ended: bool = False
        self._places: dict[int, _Place] = {}
        self._somebody_is_here = trio.Event()
        self._gives_way_until = 0.0  # on the clock of `time.perf_counter`
        self._returned: list[Ride] = []  # whose steps are to be resumed by then

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

        That must be one of `EVENTS`. Afterwards they are where the hub has left
        them, for another driver.
        """
        ride = Ride(self, connection, steps, wait, deadline)
        self._enter(ride)
        return ride

    def seat(self, connection: socket.socket, deadline: Callable[[Wait], float]) -> Seat:
        """A place to wait for this socket; it is to be left before that is closed, or rides."""
        seat = Seat(self, connection, deadline)
        self._enter(seat)
        return seat

    def _enter(self, place: _Place) -> None:
        place.watch(place.wait)
        self._places[place.descriptor] = place
        self._somebody_is_here.set()

    def watch(self, listener: socket.socket) -> None:
        """Give way when something comes for this socket, for which a task waits.

        Without that, the task would learn of it only when this hub's turn is over.
        """
        self.epoll.register(listener.fileno(), select.EPOLLIN | select.EPOLLET)

    def unwatch(self, listener: socket.socket) -> None:
        """No more; call it before the socket is closed."""
        self.epoll.unregister(listener.fileno())

    def leave(self, place: _Place) -> None:
        """Look after its socket no longer."""
        # When the socket was closed meanwhile, the epoll has forgotten it, and
        # its number may be another's by now.
        if self._places.get(place.descriptor) is place:
            del self._places[place.descriptor]
            with contextlib.suppress(OSError):
                self.epoll.unregister(place.descriptor)

    async def run(self) -> None:
        """Resume who is ready, until cancelled; then wake up whoever sleeps here."""
        try:
            await self._run()
        finally:
            # A task may still have something to do, in a shield.
            self.has_ended = True
            for place in self._places.values():
                place.wake()

    async def _run(self) -> None:
        places, poll, now = self._places, self.epoll.poll, time.perf_counter
        patience = _Patience()
        while True:
            await trio.lowlevel.wait_readable(self.epoll.fileno())
            wait_s = patience.wait_s
            rounds = 0
            turn_ends = 0.0 if wait_s else now() + _TURN_S
            while ready := poll(wait_s, _BATCH):
                for descriptor, _ in ready:
                    place = places.get(descriptor)
                    if place is None:  # a listener
                        turn_ends = 0.0
                        continue
                    try:
                        wait = place.resume()
                        if wait is not place.wait and place.change(wait):
                            turn_ends = 0.0
                    except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                        place.end(error)
                        turn_ends = 0.0
                rounds += 1
                if now() > turn_ends:
                    while await self._give_way():
                        pass
                    turn_ends = now() + _TURN_S
            patience.note_pass(rounds)

    async def _give_way(self) -> bool:
        """Let others have their turn, then resume whose steps go on; whether that woke a task."""
        self._gives_way_until = time.perf_counter() + _TURN_S
        # Twice, because Trio runs tasks in no order: only then has everyone had a
        # turn who was ready together with this task.
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        self._gives_way_until = 0.0
        return self._resume_returned()

    def go_on(self, ride: Ride) -> None:
        """Resume steps whose task has taken what was received.

        While this hub gives way, that is when its turn comes again, unless that
        lasts: what many connections send, one after the other, takes less time
        than between what their tasks do.
        """
        self._returned.append(ride)
        if time.perf_counter() >= self._gives_way_until:
            self._resume_returned()

    def _resume_returned(self) -> bool:
        returned, self._returned = self._returned, []
        has_woken = False
        for ride in returned:
            if self._places.get(ride.descriptor) is not ride:
                continue
            try:
                has_woken |= ride.change(ride.steps())
            except BaseException as error:  # noqa: BLE001 - as in `run`
                ride.end(error)
                has_woken = True
        return has_woken

    async def run_clocks(self, shortest_clock_s: float) -> None:
        """Wake up tasks whose clock has run out, until cancelled.

        Nothing is done for a clock that moves on; they are all looked at when
        the first of them may have run out.

        Args:
          shortest_clock_s: no clock that starts later runs out sooner.
        """
        while True:
            if not self._places:
                self._somebody_is_here = trio.Event()
                await self._somebody_is_here.wait()
            now = trio.current_time()
            first = now + shortest_clock_s
            for place in self._places.values():
                if not place.is_parked:
                    continue
                deadline = place.deadline(place.wait)
                if deadline <= now:
                    place.wake()
                elif deadline < first:
                    first = deadline
            await trio.sleep_until(max(first, now + _CLOCK_PRECISION * shortest_clock_s))


def open_hub() -> Hub | None:
    """A hub, where the platform has what it takes."""
    return Hub() if hasattr(select, "epoll") else None
