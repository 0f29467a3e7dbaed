"""From bytes to frames: `FrameDecoder`."""

from __future__ import annotations

from typing import NamedTuple

from ..base.mypyc import mypyc_attr
from ..errors import (
    FrameTooLargeError,
    FrameTooSmallError,
    IncompleteFrameError,
    LocalProtocolError,
    MalformedFrameError,
    RemoteProtocolError,
)
from .diagnosis import RAISE_LIMIT, diagnose, diagnose_incomplete, in_words
from .frame_format import DEFAULT_FORMAT, DEFAULT_MAX_FRAME_LENGTH, Frame, FrameFormat
from .large_frame import LARGE_BYTES
from .layout import Layout
from .receive_buffer import ReceiveBuffer
from .scanners import scanner_of
from .scanning import Scanner

# How much of what cannot be a frame is looked at, to diagnose what it is instead.
DIAGNOSED_BYTES = 1 << 16


class FrameBatch(NamedTuple):
    """Complete frames that lie one behind the other, exactly as they came.

    Attributes:
      data: the frames on the wire, headers included. What `FrameDecoder.next_batch`
        gives is read-only and valid for good.
      frame_count: how many frames these are, at least 1.
    """

    data: bytes | memoryview
    frame_count: int


@mypyc_attr(allow_interpreted_subclasses=True)
class FrameDecoder:
    """Turns received bytes into the frames that were sent, whatever the cuts.

    Feed it with `receive_data`, then call `next_frame`, `next_frames` or
    `next_batch` until nothing is left. When the peer has ended its stream, call
    `end_of_data`; from then on None means a clean end.

    The limit is checked as soon as a header is complete. Memory grows with the
    bytes received and never with a length that was only announced.

    Args:
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have at most.

    Attributes:
      buffered_bytes (int): bytes received that were not handed out yet.
      frames_decoded (int): frames handed out so far.

    Raises:
      ValueError: ``max_frame_length`` is negative.
    """

    __slots__ = (
        "_awaited_bytes",
        "_buffer",
        "_ended",
        "_format",
        "_header_bytes",
        "_layout",
        "_max_frame_length",
        "_refusal",
        "_scanner",
        "buffered_bytes",
        "frames_decoded",
    )

    def __init__(
        self,
        *,
        format: FrameFormat = DEFAULT_FORMAT,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    ) -> None:
        if max_frame_length < 0:
            raise ValueError(f"max_frame_length must not be negative, as {max_frame_length} is")
        self._max_frame_length = max_frame_length
        self._format = format
        self._header_bytes: int = format.header_bytes
        self._scanner: Scanner = scanner_of(format, max_frame_length)
        self._layout: Layout | None = format._layout
        self._buffer = ReceiveBuffer()
        # What must be there before a look at it can find anything new: a header,
        # or the whole of a frame whose header was read. This is what keeps a
        # frame that comes byte by byte from costing quadratic time.
        self._awaited_bytes: int = format.header_bytes
        self._ended = False
        self._refusal: RemoteProtocolError | None = None
        # Plain attributes, because they are looked at for every message.
        self.buffered_bytes: int = 0
        self.frames_decoded: int = 0

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes that came from the peer; any number, 0 included.

        After a `RemoteProtocolError` further bytes have no meaning, and are dropped.

        Raises:
          LocalProtocolError: `end_of_data` was called before.
          TypeError: ``data`` is not bytes-like.
        """
        if self._ended:
            raise LocalProtocolError("receive_data() after end_of_data(): use a new decoder")
        if self._refusal is None:
            self._buffer.append(data)
            self.buffered_bytes = len(self._buffer)

    def end_of_data(self) -> None:
        """Note that the peer has ended its stream: no more bytes will come."""
        self._ended = True

    def next_frame(self) -> bytes | None:
        """Return the payload of the next frame, if it is complete.

        One of:

        - bytes, possibly empty: a frame's payload;
        - None: more bytes are needed, or, after `end_of_data`, the clean end;
        - an exception, and the same one again at every further call.

        Raises:
          FrameTooLargeError: the next frame is over the limit.
          FrameTooSmallError: its length does not cover its own header.
          MalformedFrameError: something in it cannot be.
          IncompleteFrameError: the stream has ended inside the next frame.
        """
        if self._layout is not None:
            wire = self._next_wire()
            return None if wire is None else self._scanner.split(wire)[0][0]
        size, count = self._take_complete(only_one=True)
        return self._buffer.take(size, skip=self._header_bytes) if count else None

    def next_whole_frame(self) -> Frame | None:
        """Return the next frame with its header, if it is complete.

        For formats whose headers are more than a length. Otherwise as `next_frame`.
        """
        wire = self._next_wire()
        return None if wire is None else self._format._take_apart(wire)

    def _next_wire(self) -> bytes | None:
        size, count = self._take_complete(only_one=True)
        return self._buffer.take(size) if count else None

    def next_frames(self) -> list[bytes]:
        """Return the payloads of all frames that are complete by now, in order.

        Exceptions are those of `next_frame`, and the list is empty where that returns
        None. A large frame comes by itself. A frame that is refused is reported by
        the call after the one that returned the frames before it.
        """
        if (
            self._awaited_bytes <= self.buffered_bytes
            and self._awaited_bytes < LARGE_BYTES
            and self._refusal is None
        ):
            storage, start = self._buffer.window()
            payloads, size = self._scanner.split(bytes(memoryview(storage)[start:]))
            if payloads:
                self._buffer.take_view(size)
                self.buffered_bytes -= size
                self.frames_decoded += len(payloads)
                self._awaited_bytes = self._header_bytes
                return payloads
        # What is large, refused or not complete.
        payload = self.next_frame()
        return [] if payload is None else [payload]

    def next_batch(self) -> FrameBatch | None:
        """Return all frames that are complete by now, as one piece of the wire.

        For a caller that passes frames on as they are: nothing is made per frame.
        None and exceptions are as of `next_frame`; a frame that is refused is
        reported by the call after the one that returned the frames before it.
        """
        size, count = self._take_complete()
        return FrameBatch(self._buffer.take_view(size), count) if count else None

    def _take_complete(self, *, only_one: bool = False) -> tuple[int, int]:
        """Return bytes and number of the complete frames at the front, which count as handed out."""
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        if self.buffered_bytes >= self._awaited_bytes:
            storage, start = self._buffer.window()
            size, count, self._awaited_bytes = self._scanner.scan(storage, start, only_one)
            del storage  # or the traceback of what is raised would hold it
            if count:
                self.frames_decoded += count
                self.buffered_bytes -= size
                return size, count
            if self.buffered_bytes >= self._awaited_bytes:
                self._refusal = self._refuse()
                raise self._refusal
        if self._ended and self.buffered_bytes:
            raise IncompleteFrameError(self.buffered_bytes, self._awaited_bytes, self._diagnose_incomplete())
        return 0, 0

    def _diagnose_incomplete(self) -> str | None:
        causes = diagnose_incomplete(self._first_bytes(), self._format, self._max_frame_length)
        return in_words(causes)

    def _first_bytes(self) -> bytes:
        storage, start = self._buffer.window()
        return bytes(storage[start : start + DIAGNOSED_BYTES])

    def _refuse(self) -> RemoteProtocolError:
        first_bytes = self._first_bytes()
        wrong = self._wrong_trailer()
        self._buffer = ReceiveBuffer()  # what came with it has no meaning
        self.buffered_bytes = 0
        try:
            length = self._format.decode_header(first_bytes)
        except FrameTooSmallError as error:
            return error.with_traceback(None)
        except MalformedFrameError as error:
            return self._malformed(error, first_bytes)
        if wrong is not None:
            return self._malformed(wrong, first_bytes)
        causes = diagnose(first_bytes, self._format, self._max_frame_length, self.frames_decoded)
        return FrameTooLargeError(length, self._max_frame_length, in_words(causes))

    def _wrong_trailer(self) -> MalformedFrameError | None:
        """Return what is wrong behind the payload of the refused frame; None if its header is to blame."""
        storage, start = self._buffer.window()
        return self._format._wrong_trailer(storage, start, self._max_frame_length)

    def _malformed(self, error: MalformedFrameError, first_bytes: bytes) -> MalformedFrameError:
        causes = diagnose(first_bytes, self._format, self._max_frame_length, self.frames_decoded)
        # It is not about a length that is too large.
        causes = [cause for cause in causes if cause != RAISE_LIMIT]
        return MalformedFrameError(error.reason, error.offset, in_words(causes))
