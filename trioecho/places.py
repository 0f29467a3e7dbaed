"""Where a connection's task sleeps while the hub looks after its socket: a `Ride`, or a `Seat`."""

from __future__ import annotations

import abc
import select
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Protocol

import outcome
import trio

from .exchange import Exchange
from .framing import Scan, Split
from .steps import Steps, Wait
from .transport import SocketTransport

# What an epoll calls that which a place waits for.
EVENTS: dict[Wait, int] = (
    {Wait.READABLE: select.EPOLLIN, Wait.WRITABLE: select.EPOLLOUT} if hasattr(select, "epoll") else {}
)
# To fetch a member of an enum takes as long as a call, before Python 3.12.
_READABLE, _WRITABLE, _TAKEN = Wait.READABLE, Wait.WRITABLE, Wait.TAKEN


class _Awake(outcome.Outcome[None]):
    """What a task that slept is resumed with: as a `outcome.Value` of None, but it is never used up.

    To make one of those and to unwrap it takes a quarter of the time in which a task is woken.
    """

    def unwrap(self) -> None:
        return None

    def send(self, gen: Generator[Any, None, Any]) -> Any:
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[Any, None]) -> Any:
        return await agen.asend(None)


_AWAKE = _Awake()


class Lane:
    """The short way for small frames that come whole, around the steps of a connection.

    Attributes:
      exchange: whose frames they are.
      receive, send: the socket's.
      scan, split: the decoder's.
      echoes: whether they are sent back as they came; else, a task is to answer them.
    """

    __slots__ = ("_transport", "echoes", "exchange", "receive", "scan", "send", "split")

    def __init__(self, exchange: Exchange, transport: SocketTransport, *, echoes: bool) -> None:
        self.exchange: Exchange = exchange
        self.receive: Callable[[int], bytes] = transport.socket.recv
        self.send: Callable[[bytes], int] = transport.socket.send
        self.echoes: bool = echoes
        self.scan: Scan = exchange.decoder.scan
        self.split: Split = exchange.decoder.split
        self._transport = transport

    def as_broken(self, error: BaseException) -> BaseException:
        """What to raise for what ``receive`` or ``send`` has raised."""
        return self._transport.as_broken(error) if isinstance(error, OSError) else error


class Keeper(Protocol):
    """Whose places they are: the hub.

    Attributes:
      epoll: which looks at their sockets.
    """

    epoll: select.epoll

    def leave(self, place: Place, /) -> None:
        """Look after its socket no longer."""
        raise NotImplementedError


class Place(abc.ABC):
    """Where a task sleeps.

    Attributes:
      descriptor: the socket's.
      wait: what is waited for, or was at last.
      deadline: when the wait for something has lasted too long.
      lane: the short way for what comes next, if that may be taken.
      is_parked: whether the task sleeps.
      is_woken: whether `wake` was called; for the task to reset after its sleep.

    Args:
      hub: looks after the socket.
      connection: the socket.
      wait, deadline: as above.
    """

    __slots__ = (
        "_hub",
        "_task",
        "_watched",
        "deadline",
        "descriptor",
        "is_parked",
        "is_woken",
        "lane",
        "wait",
    )

    def __init__(
        self,
        hub: Keeper,
        connection: socket.socket,
        wait: Wait,
        deadline: Callable[[Wait], float],
    ) -> None:
        self._hub = hub
        self._task: trio.lowlevel.Task = trio.lowlevel.current_task()
        self._watched: Wait | None = None  # for what the epoll looks at the socket
        self.descriptor: int = connection.fileno()
        self.wait: Wait = wait
        self.deadline: Callable[[Wait], float] = deadline
        self.lane: Lane | None = None
        self.is_parked: bool = False
        self.is_woken: bool = False

    @abc.abstractmethod
    def on_ready(self) -> bool:
        """The socket is ready: go on; whether that has woken the task."""

    @abc.abstractmethod
    def end(self, failure: BaseException) -> None:
        """Note what was raised meanwhile, which is for the task."""

    def watch(self, wait: Wait | None) -> None:
        """Have the epoll look at the socket for that; for None not at all."""
        if wait is self._watched:
            return
        if wait is None:
            self._hub.epoll.unregister(self.descriptor)
        elif self._watched is None:
            self._hub.epoll.register(self.descriptor, EVENTS[wait])
        else:
            self._hub.epoll.modify(self.descriptor, EVENTS[wait])
        self._watched = wait

    def parked(self) -> Awaitable[object]:
        """To be awaited at once: sleep until there is something to do, or `wake`. A checkpoint."""
        # Not an async function, whose frame an idle connection would hold.
        if self.is_woken:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - it is awaited by who calls this
        self.is_parked = True
        return trio.lowlevel.wait_task_rescheduled(self._unpark)  # noqa: ASYNC105 - likewise

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self.is_parked = False
        return trio.lowlevel.Abort.SUCCEEDED

    def rouse(self) -> None:
        """End the task's sleep."""
        if self.is_parked:
            self.is_parked = False
            trio.lowlevel.reschedule(self._task, _AWAKE)

    def wake(self) -> None:
        """End the task's sleep; if it does not sleep, then the next time as soon as it does."""
        self.is_woken = True
        self.rouse()

    def leave(self) -> None:
        """Let the hub look after the socket no longer; to be called before that is closed."""
        self._hub.leave(self)


class Ride(Place):
    """Steps that the hub resumes for a connection's task. A context manager.

    When there is something for the task to take, that calls `Hub.go_on` when it has.

    Attributes:
      steps_wait: what the steps wait for, or did at last.
      lane_taken: the lane on which came what the task is to take; None if it came from the steps.
      failure: what they raised, or StopIteration at their end; None until then.
      is_over: whether the hub has left them, because they ended, or wait for
        something that the hub does not know.
    """

    __slots__ = ("_own_lane", "_steps", "failure", "is_over", "lane_taken", "steps_wait")

    def __init__(
        self,
        hub: Keeper,
        connection: socket.socket,
        steps: Steps,
        wait: Wait,
        deadline: Callable[[Wait], float],
        lane: Lane | None,
    ) -> None:
        super().__init__(hub, connection, wait, deadline)
        self._steps = steps.send
        self._own_lane = lane
        self.steps_wait: Wait = wait
        self.failure: BaseException | None = None
        self.is_over: bool = False
        self.lane_taken: Lane | None = None
        self._find_lane()

    def __enter__(self) -> Ride:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def on_ready(self) -> bool:
        if self.wait is _TAKEN:
            # More has come before the task has taken what there was: the socket would always be ready.
            self.watch(None)
            return False
        return self.go_on()

    def go_on(self, data: bytes | memoryview | None = None) -> bool:
        """Resume the steps, with what was received for them if anything was; whether that has woken the task.

        Raises:
          Whatever they raise; StopIteration at their end.
        """
        wait = self.steps_wait = self._steps(data)
        self._find_lane()
        if wait is _TAKEN:
            self.hand_over()
            return True
        if wait is not self.wait:
            self.wait = wait
            if wait is not _READABLE and wait is not _WRITABLE:
                self._be_over()
                return True
            self.watch(wait)
        return False

    def hand_over(self) -> None:
        """There is something for the task to take."""
        self.wait = _TAKEN
        self.lane, self.lane_taken = None, self.lane
        if self.is_parked:
            self.is_parked = False
            trio.lowlevel.reschedule(self._task, _AWAKE)
        else:  # it is in `Hub.go_on`
            self.wake()

    def wait_again(self) -> None:
        """The task has taken what was there, and the steps need not be resumed for that."""
        self.wait = _READABLE
        if self._watched is not _READABLE:
            self.watch(_READABLE)
        self.lane = self.lane_taken

    def _find_lane(self) -> None:
        lane = self._own_lane
        if lane is not None and self.steps_wait is _READABLE and lane.exchange.expects_small():
            self.lane = lane
        else:
            self.lane = None

    def end(self, failure: BaseException) -> None:
        self.failure = failure
        self._be_over()

    def _be_over(self) -> None:
        self.leave()
        self.is_over = True
        self.wake()


class Seat(Place):
    """Where a task waits for input that it receives itself.

    As `trio.lowlevel.wait_readable`, at a fraction of its cost, because the
    socket stays in the epoll between two waits.
    """

    __slots__ = ()

    def readable(self) -> Awaitable[object]:
        """As `parked`, until there may be something to receive."""
        self.watch(_READABLE)
        return self.parked()

    def on_ready(self) -> bool:
        if self.is_parked:
            self.rouse()
            return True
        self.watch(None)  # the task does something else, and the socket would always be ready
        return False

    def end(self, failure: BaseException) -> None:
        raise failure  # nothing here can fail
