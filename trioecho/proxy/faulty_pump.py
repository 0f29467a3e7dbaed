"""One direction of one connection, with faults: what passes is decided elsewhere, and done here."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from .delay_line import DelayLine
from .fault_stream import FaultStream
from .faults import Cut, Faults, Step
from .pump import Pump, PumpEnd, Side

# What is received at a time. Where each of many tiny frames may have a fault, less, since
# their work keeps other connections waiting.
_RECEIVE_BYTES = 1 << 16
_RECEIVE_BYTES_OF_FRAMES = 1 << 13
# Pieces that are sent before other connections have their turn.
_PIECES_AT_ONCE = 32


class FaultyPump(Pump):
    """Passes on what `FaultStream` makes of the bytes, when `DelayLine` says that it is due.

    One task receives, and sends what is due at once; another sends what has to wait.

    Args:
      source, sink, on_passed: as of any `Pump`.
      faults: of this direction.
      stream, line: they apply the faults.
      buffer: where to receive; all pumps can share one.
      on_stall: called when the stall begins.
      on_left: called with whether the source was reset, when it leaves in a stall; None
        if a `LeaveWatch` reports that. Then nothing is read in a stall.
    """

    def __init__(
        self,
        source: Side,
        sink: Side,
        on_passed: Callable[[int], object],
        *,
        faults: Faults,
        stream: FaultStream,
        line: DelayLine,
        buffer: memoryview,
        on_stall: Callable[[], object],
        on_left: Callable[[bool], object] | None,
    ) -> None:
        super().__init__(source, sink, on_passed)
        self._faults = faults
        self._stream = stream
        self._line = line
        self._shared_buffer = buffer
        self._flush_at = math.inf
        self._flushing = trio.CancelScope()  # it waits until then
        self._on_stall = on_stall
        self._on_left = on_left
        self._rest = memoryview(b"")  # of a piece of which the sink has taken a part
        self._is_over = False  # nothing is to be sent any more
        self._end = PumpEnd.ENDED
        self._scope = trio.CancelScope()
        self._news = trio.Event()
        self._has_room = trio.Event()

    @property
    def waits_for_time(self) -> bool:
        return not self._line.is_empty and not self.is_blocked

    @property
    def _buffer(self) -> memoryview:
        most = _RECEIVE_BYTES_OF_FRAMES if self._faults.frame_rules else _RECEIVE_BYTES
        return self._shared_buffer[:most]

    def change(self, faults: Faults) -> None:
        """Have these faults from now on; the format of frames stays.

        Frames that have begun, and what was received, are done with as `Relay.change_faults` says it.
        """
        self._faults = faults
        self._stream.change(faults)
        self._line.change(faults, trio.current_time())
        if self._stream.holds_back:
            self._flush_at = self._flushing.deadline = trio.current_time()
        if self._line.has_room:
            self._has_room.set()
        self._news.set()

    async def run(self) -> PumpEnd:
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._deliver)
                await self._read()
        return self._end

    # ---- what comes ----

    async def _read(self) -> None:
        while True:
            while not self._line.has_room:
                self._has_room = trio.Event()
                await self._has_room.wait()
            steps: list[Step] | None = None
            with trio.CancelScope(deadline=self._flush_at) as self._flushing:
                await self.source.wait_readable()
                steps = self._receive()
            if steps is None:
                if not self._flushing.cancelled_caught:
                    continue
                steps = self._stream.flush()
            self._put(steps)
            if steps and isinstance(steps[-1], Cut):
                break
            if not self._stream.holds_back:
                self._flush_at = math.inf
            elif math.isinf(self._flush_at):
                self._flush_at = trio.current_time() + self._faults.coalesce_s
        # By a fault, or None if it is how the source has ended.
        cut = self._stream.cut
        if cut is Cut.END:
            await self._discard()
        elif cut is Cut.STALL:
            if self._on_left is not None:
                await self._discard()
                self._on_left(self.source.is_reset)
            await trio.sleep_forever()

    def _receive(self) -> list[Step] | None:
        """Receive, and return what to do about it, or about the end; None if nothing has come."""
        try:
            data = self.source.receive_nowait(self._buffer)
        except trio.BrokenResourceError:
            return [*self._stream.flush(), Cut.RESET]
        if data is None:
            return None
        if data:
            return self._stream.receive(bytes(data))
        steps = self._stream.end()
        if self._stream.cut is None:
            steps.append(Cut.RESET if self.source.is_reset else Cut.END)
        return steps

    async def _discard(self) -> None:
        try:
            while True:
                await self.source.wait_readable()
                if self.source.receive_nowait(self._buffer) == b"":
                    return
        except trio.BrokenResourceError:
            self.source.is_reset = True
            if not self.is_stalled:
                self._stop(PumpEnd.RESET)

    # ---- what goes ----

    def _put(self, steps: list[Step]) -> None:
        now = trio.current_time()
        for step in steps:
            self._line.put(step, now)
        self._advance()
        if self._rest or not self._line.is_empty:
            self._news.set()

    async def _deliver(self) -> None:
        while not self._is_over:
            self._advance()
            if self._rest:
                with self._blocked():
                    await self.sink.transport.wait_writable()
            elif self._line.due_at() <= trio.current_time():
                await trio.lowlevel.checkpoint()
            elif not self._is_over:
                self._news = trio.Event()
                with trio.move_on_at(self._line.due_at()):
                    await self._news.wait()

    def _advance(self) -> None:
        """Send what is due and what the sink takes, but not for long."""
        try:
            for _ in range(_PIECES_AT_ONCE):
                if not self._rest and not self._take():
                    break
                self._rest = self._rest[self._send(self._rest) :]
                if self._rest:
                    break
        except trio.BrokenResourceError:
            self.sink.is_reset = True  # at once, as above
            self._stop(PumpEnd.SINK_LOST)
        if self._line.has_room:
            self._has_room.set()

    def _take(self) -> bool:
        """Take the next piece from the line if it is due; a cut is done at once."""
        step = self._line.take(trio.current_time())
        if step is None:
            return False
        if isinstance(step, bytes):
            self._rest = memoryview(step)
            return True
        self._is_over = True
        self._news.set()
        if step is Cut.RESET:
            self._stop(PumpEnd.RESET)
        elif step is Cut.STALL:
            self.is_stalled = True
            self._on_stall()
        else:
            self.sink.send_eof()
        return False

    def _stop(self, end: PumpEnd) -> None:
        self._is_over = True
        self._end = end
        self._scope.cancel()
