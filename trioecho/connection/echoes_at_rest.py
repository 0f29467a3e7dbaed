"""Echoes of many connections at rest: what their exchanges would do, done for all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from .exchange import Exchange
from .receiving import SMALL_BYTES


class EchoesAtRest:
    """Echoes of many exchanges at rest, of which each has received one frame: rule 6.

    Args:
      exchange: one of those that it is for; the others have the same format, limits and count.
    """

    __slots__ = ("_idle_timeout_s", "_on_sent", "_scanner")

    def __init__(self, exchange: Exchange) -> None:
        self._scanner = exchange.decoder.scanner
        self._idle_timeout_s = exchange._idle_timeout_s
        self._on_sent = exchange._on_sent

    def is_for(self, exchange: Exchange) -> bool:
        """Return whether an exchange may be among them."""
        return (
            self._scanner is exchange.decoder.scanner
            and self._idle_timeout_s == exchange._idle_timeout_s
            and self._on_sent == exchange._on_sent
        )

    def can_echo(self, received: Sequence[bytes], sizes: Sequence[int]) -> bool:
        """Return whether each has received exactly one small frame, given also how many bytes."""
        return max(sizes) < SMALL_BYTES and self._scanner.are_frames(received, sizes)

    def note_sent(
        self, exchanges: Sequence[Exchange], wire_bytes: int, received_at: float, now: float
    ) -> None:
        """Note that all was accepted, so many bytes together, by now."""
        read_deadline = now + self._idle_timeout_s
        for exchange in exchanges:
            exchange.last_received_at = received_at
            exchange._read_deadline = read_deadline
            exchange.decoder.frames_decoded += 1
        if self._on_sent is not None:
            self._on_sent(len(exchanges), wire_bytes, 0.0, now - received_at)
