"""Bytes on the wire: sent over TCP in chosen pieces, decoded piece by piece, shown as tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import trio

from ..base.connect import open_stream
from ..base.describe import describe
from ..errors import IncompleteFrameError
from ..framing import FrameDecoder, FrameFormat, encode_frame
from .page import DemoError

_TIMEOUT_S = 10.0
_RECEIVE_BYTES = 65_536
_HEADER_BYTES: int = FrameFormat().header_bytes


@dataclass(frozen=True)
class Reading:
    """The state of the decoder after one more piece.

    Attributes:
      piece: the bytes that were added.
      frames: payloads of the frames that this piece completed.
      held: bytes that the decoder keeps, because their frame is not complete.
      expected: bytes of the incomplete frame, header included; the size of the header
        while the header itself is not complete.
    """

    piece: bytes
    frames: tuple[bytes, ...]
    held: int
    expected: int

    def in_words(self, first_frame_number: int) -> str:
        """Return the state in words; frames are counted from the given number."""
        if self.frames:
            said = ", ".join(
                f'frame {number} complete: "{_as_text(payload)}"'
                for number, payload in enumerate(self.frames, first_frame_number)
            )
            return f"{said}; then {self._waiting()}" if self.held else said
        return self._waiting()

    def _waiting(self) -> str:
        if self.held < _HEADER_BYTES:
            return f"header {self.held} of {_HEADER_BYTES}"
        return f"header complete, payload {self.held - _HEADER_BYTES} of {self.expected - _HEADER_BYTES}"


def read_pieces(pieces: Iterable[bytes]) -> Iterator[Reading]:
    """Give a decoder the pieces of a stream, one after the other, and yield its state after each."""
    decoder = FrameDecoder()
    unfinished = b""  # the same bytes that the decoder holds
    for piece in pieces:
        decoder.receive_data(piece)
        frames = tuple(iter(decoder.next_frame, None))
        unfinished = (unfinished + piece)[-decoder.buffered_bytes :] if decoder.buffered_bytes else b""
        yield Reading(piece, frames, decoder.buffered_bytes, _expected_bytes(unfinished))


def _as_text(payload: bytes) -> str:
    return payload.decode("ascii", "backslashreplace")


def _expected_bytes(unfinished: bytes) -> int:
    """Return the length of the incomplete frame, as far as a decoder can know it."""
    decoder = FrameDecoder()
    decoder.receive_data(unfinished)
    decoder.end_of_data()
    try:
        decoder.next_frame()
    except IncompleteFrameError as error:
        return error.expected
    return _HEADER_BYTES


def frames_in(pieces: Iterable[bytes]) -> list[bytes]:
    """Return all payloads that a decoder finds in these pieces."""
    decoder = FrameDecoder()
    payloads: list[bytes] = []
    for piece in pieces:
        decoder.receive_data(piece)
        payloads += iter(decoder.next_frame, None)
    return payloads


def all_cuts(data: bytes) -> Iterator[list[bytes]]:
    """Yield every way to cut the data into pieces: 2 ** (len(data) - 1) of them."""
    places = range(1, len(data))
    for choice in range(1 << len(places)):
        bounds = [0, *(place for place in places if choice >> (place - 1) & 1), len(data)]
        yield [data[start:end] for start, end in itertools.pairwise(bounds)]


def wire_table(readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the lines of a table of readings of single bytes, at most 76 columns wide."""
    yield f"{'receive':>7}  {'bytes':<9}  {'held':>4}  the decoder says"
    frame_number = 1
    for number, reading in enumerate(readings, 1):
        shown = reading.piece.hex(" ")
        if len(reading.piece) == 1 and reading.piece.isalnum():
            shown += f"  {reading.piece.decode()!r}"
        yield f"{number:>7}  {shown:<9}  {reading.held:>2} B  {reading.in_words(frame_number)}".rstrip()
        frame_number += len(reading.frames)


def hex_with_meaning(payloads: Sequence[bytes]) -> tuple[str, str]:
    """Return two lines: the frames of these payloads in hex, and the meaning of their bytes."""
    cells: list[tuple[str, str]] = []
    for payload in payloads:
        frame = encode_frame(payload)
        cells.append((frame[:_HEADER_BYTES].hex(" "), f"length {len(payload)}"))
        cells.append((frame[_HEADER_BYTES:].hex(" "), f'"{_as_text(payload)}"'))
    widths = [max(len(above), len(below)) for above, below in cells]
    above = " | ".join(cell[0].ljust(width) for cell, width in zip(cells, widths, strict=True))
    below = " | ".join(cell[1].ljust(width) for cell, width in zip(cells, widths, strict=True))
    return above.rstrip(), below.rstrip()


async def over_tcp(pieces: Iterable[bytes]) -> list[bytes]:
    """Send pieces over a TCP connection on the loopback; return what each receive returned.

    A piece is sent when the one before has been received, so the kernel cannot merge two
    pieces. It may still cut what one call sends.

    Raises:
      DemoError: the connection failed.
    """
    received: list[bytes] = []
    try:
        with trio.fail_after(_TIMEOUT_S):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            async with listener:
                host, port = listener.socket.getsockname()
                sender = await open_stream(host, port)
                async with sender, await listener.accept() as receiver:
                    for piece in pieces:
                        await sender.send_all(piece)
                        expected = len(piece)
                        while expected > 0:
                            data = bytes(await receiver.receive_some(_RECEIVE_BYTES))
                            if not data:
                                raise DemoError("the loopback connection ended early")
                            received.append(data)
                            expected -= len(data)
    except trio.TooSlowError:
        raise DemoError(f"the loopback connection took more than {_TIMEOUT_S:g} s") from None
    except (OSError, trio.BrokenResourceError) as error:
        raise DemoError(f"the loopback connection failed: {describe(error)}") from None
    return received
