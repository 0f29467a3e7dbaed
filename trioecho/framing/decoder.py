"""From bytes to frames: `FrameDecoder`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..errors import (
    FrameTooLargeError,
    FrameTooSmallError,
    IncompleteFrameError,
    LocalProtocolError,
    RemoteProtocolError,
)
from .frame_format import DEFAULT_FORMAT, DEFAULT_MAX_FRAME_LENGTH, FrameFormat, diagnose, encode_frame
from .large_frame import LARGE_BYTES, BlockPool, LargeFrame
from .receive_buffer import ReceiveBuffer


class FrameRun(NamedTuple):
    """Complete frames that lie one behind the other, exactly as they came.

    Attributes:
      data: the frames on the wire, headers included. What `FrameDecoder.next_run`
        gives is read-only and valid for good.
      frame_count: how many frames these are, at least 1.
    """

    data: bytes | memoryview
    frame_count: int


class FrameDecoder:
    """Turns received bytes into the frames that were sent, whatever the cuts.

    Feed it with `receive_data`, then call `next_frame` (or `next_run`) until it
    returns None. When the peer has ended its stream, call `end_of_data`; from
    then on None means a clean end.

    The limit is checked as soon as a header is complete. Memory grows with the
    bytes received and never with a length that was only announced.

    Args:
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have at most.
      pool: memory for large frames, which several decoders can share.

    Attributes:
      buffered_bytes (int): bytes received that were not handed out yet.
      frames_decoded (int): frames handed out so far.
      scan, split (callable): find whole frames in bytes that the decoder was not given,
        for who receives most of them elsewhere; they know its format and limit, and
        change nothing. ``scan(data)`` gives the bytes and the number of the whole
        frames at the front, and what is needed behind them; ``split(data)`` the
        payloads, and the bytes of their frames.

    Raises:
      ValueError: ``max_frame_length`` is negative.
    """

    __slots__ = (
        "_buffer",
        "_ended",
        "_format",
        "_header_bytes",
        "_large",
        "_lent_blocks",
        "_max_frame_length",
        "_needed",
        "_pool",
        "_refusal",
        "buffered_bytes",
        "frames_decoded",
        "scan",
        "split",
    )

    def __init__(
        self,
        *,
        format: FrameFormat = DEFAULT_FORMAT,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        pool: BlockPool | None = None,
    ) -> None:
        if max_frame_length < 0:
            raise ValueError(f"max_frame_length must not be negative, as {max_frame_length} is")
        self._max_frame_length = max_frame_length
        self._format = format
        self._header_bytes: int = format.header_bytes
        self.scan: Scan
        self.split: Split
        self.scan, self.split = _scanners(format, max_frame_length)

        self._buffer = ReceiveBuffer()
        self._large: LargeFrame | None = None  # what the buffer holds comes after it
        self._pool = pool
        self._lent_blocks: Sequence[memoryview] = ()
        # What must be there before a look at it can find anything new: a header,
        # or the whole of a frame whose header was read. This is what keeps a
        # frame that comes byte by byte from costing quadratic time.
        self._needed: int = format.header_bytes
        self._ended = False
        self._refusal: RemoteProtocolError | None = None
        # Plain attributes, because they are looked at for every message.
        self.buffered_bytes: int = 0
        self.frames_decoded: int = 0

    def room(self) -> memoryview | None:
        """Where to receive the rest of a large frame straight into place; None when there is none.

        Whoever has received into it calls `receive_data` with the part that was filled.
        """
        if self._large is None:
            if not LARGE_BYTES <= self.buffered_bytes < self._needed:
                return None
            if self._pool is None:
                self._pool = BlockPool()
            self._large = LargeFrame(self._buffer.take_view(self.buffered_bytes), self._needed, self._pool)
        return self._large.room() or None

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes that came from the peer; any number, 0 included.

        After a `RemoteProtocolError` further bytes have no meaning, and are dropped.

        Raises:
          LocalProtocolError: `end_of_data` was called before.
        """
        if self._ended:
            raise LocalProtocolError("receive_data() after end_of_data(): use a new decoder")
        if self._refusal is not None:
            return
        if self._large is None:
            self._buffer.append(data)
            self.buffered_bytes = len(self._buffer)
        else:
            self._buffer.append(memoryview(data).cast("B")[self._large.add(data) :])
            self.buffered_bytes = self._large.received + len(self._buffer)

    def end_of_data(self) -> None:
        """Note that the peer has ended its stream: no more bytes will come."""
        self._ended = True

    def next_frame(self) -> bytes | None:
        """The payload of the next frame, if it is complete.

        One of:

        - bytes, possibly empty: a frame's payload;
        - None: more bytes are needed, or, after `end_of_data`, the clean end;
        - an exception, and the same one again at every further call.

        Raises:
          FrameTooLargeError: the next frame is over the limit.
          FrameTooSmallError: its length does not cover its own header.
          IncompleteFrameError: the stream has ended inside the next frame.
        """
        size, count = self._complete_frames(only_one=True)
        if not count:
            return None
        if self._large is not None:
            return self._take_large(self._large, self._header_bytes)
        return self._buffer.take(size, skip=self._header_bytes)

    def next_frames(self) -> list[bytes]:
        """The payloads of all frames that are complete by now, in order; else as `next_frame`.

        A large frame comes for itself. A frame that is refused is reported by the
        call after the one that returned the frames before it.
        """
        is_large = self._needed >= LARGE_BYTES or self._large is not None
        if self.buffered_bytes >= self._needed and not is_large and self._refusal is None:
            storage, start = self._buffer.window()
            payloads, size = self.split(bytes(memoryview(storage)[start:]))
            if payloads:
                self._buffer.take_view(size)
                self.buffered_bytes -= size
                self.frames_decoded += len(payloads)
                self._needed = self._header_bytes
                return payloads
        # What is large, refused or not complete.
        payload = self.next_frame()
        return [] if payload is None else [payload]

    def next_run(self) -> FrameRun | None:
        """All frames that are complete by now, as one piece of the wire.

        For who passes frames on as they are: nothing is made per frame. Outcomes
        and exceptions are those of `next_frame`; a frame that is refused is
        reported by the call after the one that returned the frames before it.
        """
        size, count = self._complete_frames()
        if not count:
            return None
        if self._large is not None:
            return FrameRun(self._take_large(self._large, 0), count)
        return FrameRun(self._buffer.take_view(size), count)

    def put_back(self, payloads: Sequence[bytes]) -> None:
        """Be as if these had not been handed out: the last that `next_frames` gave, or `split`.

        Only while nothing was received or handed out since; who has them from `split`
        has counted them in `frames_decoded`.
        """
        if payloads:
            unread = [encode_frame(payload, format=self._format) for payload in payloads]
            unread.append(self._buffer.take(len(self._buffer)))
            self._buffer.append(b"".join(unread))
            self.buffered_bytes = len(self._buffer)
            self._needed = self._header_bytes
            self.frames_decoded -= len(payloads)

    def receive_pieces(self, data: bytes | memoryview) -> tuple[list[bytes | memoryview], int]:
        """`receive_data` and `next_run` in one, and without a copy where none is needed.

        Returns:
          The run in pieces, which may lie in ``data`` itself, and the number of
          its frames; none and 0 when no frame is complete. Be done with the
          pieces, and call `recycle`, before ``data`` changes or more is received.
          Call `next_run` before you wait for more; it tells of a refused frame.
        """
        pieces: list[bytes | memoryview] = []
        count = position = 0
        if self.buffered_bytes or self._ended or self._refusal is not None:
            position = self._needed - self.buffered_bytes
            if position > len(data) or self._needed == self._header_bytes:
                self.receive_data(data)
                run = self.next_run() if self.buffered_bytes >= self._needed else None
                return ([run.data], run.frame_count) if run else ([], 0)
            self.receive_data(data[:position])
            size, count = self._complete_frames()
            if self._large is not None:
                pieces = [memoryview(piece).toreadonly() for piece in self._large.pieces]
                self._lent_blocks, self._large = self._large.blocks, None
            else:
                pieces = [self._buffer.take_view(size)]
        size, more, self._needed = self.scan(data, position)
        if more:
            self.frames_decoded += more
            pieces.append(data[position : position + size])
        if position + size < len(data):
            self.receive_data(data[position + size :])
        return pieces, count + more

    def recycle(self) -> None:
        """Note that nobody looks any more at the pieces of the run that was given last."""
        if self._pool is not None and self._lent_blocks:
            self._pool.give_back(self._lent_blocks)
            self._lent_blocks = ()

    def _take_large(self, frame: LargeFrame, skip: int) -> bytes:
        beginning, *pieces = frame.pieces
        taken = b"".join((beginning[skip:], *pieces))
        self._lent_blocks = frame.blocks
        self.recycle()
        self._large = None
        return taken

    def _complete_frames(self, *, only_one: bool = False) -> tuple[int, int]:
        """Bytes and number of the complete frames at the front; a large one comes for itself."""
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        if self.buffered_bytes >= self._needed:
            if self._large is not None:
                size, count, self._needed = self._needed, 1, self._header_bytes
            else:
                size, count, self._needed = self.scan(*self._buffer.window(), only_one)
            if count:
                self.frames_decoded += count
                self.buffered_bytes -= size
                return size, count
            if self.buffered_bytes >= self._needed:
                self._refusal = self._refuse()
                raise self._refusal
        if self._ended and self.buffered_bytes:
            raise IncompleteFrameError(self.buffered_bytes, self._needed)
        return 0, 0

    def _refuse(self) -> RemoteProtocolError:
        header = self._buffer.take(self._header_bytes)
        self._buffer = ReceiveBuffer()  # what came with it has no meaning
        self.buffered_bytes = 0
        (length,) = self._format._header.unpack(header)
        least = self._format._counted_header_bytes
        if length < least:
            return FrameTooSmallError(length, least)
        hint = diagnose(header, self._format, self._max_frame_length)
        return FrameTooLargeError(length - least, self._max_frame_length, hint)


class Scan(Protocol):
    """Finds whole frames."""

    def __call__(
        self, data: bytes | bytearray | memoryview, start: int = 0, only_one: bool = False, /
    ) -> tuple[int, int, int]:
        """Bytes and number of the frames that are complete from ``start`` on; what the next one needs.

        The last is its size, or that of a header: if as much is there, it is to be refused.
        """
        raise NotImplementedError


Split = Callable[[bytes], tuple[list[bytes], int]]


@functools.lru_cache
def _scanners(frame_format: FrameFormat, max_frame_length: int) -> tuple[Scan, Split]:
    """What finds frames of that kind; all decoders of a server share it, and what it has at hand."""
    unpack_from = frame_format._header.unpack_from
    header_bytes: int = frame_format.header_bytes
    # Of the number in a header: what it may be, and how much less than its frame.
    least = frame_format._counted_header_bytes
    most = max_frame_length + least
    uncounted = header_bytes - least

    def scan(
        data: bytes | bytearray | memoryview, start: int = 0, only_one: bool = False, /
    ) -> tuple[int, int, int]:
        end = len(data)
        last_header = end - header_bytes
        if only_one and start < last_header:
            last_header = start
        position = start
        count = 0
        size = header_bytes
        # This loop is what a small frame costs. Whether the last frame is all
        # there is looked at once, and behind it.
        while position <= last_header:
            (length,) = unpack_from(data, position)
            if length > most or length < least:
                break
            size = length + uncounted
            position += size
            count += 1
        if position > end:
            return position - size - start, count - 1, size
        return position - start, count, header_bytes

    def split(data: bytes, /) -> tuple[list[bytes], int]:
        """The payloads of the frames that are complete, and how many bytes these frames have."""
        payloads: list[bytes] = []
        append = payloads.append
        end = len(data)
        last_header = end - header_bytes
        position = 0
        while position <= last_header:
            (length,) = unpack_from(data, position)
            if length > most or length < least:
                break
            next_position = position + length + uncounted
            if next_position > end:
                break
            append(data[position + header_bytes : next_position])
            position = next_position
        return payloads, position

    return scan, split
