"""One connection through the proxy: both directions, and how they end together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import trio

from .leave_watch import LeaveWatch
from .pump import Pump, PumpEnd, Side

# How long a connection in which nothing passes any more is kept when a side has left it.
GIVE_UP_S = 1.0

MakePump = Callable[["ProxiedConnection", Side, Side], Pump]


class ProxiedConnection:
    """A client, its server, and what passes between them.

    When one direction ends, the other goes on. When a side resets the connection, the
    other side is reset, too, after everything before it has been passed on.

    That moment never comes if nothing is passed on any more: in a stall, and when a side
    does not take what the other sent before its reset. So when a side leaves then (in a
    stall, an end of its stream is enough), and nothing has passed for a second, both
    sides are reset.

    Args:
      client, server: both sides; their sockets are closed when `run` returns or raises.
      watch: reports which side leaves; None where the system cannot.
    """

    def __init__(self, client: Side, server: Side, watch: LeaveWatch | None) -> None:
        self.client: Side = client
        self.server: Side = server
        self._watch = watch
        self._pumps: tuple[Pump, ...] = ()
        self._nursery: trio.Nursery
        self._is_giving_up = False
        # The nursery takes a task only while one runs: it closes with the last, before `run` goes on,
        # and the watch can report a side between the two.
        self._running_pumps = 0

    async def run(self, to_server: Pump, to_client: Pump) -> None:
        """Pass everything on, until both directions have ended or the connection is reset.

        Cancellation resets the connection.

        Raises:
          OSError: the machine is short of something.
        """
        self._pumps = (to_server, to_client)
        sides = (self.client, self.server)
        async with contextlib.AsyncExitStack() as closing:
            for side in sides:
                closing.push_async_callback(side.transport.abort)
            # A closed socket could not be taken out of the watch any more: its descriptor is gone.
            with contextlib.ExitStack() as watching:
                async with trio.open_nursery() as self._nursery:
                    for side in sides:
                        self._watch_side(side, watching)
                    for pump in self._pumps:
                        self._running_pumps += 1
                        self._nursery.start_soon(self._run, pump)
            if not self._nursery.cancel_scope.cancel_called:
                for side in sides:
                    await side.aclose()

    def note_left(self, side: Side, is_reset: bool) -> None:
        """Note that a side has ended its stream, or reset the connection."""
        side.has_ended = True
        side.is_reset = side.is_reset or is_reset
        self.look()

    def look(self) -> None:
        """See whether the connection is at its end, after a side has left it or a direction was stalled."""
        for pump in self._pumps:
            if pump.source.is_reset and (pump.is_done or pump.is_stalled):
                self._reset()  # nothing else would notice
        is_stalled = any(pump.is_stalled for pump in self._pumps)
        for side in (self.client, self.server):
            if side.is_reset or (side.has_ended and is_stalled):
                self._begin_to_give_up()

    def _watch_side(self, side: Side, watching: contextlib.ExitStack) -> None:
        if self._watch is not None:
            sock = side.transport.socket
            watching.callback(self._watch.unwatch, sock)
            self._watch.watch(sock, partial(self.note_left, side))

    async def _run(self, pump: Pump) -> None:
        try:
            end = await pump.run()
            pump.is_done = True
            if end is PumpEnd.RESET:
                self._reset()
            elif end is PumpEnd.SINK_LOST:
                self.note_left(pump.sink, is_reset=True)
            else:
                self.note_left(pump.source, is_reset=False)
        finally:
            self._running_pumps -= 1

    def _reset(self) -> None:
        self._nursery.cancel_scope.cancel()

    def _begin_to_give_up(self) -> None:
        if self._running_pumps and not self._is_giving_up:
            self._is_giving_up = True
            self._nursery.start_soon(self._give_up)

    async def _give_up(self) -> None:
        passed = -1
        while any(pump.waits_for_time for pump in self._pumps) or passed != self._passed_bytes:
            passed = self._passed_bytes
            await trio.sleep(GIVE_UP_S)
        self._reset()

    @property
    def _passed_bytes(self) -> int:
        return sum(pump.passed_bytes for pump in self._pumps)
