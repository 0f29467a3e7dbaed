"""When bytes are passed on: pieces, delays and a bandwidth. Numbers in, numbers out; nothing waits here."""

from __future__ import annotations

import math
import random
from collections import deque

from .faults import CLEAN, Cut, Faults, Send, Step

# At most this much is on its way where pieces are delayed; beyond it the source is not
# read from. TCP's own largest window has about the same size (Linux, tcp_rmem: 6 MiB).
MAX_LINE_BYTES = 4 << 20
# ... and at most this much where they only wait for their turn.
SHORT_LINE_BYTES = 1 << 16
# What an entry costs beside its bytes.
_ENTRY_BYTES = 128

# With a limited bandwidth this much passes at a time: what passes in 10 ms.
_TICK_S = 0.01
# What may pass at once after a pause, or when the machine was late.
_BURST_S = 0.1


class TokenBucket:
    """Limits how many bytes pass in a second.

    In any time T at most ``rate * (T + 0.1 s)`` bytes and one more piece pass, where a piece
    is what is taken at a time. The bucket is empty at first.

    Args:
      bytes_per_s: the rate.
      now: the time, in seconds, on any clock; later times are on the same.
    """

    def __init__(self, bytes_per_s: float, now: float) -> None:
        self._rate = bytes_per_s
        # When the bucket was empty, and how many bytes have been taken since.
        self._began = now
        self._taken = 0

    def ready_at(self, count: int) -> float:
        """Return when this many bytes may pass."""
        return self._began + (self._taken + count) / self._rate

    def take(self, count: int, now: float) -> None:
        """Let this many bytes pass; `ready_at` must have come."""
        depth_s = _BURST_S + count / self._rate
        if self.ready_at(0) < now - depth_s:  # more than full
            self._began, self._taken = now - depth_s, 0
        self._taken += count


class DelayLine:
    """The pieces on their way in one direction, in the order in which they came.

    Pieces are cut, and their delays drawn, only when it is their turn, so the line keeps
    the bytes as they came in. A delay counts from the arrival. As the order stays, a piece
    also waits for the pieces before it, the gap and the bandwidth.

    Args:
      faults: slices, delays, gaps and the bandwidth are done here.
      numbers: the source of random numbers.
      now: the time, in seconds, on any clock; later times are on the same.
    """

    def __init__(self, faults: Faults, numbers: random.Random, now: float) -> None:
        self._numbers = numbers
        self._faults = CLEAN
        self._bucket: TokenBucket | None = None
        self._entries: deque[tuple[Step, float]] = deque()  # with the time when it came
        self._kept_bytes = 0
        # The next piece: where it begins in the first entry, and how long it is.
        self._at = 0
        self._size = 0
        self._is_drawn = False
        self._due = -math.inf  # ... and when it is due; then, the one before
        self._taken_at = -math.inf  # when the piece before it was taken
        self.change(faults, now)

    def change(self, faults: Faults, now: float) -> None:
        """Cut and delay by these from now on, also what is on its way.

        Its delays are drawn again, and count from its arrival as before: without a delay it is due at once.
        """
        rate = faults.bandwidth_bytes_per_s
        if rate != self._faults.bandwidth_bytes_per_s:
            self._bucket = TokenBucket(rate, now) if rate else None
        self._faults = faults
        self._piece_bytes = max(1, int(rate * _TICK_S)) if rate else math.inf
        self._capacity: float = MAX_LINE_BYTES if faults.delay_s[1] else SHORT_LINE_BYTES
        if rate:
            # Beyond what is in the air, bytes would only queue up for the bandwidth.
            self._capacity = min(self._capacity, SHORT_LINE_BYTES + rate * faults.delay_s[1])
        self._is_drawn = False
        self._due = -math.inf

    @property
    def has_room(self) -> bool:
        """Whether the source should be read from."""
        return self._kept_bytes < self._capacity

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self._entries

    def put(self, step: Step, now: float) -> None:
        """Take in what has come, even if there is no room."""
        self._entries.append((step, now))
        self._kept_bytes += _ENTRY_BYTES + (len(step.data) if isinstance(step, Send) else 0)

    def due_at(self) -> float:
        """Return when the next piece may be sent; infinity when nothing is on its way."""
        if not self._entries:
            return math.inf
        if not self._is_drawn:
            self._draw()
        ready = max(self._due, self._taken_at + self._faults.gap_s)
        return (
            max(ready, self._bucket.ready_at(self._size))
            if self._bucket is not None and self._size
            else ready
        )

    def take(self, now: float) -> bytes | Cut | None:
        """Return the next piece if it is due, or how the stream ends; None if it is too early."""
        if self.due_at() > now:
            return None
        step = self._entries[0][0]
        self._is_drawn = False
        self._taken_at = now
        if isinstance(step, Cut):
            self._drop_first()
            return step
        if self._bucket is not None:
            self._bucket.take(self._size, now)
        piece = step.data[self._at : self._at + self._size]
        self._at += self._size
        if self._at == len(step.data):
            self._drop_first()
        return piece

    def _draw(self) -> None:
        step, came = self._entries[0]
        faults = self._faults
        self._is_drawn = True
        self._size = 0
        if isinstance(step, Send):
            left = len(step.data) - self._at
            most = self._numbers.randint(*faults.slice_bytes) if faults.slice_bytes else self._piece_bytes
            self._size = int(min(left, most))
        delay_s = self._numbers.uniform(*faults.delay_s) if faults.delay_s[1] else 0.0
        self._due = max(self._due, came + delay_s)

    def _drop_first(self) -> None:
        step, _ = self._entries.popleft()
        self._kept_bytes -= _ENTRY_BYTES + (len(step.data) if isinstance(step, Send) else 0)
        self._at = 0
