"""Replies by a function that is not async: it is called as soon as its messages have come.

No task is woken for it. Who moves the bytes calls it: the reactor for plain sockets, else
the task of the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from ..framing import FrameFormat
from .handlers import checked_payload, name_of
from .turn_limits import ENOUGH_BYTES, TURN_MESSAGES, TURN_S

# What takes longer is reported: ten of the reactor's turns, which is more than a busy
# machine takes the processor away for.
SLOW_S = 10 * TURN_S
# The clock is looked at after this many messages: each look takes as long as a short function.
_TIMED_MESSAGES = 16
# A turn's replies of at most this size are not more bytes than it may have; only larger ones count.
_SMALL_BYTES = ENOUGH_BYTES // TURN_MESSAGES

Function = Callable[[bytes], bytes]
# The name of the function that was slow, seconds, and the messages that it replied to in that time.
OnSlowCall = Callable[[str, float, int], object]


class Calls:
    """Makes replies with a function that is not async.

    Attributes:
      failure: what the function has raised, for the task to raise after the replies
        before that were sent; None while there is nothing.

    Args:
      function: returns the reply to a message.
      format: how headers are written.
      max_frame_length: payload bytes that a reply may have at most.
      on_slow: called when others had to wait for the function for longer than `SLOW_S`.
    """

    __slots__ = (
        "_clock",
        "_counted_header_bytes",
        "_function",
        "_max_frame_length",
        "_on_slow",
        "_pack_header",
        "_small_bytes",
        "_trailer",
        "failure",
    )

    def __init__(
        self, function: Function, *, format: FrameFormat, max_frame_length: int, on_slow: OnSlowCall | None
    ) -> None:
        self.failure: BaseException | None = None
        # What it really returns is looked at here, and not by the compiler, which believes the types.
        self._function: Callable[[bytes], object] = function
        self._max_frame_length = max_frame_length
        self._small_bytes = min(_SMALL_BYTES, max_frame_length)
        self._pack_header = format._pack
        self._trailer = format.trailer  # of every frame; empty in most formats
        self._counted_header_bytes = format._counted_header_bytes
        self._on_slow = on_slow
        self._clock = perf_counter

    def make(self, messages: Sequence[bytes]) -> tuple[bytes, int]:
        """Return replies as one piece of the wire, and to how many messages, from the first one on.

        These are not all messages if there is more than a turn's work in them, in messages,
        bytes or time; or if a reply is a `failure`, which counts as neither.
        """
        if len(messages) == 1:
            return self._make_one(messages[0])
        function, clock, pack_header = self._function, self._clock, self._pack_header
        counted_header_bytes, small_bytes = self._counted_header_bytes, self._small_bytes
        trailer = self._trailer
        bytes_left = ENOUGH_BYTES
        wire: list[bytes] = []  # headers and payloads, in turn
        collect = wire.append
        began_at = now = clock()
        try:
            for start in range(0, min(len(messages), TURN_MESSAGES), _TIMED_MESSAGES):
                for message in messages[start : start + _TIMED_MESSAGES]:
                    payload = function(message)
                    if type(payload) is not bytes or len(payload) > small_bytes:
                        payload = checked_payload(function, payload, self._max_frame_length)
                        bytes_left -= len(payload)
                    collect(pack_header(len(payload) + counted_header_bytes))
                    collect(payload + trailer if trailer else payload)
                    if bytes_left <= 0:
                        break
                before, now = now, clock()
                if now - before > SLOW_S:
                    self._note_slow(now - before, len(wire) // 2 - start)
                if bytes_left <= 0 or now - began_at > TURN_S:
                    break
        except BaseException as error:  # noqa: BLE001 - the task of the connection raises it
            self.failure = error
        return b"".join(wire), len(wire) // 2

    def _make_one(self, message: bytes) -> tuple[bytes, int]:
        began_at = self._clock()
        try:
            payload = self._function(message)
            if type(payload) is not bytes or len(payload) > self._small_bytes:
                payload = checked_payload(self._function, payload, self._max_frame_length)
        except BaseException as error:  # noqa: BLE001 - the task of the connection raises it
            self.failure = error
            return b"", 0
        took_s = self._clock() - began_at
        if took_s > SLOW_S:
            self._note_slow(took_s, 1)
        header = self._pack_header(len(payload) + self._counted_header_bytes)
        return (header + payload + self._trailer if self._trailer else header + payload), 1

    def _note_slow(self, seconds: float, messages: int) -> None:
        if self._on_slow is not None:
            self._on_slow(name_of(self._function), seconds, messages)
