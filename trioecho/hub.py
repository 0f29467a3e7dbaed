"""The fast driver: one epoll for all plain sockets of a server, and who is resumed by it.

A task that waits for its socket costs Trio two system calls and a turn of its
scheduler for every message. The hub is one task with an epoll of its own, in
which sockets stay registered. It waits for that epoll through Trio, and lets every
connection go on that is ready, in its own turn. The connection's task sleeps
meanwhile (`trioecho.places`); it wakes up when there is something that only it can
do, when a clock has run out, and when a drain begins. Then it either makes an
answer, which is sent in the hub's next turn (`Ride`), or it receives itself (`Seat`).

There are two ways to go on. The steps of an `Exchange` can do everything, for one
connection. Small frames that come whole take a `Lane`, together with those of all
other connections that are ready: first everything is received, then looked at, then
sent, and no steps are resumed. Python that runs between two system calls takes about
twice the time, so work is done for many at a time. Nothing happens on a lane that
the steps would not do: what is large, cut off or refused, a peer's end, and what is
not accepted at once when it is sent, is theirs.

Neither way waits: going on is at most one receive, its decoding and one send. The
epoll is level-triggered, so what is left is there for the next time, after all
others had theirs.

There is no hub where there is no epoll (`open_hub` gives None): then, as for TLS
and in-memory streams, every task drives its own steps.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import trio

from .exchange import SMALL_BYTES, OnSent, Sending
from .places import EVENTS, Lane, Place, Ride, Seat
from .steps import Steps, Wait

__all__ = ["EVENTS", "Hub", "Lane", "Ride", "Seat", "open_hub"]

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
# What came for a ride on its lane, and when.
_Received = tuple[Ride, Lane, bytes, float]
# Frames to be sent, how many, and when that came which they answer.
_Outgoing = tuple[Ride, Lane, bytes, int, float]
# Clocks may run out so much later than they should, as a part of the shortest.
_CLOCK_PRECISION = 0.01


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
        self._places: dict[int, Place] = {}
        self._somebody_is_here = trio.Event()
        # The same as trio.current_time(), which looks for the clock at every call.
        self._now = trio.lowlevel.current_clock().current_time
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
        self,
        connection: socket.socket,
        steps: Steps,
        wait: Wait,
        deadline: Callable[[Wait], float],
        lane: Lane | None = None,
    ) -> Ride:
        """Within the ride, as a context manager, the hub resumes steps that wait for this socket.

        That must be one of `EVENTS`. Afterwards they are where the hub has left
        them, for another driver. With a lane, small frames do without them.
        """
        ride = Ride(self, connection, steps, wait, deadline, lane)
        self._enter(ride)
        return ride

    def seat(self, connection: socket.socket, deadline: Callable[[Wait], float]) -> Seat:
        """A place to wait for this socket; it is to be left before that is closed, or rides."""
        seat = Seat(self, connection, Wait.READABLE, deadline)
        self._enter(seat)
        return seat

    def _enter(self, place: Place) -> None:
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

    def leave(self, place: Place) -> None:
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
        poll, now = self.epoll.poll, time.perf_counter
        patience = _Patience()
        while True:
            await trio.lowlevel.wait_readable(self.epoll.fileno())
            wait_s = patience.wait_s
            rounds = 0
            turn_ends = 0.0 if wait_s else now() + _TURN_S
            while ready := poll(wait_s, _BATCH):
                woken = self._let_go_on(ready)
                rounds += 1
                if woken or now() > turn_ends:
                    while woken := await self._give_way(woken):
                        pass
                    turn_ends = now() + _TURN_S
            patience.note_pass(rounds)

    def _let_go_on(self, ready: Sequence[tuple[int, int]]) -> int:
        """Let all go on whose sockets are ready; how many tasks that woke."""
        places, now = self._places, self._now
        received: list[_Received] = []
        woken = 0
        for descriptor, _ in ready:
            place = places.get(descriptor)
            if place is None:  # a listener, for which a task waits
                woken += 1
            elif (lane := place.lane) is None:
                try:
                    woken += place.on_ready()
                except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                    place.end(error)
                    woken += 1
            else:
                try:
                    received.append((place, lane, lane.receive(SMALL_BYTES), now()))  # type: ignore[arg-type]  # a place with a lane is a ride
                except BlockingIOError:
                    pass
                except BaseException as error:  # noqa: BLE001 - likewise
                    place.end(lane.as_broken(error))
                    woken += 1
        return woken + self._look_at(received) if received else woken

    def _look_at(self, received: Sequence[_Received]) -> int:
        """Echo what is whole, or give it to the task, and the rest to the steps; how many tasks that woke."""
        outgoing: list[_Outgoing] = []
        free = Sending.FREE
        woken = 0
        for ride, lane, data, received_at in received:
            exchange = lane.exchange
            if lane.echoes:
                size, frames, _ = lane.scan(data)
            else:
                messages, size = lane.split(data)
            if size < len(data) or not size or exchange.sending is not free:
                woken += self._resume(ride, data)
                continue
            exchange.heard_at = received_at
            if lane.echoes:
                outgoing.append((ride, lane, data, frames, received_at))
            else:
                exchange.blocked_since_receive_s = 0.0
                exchange.decoder.frames_decoded += len(messages)
                exchange.messages = messages
                ride.hand_over()
                woken += 1
        return woken + self._send(outgoing) if outgoing else woken

    def _send(self, outgoing: Sequence[_Outgoing]) -> int:
        """Send whole frames; what is not accepted at once is for the steps; how many tasks that woke."""
        now = self._now
        on_sent: OnSent | None = None
        service_s: list[float] = []
        counts: list[int] = []
        wire_bytes = 0
        woken = 0
        for ride, lane, wire, frames, received_at in outgoing:
            exchange = lane.exchange
            try:
                accepted = lane.send(wire)
            except BlockingIOError:
                accepted = 0
            except BaseException as error:  # noqa: BLE001 - as above
                exchange.sending = Sending.TORN
                ride.end(lane.as_broken(error))
                woken += 1
                continue
            if accepted < len(wire):
                exchange.leave_rest(wire, frames, accepted)
                woken += self._resume(ride)
                continue
            sent_at = now()
            exchange.receive_deadline = sent_at + exchange.idle_timeout_s
            if exchange.on_sent is not on_sent:  # those of one server have the same
                if on_sent is not None:
                    on_sent(sum(counts), wire_bytes, 0.0, service_s, counts)
                on_sent, service_s, counts, wire_bytes = exchange.on_sent, [], [], 0
            service_s.append(sent_at - received_at)
            counts.append(frames)
            wire_bytes += accepted
        if on_sent is not None:
            on_sent(sum(counts), wire_bytes, 0.0, service_s, counts)
        return woken

    def _resume(self, ride: Ride, data: bytes | memoryview | None = None) -> bool:
        try:
            return ride.go_on(data)
        except BaseException as error:  # noqa: BLE001 - as above
            ride.end(error)
            return True

    async def _give_way(self, woken: int) -> int:
        """Let others have their turn, then resume whose steps go on; how many tasks that woke.

        Args:
          woken: how many tasks have been woken before that.
        """
        self._gives_way_until = time.perf_counter() + _TURN_S
        await trio.lowlevel.checkpoint()
        if len(self._returned) < woken or not woken:
            # Trio runs tasks in no order: only now has everyone had a turn who was
            # ready together with this task.
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

    def _resume_returned(self) -> int:
        returned, self._returned = self._returned, []
        outgoing: list[_Outgoing] = []
        woken = 0
        for ride in returned:
            if self._places.get(ride.descriptor) is not ride:
                continue
            lane = ride.lane_taken
            if lane is None:
                woken += self._resume(ride)
                continue
            exchange = lane.exchange
            wire, heard_at = exchange.answer, exchange.heard_at
            if wire and (exchange.sending is not Sending.FREE or exchange.blocked_since_receive_s):
                woken += self._resume(ride)
                continue
            try:
                ride.wait_again()
            except BaseException as error:  # noqa: BLE001 - as above
                ride.end(error)
                woken += 1
                continue
            if wire and heard_at is not None:
                exchange.answer = b""
                outgoing.append((ride, lane, wire, exchange.answer_frames, heard_at))
            else:
                exchange.start_receive_clock()
        return woken + self._send(outgoing) if outgoing else woken

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
