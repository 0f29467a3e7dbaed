from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import cycle, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.examples import examples
from trioecho.errors import (
    FrameTooLargeError,
    FrameTooSmallError,
    IncompleteFrameError,
    LocalProtocolError,
    RemoteProtocolError,
)
from trioecho.framing import FrameBatch, FrameDecoder, FrameFormat, ReceiveBuffer

THOROUGH = examples(300)
IN_STEPS = examples(120, stateful_step_count=40)

FORMATS = st.builds(
    FrameFormat, st.sampled_from([1, 2, 4, 8]), st.sampled_from(["big", "little"]), st.booleans()
)
# The longest payload that every format can express has 254 bytes.
PAYLOADS = st.one_of(st.binary(max_size=8), st.integers(0, 254).map(lambda n: bytes([n]) * n))
LIMITS = st.one_of(st.integers(0, 300), st.sampled_from([1 << 16, 1 << 20, 1 << 32, 1 << 64]))
GARBAGE = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 8, 9, 255]), max_size=80).map(bytes),
)


# --- the oracle: the same format, written with slices alone -----------------------------------------


def naive_frame(payload: bytes, format: FrameFormat) -> bytes:
    length = len(payload) + (format.header_bytes if format.length_includes_header else 0)
    return length.to_bytes(format.header_bytes, format.byte_order) + payload


def naive_next(wire: bytes, format: FrameFormat, limit: int) -> tuple[object, ...]:
    """What the wire begins with: a frame and how many bytes it has, or what is wrong with it."""
    width = format.header_bytes
    if not wire:
        return ("nothing",)
    if len(wire) < width:
        return "incomplete", len(wire), width
    announced = int.from_bytes(wire[:width], format.byte_order)
    if format.length_includes_header and announced < width:
        return "too small", announced, width
    length = announced - width if format.length_includes_header else announced
    if length > limit:
        return "too large", length, limit
    if len(wire) < width + length:
        return "incomplete", len(wire), width + length
    return "frame", wire[width : width + length], width + length


def naive_frames(wire: bytes, format: FrameFormat, limit: int) -> tuple[list[bytes], tuple[object, ...]]:
    """All frames at the front of the wire, and what comes after them."""
    frames: list[bytes] = []
    while (found := naive_next(wire, format, limit))[0] == "frame":
        _, payload, size = found
        assert isinstance(payload, bytes)
        assert isinstance(size, int)
        frames.append(payload)
        wire = wire[size:]
    return frames, found


def as_found(error: RemoteProtocolError) -> tuple[object, ...]:
    """An error as the oracle writes it."""
    match error:
        case FrameTooLargeError():
            return "too large", error.length, error.limit
        case FrameTooSmallError():
            return "too small", error.length, error.minimum
        case IncompleteFrameError():
            return "incomplete", error.received, error.expected
        case _:
            raise error


def frames_of(batch: FrameBatch | None, format: FrameFormat) -> list[bytes] | None:
    """The payloads in a batch, which must have nothing else in it."""
    if batch is None:
        return None
    assert memoryview(batch.data).readonly
    frames, rest = naive_frames(bytes(batch.data), format, 1 << 64)
    assert rest == ("nothing",)
    assert len(frames) == batch.frame_count > 0
    return frames


# --- any cuts ---------------------------------------------------------------------------------------


@st.composite
def cut_up(draw: st.DrawFn, wires: st.SearchStrategy[bytes]) -> list[bytes]:
    """A wire in pieces, some of which may be empty."""
    wire = draw(wires)
    if draw(st.booleans()):
        return [wire[i : i + 1] for i in range(len(wire))]
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    return [wire[begin:end] for begin, end in pairwise([0, *cuts, len(wire)])]


Reading = Callable[[FrameDecoder, FrameFormat], "list[bytes] | None"]


def read_frame(decoder: FrameDecoder, format: FrameFormat) -> list[bytes] | None:
    frame = decoder.next_frame()
    return None if frame is None else [frame]


def read_batch(decoder: FrameDecoder, format: FrameFormat) -> list[bytes] | None:
    return frames_of(decoder.next_batch(), format)


READINGS = st.lists(st.sampled_from([read_frame, read_batch]), min_size=1, max_size=5)


def decode(
    pieces: list[bytes], format: FrameFormat, limit: int, readings: Iterable[Reading], late: bool = False
) -> tuple[list[bytes], tuple[object, ...], str]:
    """The frames that came out, what came after them, and how the error put it.

    Reads after each piece, or, when late, only after the end.
    """
    decoder = FrameDecoder(format=format, max_frame_length=limit)
    frames: list[bytes] = []
    reading = cycle(readings)
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while not late and (read := next(reading)(decoder, format)) is not None:
                frames += read
        decoder.end_of_data()
        while (read := next(reading)(decoder, format)) is not None:
            frames += read
            assert late
    except RemoteProtocolError as error:
        return frames, as_found(error), str(error)
    finally:
        assert decoder.frames_decoded == len(frames)
    assert decoder.buffered_bytes == 0
    return frames, ("nothing",), ""


@THOROUGH
@given(data=st.data(), payloads=st.lists(PAYLOADS, max_size=10), format=FORMATS, readings=READINGS)
def test_frames_come_out_as_they_were_sent_whatever_the_cuts(
    data: st.DataObject, payloads: list[bytes], format: FrameFormat, readings: list[Reading]
) -> None:
    wire = b"".join(naive_frame(payload, format) for payload in payloads)
    pieces = data.draw(cut_up(st.just(wire)))
    for read in ([read_frame], [read_batch], readings):
        assert decode(pieces, format, 254, read) == (payloads, ("nothing",), "")


@THOROUGH
@given(data=st.data(), payloads=st.lists(PAYLOADS, min_size=1, max_size=4), format=FORMATS, readings=READINGS)
def test_a_wire_that_ends_anywhere_gives_its_frames_and_then_says_what_is_missing(
    data: st.DataObject, payloads: list[bytes], format: FrameFormat, readings: list[Reading]
) -> None:
    wire = b"".join(naive_frame(payload, format) for payload in payloads)
    wire = wire[: data.draw(st.integers(0, len(wire)))]
    pieces = data.draw(cut_up(st.just(wire)))
    frames, found, _ = decode(pieces, format, 254, readings, data.draw(st.booleans()))
    assert (frames, found) == naive_frames(wire, format, 254)
    assert found[0] in ("nothing", "incomplete")


@THOROUGH
@given(
    data=st.data(),
    payloads=st.lists(st.binary(max_size=4), max_size=3),
    garbage=GARBAGE,
    format=FORMATS,
    limit=LIMITS,
    readings=READINGS,
)
def test_garbage_gives_frames_or_the_documented_errors_whatever_the_cuts(
    data: st.DataObject,
    payloads: list[bytes],
    garbage: bytes,
    format: FrameFormat,
    limit: int,
    readings: list[Reading],
) -> None:
    wire = b"".join(naive_frame(payload, format) for payload in payloads) + garbage
    pieces = data.draw(cut_up(st.just(wire)))
    outcome = decode(pieces, format, limit, readings, data.draw(st.booleans()))
    assert outcome[:2] == naive_frames(wire, format, limit)
    assert outcome == decode([wire], format, limit, [read_frame])


# --- the buffer, step by step -----------------------------------------------------------------------


class CountingBuffer(ReceiveBuffer):
    """Counts the bytes that are put into new storage, adopted ones included."""

    moved = 0

    def _replace(self, storage: bytes | bytearray) -> None:
        self.moved += len(storage)
        super()._replace(storage)


class BufferAgainstBytes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.buffer = CountingBuffer()
        self.model = b""
        self.appended = 0
        self.views: list[tuple[memoryview, bytes]] = []

    def append(self, data: bytes | bytearray | memoryview) -> None:
        self.model += bytes(data)
        self.appended += len(data)
        self.buffer.append(data)

    def count(self, share: float) -> int:
        return round(share * len(self.model))

    @rule(data=st.binary(max_size=40))
    def append_bytes(self, data: bytes) -> None:
        self.append(data)

    @rule(data=st.binary(max_size=40), viewed=st.booleans())
    def append_what_the_caller_changes_later(self, data: bytes, viewed: bool) -> None:
        received = bytearray(data)
        with memoryview(received) as view:
            self.append(view if viewed else received)
            received[:] = bytes(byte ^ 0xFF for byte in data)
        received.clear()

    @rule(share=st.floats(0, 1), skipped=st.floats(0, 1))
    def take(self, share: float, skipped: float) -> None:
        count = self.count(share)
        skip = round(skipped * count)
        assert self.buffer.take(count, skip=skip) == self.model[skip:count]
        self.model = self.model[count:]

    @rule(share=st.floats(0, 1))
    def take_view(self, share: float) -> None:
        count = self.count(share)
        view = self.buffer.take_view(count)
        assert view.readonly
        self.views.append((view, self.model[:count]))
        self.model = self.model[count:]

    @rule(excess=st.integers(1, 100), viewed=st.booleans(), negative=st.booleans())
    def take_what_is_not_there(self, excess: int, viewed: bool, negative: bool) -> None:
        take = self.buffer.take_view if viewed else self.buffer.take
        with pytest.raises(ValueError, match="cannot take"):
            take(-excess if negative else len(self.model) + excess)

    @invariant()
    def holds_what_was_not_taken(self) -> None:
        storage, start = self.buffer.window()
        assert storage[start:] == self.model
        assert len(self.buffer) == len(self.model)

    @invariant()
    def views_are_what_they_were(self) -> None:
        for view, data in self.views:
            assert view == data

    @invariant()
    def takes_little_memory_and_moves_little(self) -> None:
        assert len(self.buffer.window()[0]) <= 2 * len(self.model)
        assert self.buffer.moved <= 3 * self.appended


BufferAgainstBytes.TestCase.settings = IN_STEPS
TestBufferAgainstBytes = BufferAgainstBytes.TestCase


# --- the decoder, step by step ----------------------------------------------------------------------


class DecoderAgainstSlices(RuleBasedStateMachine):
    @initialize(format=FORMATS, limit=st.sampled_from([3, 100, 254, 254, 1 << 20, 1 << 64]))
    def begin(self, format: FrameFormat, limit: int) -> None:
        self.format = format
        self.limit = limit
        self.decoder = FrameDecoder(format=format, max_frame_length=limit)
        self.model = b""
        self.frames = 0
        self.ended = False
        self.refused: tuple[object, ...] | None = None
        self.batches: list[tuple[memoryview, bytes]] = []

    def receive(self, data: bytes) -> None:
        if self.ended:
            with pytest.raises(LocalProtocolError):
                self.decoder.receive_data(data)
            return
        self.decoder.receive_data(data)
        if not self.refused:
            self.model += data

    @rule(payloads=st.lists(PAYLOADS, max_size=4), torn=st.sampled_from([0, 0, 0, 0, 1, 2, 5, 9]))
    def receive_frames(self, payloads: list[bytes], torn: int) -> None:
        wire = b"".join(naive_frame(payload, self.format) for payload in payloads)
        self.receive(wire[: max(0, len(wire) - torn)])

    # Garbage and the end come late, because little can happen afterwards.
    @precondition(lambda self: self.frames > 5)
    @rule(data=GARBAGE)
    def receive_garbage(self, data: bytes) -> None:
        self.receive(data)

    @rule()
    def receive_the_rest_of_a_frame(self) -> None:
        found = naive_next(self.model, self.format, min(self.limit, 1000))
        if found[0] == "incomplete":
            _, received, expected = found
            assert isinstance(received, int)
            assert isinstance(expected, int)
            self.receive(bytes(expected - received))

    def expect_nothing_or_an_error(
        self, found: tuple[object, ...], read: Callable[[], FrameBatch | bytes | None]
    ) -> None:
        if found[0] == "nothing" or (found[0] == "incomplete" and not self.ended):
            assert read() is None
            return
        with pytest.raises(RemoteProtocolError) as caught:
            read()
        assert as_found(caught.value) == found
        if found[0] != "incomplete":
            self.refused = found
            self.model = b""

    @rule()
    def next_frame(self) -> None:
        found = self.refused or naive_next(self.model, self.format, self.limit)
        if found[0] != "frame":
            self.expect_nothing_or_an_error(found, self.decoder.next_frame)
            return
        _, payload, size = found
        assert isinstance(size, int)
        assert self.decoder.next_frame() == payload
        self.model = self.model[size:]
        self.frames += 1

    @rule()
    def next_batch(self) -> None:
        frames, found = naive_frames(self.model, self.format, self.limit)
        if not frames:
            self.expect_nothing_or_an_error(self.refused or found, self.decoder.next_batch)
            return
        batch = self.decoder.next_batch()
        assert batch is not None
        assert frames_of(batch, self.format) == frames
        assert self.model.startswith(batch.data)
        self.batches.append((memoryview(batch.data), bytes(batch.data)))
        self.model = self.model[len(batch.data) :]
        self.frames += len(frames)

    @precondition(lambda self: self.frames > 5 or self.refused)
    @rule()
    def end_of_data(self) -> None:
        self.decoder.end_of_data()
        self.ended = True

    @invariant()
    def counts_what_it_holds_and_what_it_gave(self) -> None:
        assert self.decoder.buffered_bytes == len(self.model)
        assert self.decoder.frames_decoded == self.frames

    @invariant()
    def runs_are_what_they_were(self) -> None:
        for view, data in self.batches:
            assert view == data


DecoderAgainstSlices.TestCase.settings = IN_STEPS
TestDecoderAgainstSlices = DecoderAgainstSlices.TestCase
