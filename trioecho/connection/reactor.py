"""Waits for all sockets of a server at once, and has their bytes moved, many at a time.

Some facts, each measured with ``scripts/bench``:

- A task that waits for its socket costs Trio two system calls and a turn of its scheduler
  for every message (``--only many``).
- Python between two system calls takes about one and a half times the time of Python alone:
  a call into the kernel drives the interpreter out of the processor's caches. A part of
  that is saved where the work is done for many connections at a time (``turns``).
- A pass through Trio's own loop costs more than an exchange with a quick client
  (``--only one``).

Consequences:

- Sockets stay registered in one epoll, which Trio waits for as for any other descriptor.
  A connection's task sleeps meanwhile. It is woken for what only a task can do: take
  messages, raise an error, heed a clock or a drain.
- A turn is: receive for all that are ready, hand what came to their exchanges, send for
  all. There is no other way for a byte, whatever the size or kind of its frame. But what
  is large is received into a buffer that all share, and so it is handed over, and what
  follows from it is sent, before the next is received.
- While a message is likely to come soon, the reactor waits for it by itself for a moment,
  and not through Trio; the more seldom, the more often nothing came of it. The first part of
  that moment it may spin, which is shorter, and pays only for the quickest clients.

The design:

- Nothing here waits for one connection, and nothing knows of frames, clocks or states:
  those are the exchange's. A turn is at most one receive and the sends that follow from it
  for each connection. The epoll is level-triggered, so what is left is there for the next
  turn, after all others had theirs.
- A message to a handler is received here, the exchange makes messages of what came, the
  task is woken, replies, and calls `Reactor.resume`. All whose tasks have done so before
  the reactor's turn comes again are sent for together.
- A failure belongs to its connection: it is kept for the task, which raises it.
- A connection under TLS is a socket that decrypts and encrypts (`tls_in_turn`); its handshake is
  up to its task.

There is no reactor where there is no epoll (`open_reactor` returns None). Then, as for
in-memory and other streams, every task moves the bytes of its own connection (`task_driver`).
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from types import TracebackType

import trio

from .exchange import Exchange
from .registration import Registration
from .splicing import PipePool
from .tls_transport import TlsTransport
from .transport import SocketTransport
from .turn import Turns, rearm
from .turn_limits import TURN_S

# How many connections it serves between two looks at the clock (`scripts/bench --only many`).
_BATCH = 32
# How long it may wait for the next message by itself. Less than the kernel's tick
# (4 ms) would set a timer for every wait, which costs more than is won
# (`scripts/bench --only one`).
_MOMENT_S = 0.005
# How often a socket must have been ready before it does so: at first, and at most.
_LEAST_ROUNDS, _MOST_ROUNDS = 16, 16384
# A wait was worth it if at least this many rounds followed (`scripts/bench --only one`, too).
_WORTH_ROUNDS = 64
# Before it sleeps in such a wait, it may look again and again for a moment, which spares the
# processor's way to sleep and back. That was worth it if so many in a row found something
# (`scripts/bench spin` measures both).
_WORTH_SPINS = 16
# Meanwhile none of Trio's other tasks runs.
_MOST_SPIN_S = 0.001
# Clocks may run out so much later than they should, as a part of the shortest.
_CLOCK_PRECISION = 0.01


class _Patience:
    """Whether it is worth while to wait for the next message in one way or another.

    While the reactor waits by itself, no other task runs; and if it is one of them
    that would send the next message, nothing comes of the wait. While it does not even
    sleep, it may keep from the processor who would send it. So with every wait
    that was not worth it, it takes longer until the next.

    Attributes:
      wait_s: how long the reactor may wait now.

    Args:
      wait_s: how long it may wait where that is worth while.
      worth_rounds: after how many rounds it was.
    """

    __slots__ = ("_full_wait_s", "_pause_rounds", "_rounds_to_go", "_worth_rounds", "wait_s")

    def __init__(self, wait_s: float, worth_rounds: int) -> None:
        self.wait_s: float = 0.0
        self._full_wait_s = wait_s
        self._worth_rounds = worth_rounds
        self._pause_rounds = _LEAST_ROUNDS
        self._rounds_to_go = _LEAST_ROUNDS

    def note_pass(self, rounds: int) -> None:
        """Note in how many polls in a row something was ready; after the last one, nothing was."""
        if not self.wait_s:
            self._rounds_to_go -= rounds
            if self._rounds_to_go <= 0:
                self.wait_s = self._full_wait_s
            return
        self.wait_s = 0.0
        was_worth_it = rounds >= self._worth_rounds
        self._pause_rounds = _LEAST_ROUNDS if was_worth_it else min(2 * self._pause_rounds, _MOST_ROUNDS)
        self._rounds_to_go = self._pause_rounds


class Reactor:
    """Receives and sends for many connections. A context manager; use it around its `run`.

    Attributes:
      epoll: in which their sockets are.
      pipes: for the rest of large frames.
      cut: as in `Registry`.
      busy_tasks: how many tasks have more messages to reply to than a turn's work. While
        there are any, the reactor does not wait by itself, which would keep them waiting.
      has_ended: whether `run` has; then tasks move bytes by themselves.
    """

    def __init__(self) -> None:
        self.epoll: select.epoll = select.epoll()
        self.pipes: PipePool = PipePool()
        self.busy_tasks: int = 0
        self.has_ended: bool = False
        self._registrations: dict[int, Registration] = {}
        self._turns = Turns(self._registrations)
        self.cut: list[Registration] = self._turns.cut
        self._somebody_is_here = trio.Event()
        self._spinning = _Patience(0.0, _WORTH_SPINS)
        self._spins = 0  # in a row that have found something
        self._gives_way_until = 0.0  # on the clock of `time.perf_counter`
        self._resumed: list[Registration] = []  # to be gone on with by then

    def __enter__(self) -> Reactor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.epoll.close()
        self.pipes.close()

    # ---- connections and listeners ----

    def register(self, transport: SocketTransport | TlsTransport, exchange: Exchange) -> Registration:
        """Serve a connection from now on; its task calls `rearm`, and sleeps."""
        registration = Registration(self, transport, exchange)
        self._turns.add(registration)
        self._somebody_is_here.set()
        return registration

    def leave(self, registration: Registration) -> None:
        """Watch the registration's socket no longer."""
        # When the socket was closed meanwhile, the epoll has forgotten it, and
        # its number may be another's by now.
        if self._registrations.get(registration.descriptor) is registration:
            del self._registrations[registration.descriptor]
            if registration.watched is not None:
                registration.watched = None
                with contextlib.suppress(OSError):
                    self.epoll.unregister(registration.descriptor)

    def add_listener(self, listener: socket.socket) -> None:
        """Give way when something comes for this socket, for which a task waits.

        Without that, the task would learn of it only when the reactor's turn is over.
        """
        self.epoll.register(listener.fileno(), select.EPOLLIN | select.EPOLLET)

    def remove_listener(self, listener: socket.socket) -> None:
        """Undo `add_listener`, before the socket is closed."""
        self.epoll.unregister(listener.fileno())

    # ---- turns ----

    async def run(self, spin_s: float = 0.0) -> None:
        """Serve the sockets that are ready, until cancelled; then wake up all tasks that sleep here.

        Args:
          spin_s: as `Limits.spin_s`.
        """
        self._spinning = _Patience(min(spin_s, _MOST_SPIN_S), _WORTH_SPINS)
        try:
            await self._run()
        finally:
            # A task may still have something to do, in a shield.
            self.has_ended = True
            for registration in self._registrations.values():
                registration.wake()

    async def _run(self) -> None:
        turns, wait, now = self._turns, self._wait, time.perf_counter
        patience = _Patience(_MOMENT_S, _WORTH_ROUNDS)
        while True:
            await trio.lowlevel.wait_readable(self.epoll.fileno())
            wait_s = patience.wait_s
            rounds = 0
            turn_ends = 0.0 if wait_s else now() + TURN_S
            while (ready := wait(0.0 if turns.waiting or self.busy_tasks else wait_s)) or turns.waiting:
                woken = turns.take(ready)
                rounds += 1
                if woken or now() > turn_ends:
                    while woken := await self._give_way(woken):
                        pass
                    turn_ends = now() + TURN_S
            if not self.busy_tasks:
                patience.note_pass(rounds)

    def _wait(self, wait_s: float) -> list[tuple[int, int]]:
        """Return whose sockets are ready, after at most that long, and the time of a spin."""
        poll = self.epoll.poll
        if not wait_s:
            return poll(0, _BATCH)
        spinning = self._spinning
        if not spinning.wait_s:
            spinning.note_pass(1)
            return poll(wait_s, _BATCH)
        if ready := poll(0, _BATCH):  # that would have been found without a spin
            return ready
        ends = time.perf_counter() + spinning.wait_s
        while not (ready := poll(0, _BATCH)):
            if time.perf_counter() >= ends:
                spinning.note_pass(self._spins)
                self._spins = 0
                return poll(wait_s, _BATCH)
        self._spins += 1
        return ready

    # ---- tasks ----

    def rearm(self, registration: Registration) -> None:
        """Wait for what the exchange waits for now: something to receive, or room to send."""
        rearm(registration, trio.current_time())

    def resume(self, registration: Registration) -> None:
        """Go on with a connection whose task has taken its messages, and has left a reply if it has one.

        While this reactor gives way, that is when its turn comes again, unless that
        lasts: to send for many connections, one after the other, takes less time
        than to send between what their tasks do.
        """
        self._resumed.append(registration)
        if time.perf_counter() >= self._gives_way_until:
            self._resume_all()

    async def _give_way(self, woken: int) -> int:
        """Let others have their turn, then go on with the resumed; return how many tasks that woke.

        Args:
          woken: how many tasks have been woken before that.
        """
        self._gives_way_until = time.perf_counter() + TURN_S
        await trio.lowlevel.checkpoint()
        if len(self._resumed) < woken or not woken:
            # Trio runs tasks in no order: only now have all had a turn that were
            # ready together with this task.
            await trio.lowlevel.checkpoint()
        self._gives_way_until = 0.0
        return self._resume_all()

    def _resume_all(self) -> int:
        resumed, self._resumed = self._resumed, []
        return self._turns.resume_all(resumed)

    # ---- clocks ----

    async def run_clocks(self, shortest_clock_s: float) -> None:
        """Wake up tasks whose clock has run out, until cancelled.

        Nothing is done for a clock that moves on; they are all looked at when
        the first of them may have run out.

        Args:
          shortest_clock_s: the shortest clock; new connections need no earlier look.
        """
        while True:
            if not self._registrations:
                self._somebody_is_here = trio.Event()
                await self._somebody_is_here.wait()
            now = trio.current_time()
            first = now + shortest_clock_s
            for registration in self._registrations.values():
                if not registration.is_parked:
                    # Its task may come back at once, with the rest of a frame's clock.
                    first = min(first, registration.exchange.deadline_of_rest(now))
                    continue
                deadline = registration.exchange.deadline
                if deadline <= now:
                    registration.wake()
                elif deadline < first:
                    first = deadline
                if registration.exchange.is_inside_record:
                    first = min(first, registration.exchange.deadline_without_record(now))
            await trio.sleep_until(max(first, now + _CLOCK_PRECISION * shortest_clock_s))


def open_reactor() -> Reactor | None:
    """Return a reactor, where the platform has what it takes."""
    return Reactor() if hasattr(select, "epoll") else None
