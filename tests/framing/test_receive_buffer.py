"""The buffer: bytes leave it in the order in which they came, at linear cost."""

from __future__ import annotations

import pytest

from tests.framing.examples import (
    CountingBuffer,
    Cutting,
    byte_by_byte,
    whole,
)
from trioecho.framing import (
    ReceiveBuffer,
)


def buffer_of(*pieces: bytes | bytearray | memoryview) -> ReceiveBuffer:
    buffer = ReceiveBuffer()
    for piece in pieces:
        buffer.append(piece)
    return buffer


def content(buffer: ReceiveBuffer) -> bytes:
    storage, start = buffer.window()
    return bytes(storage[start:])


def test_bytes_leave_the_buffer_in_the_order_in_which_they_came() -> None:
    buffer = buffer_of(b"abc", bytearray(b"de"), b"", memoryview(b"fgh"))
    assert len(buffer) == 8
    assert buffer.take(2) == b"ab"
    assert bytes(buffer.take_view(4)) == b"cdef"
    buffer.append(b"ij")
    assert (len(buffer), content(buffer)) == (4, b"ghij")
    assert buffer.take(4) == b"ghij"
    assert (len(buffer), content(buffer)) == (0, b"")


def test_what_is_taken_is_bytes_whatever_was_appended() -> None:
    for data in (b"abcd", bytearray(b"abcd"), memoryview(b"abcd")):
        assert type(buffer_of(data).take(2)) is bytes
        assert type(buffer_of(b"-", data).take(2)) is bytes


def test_skipped_bytes_are_removed_and_not_returned() -> None:
    buffer = buffer_of(b"abc", b"defg")
    assert buffer.take(5, skip=2) == b"cde"
    assert buffer.take(1, skip=1) == b""
    assert content(buffer) == b"g"


def test_no_bytes_can_be_taken_at_any_time() -> None:
    for buffer in (buffer_of(), buffer_of(b"abc"), buffer_of(b"abc", b"d")):
        before = content(buffer)
        assert buffer.take(0) == b""
        assert bytes(buffer.take_view(0)) == b""
        assert content(buffer) == before


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"ab", b"c"]])
@pytest.mark.parametrize("method", ["take", "take_view"])
@pytest.mark.parametrize("count", [-1, 4, 1000])
def test_taking_what_is_not_there_takes_nothing(pieces: list[bytes], method: str, count: int) -> None:
    buffer = buffer_of(*pieces)
    before = content(buffer)
    with pytest.raises(ValueError, match=f"cannot take {count} bytes: the buffer has {len(before)}"):
        getattr(buffer, method)(count)
    assert content(buffer) == before


@pytest.mark.parametrize("first", [b"", b"-"])
def test_later_changes_by_the_caller_are_not_seen(first: bytes) -> None:
    received = bytearray(b"abcdef")
    for data in (received, memoryview(received)):
        received[:] = b"abcdef"
        buffer = buffer_of(first, data)
        received[:] = b"??????"
        assert content(buffer) == first + b"abcdef"
    del data
    received.clear()  # which is an error while somebody holds on to its memory


@pytest.mark.parametrize("count", range(9))
@pytest.mark.parametrize("pieces", [[b"abcdefgh"], [b"abcd", b"efgh"]])
def test_a_view_stays_as_it_is_whatever_happens_to_the_buffer(pieces: list[bytes], count: int) -> None:
    buffer = buffer_of(*pieces)
    view = buffer.take_view(count)
    assert view.readonly
    for _ in range(3):
        buffer.append(b"0123456789")
        buffer.take(4)
        buffer.take_view(len(buffer) - 1)
    assert view == b"abcdefgh"[:count]


def test_bytes_that_came_together_and_are_viewed_together_are_not_copied() -> None:
    data = b"abcdefgh"
    assert buffer_of(data).take_view(8).obj is data
    assert buffer_of(data).take_view(6).obj is data


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("step", [1, 3, 700])
def test_a_buffer_moves_each_byte_a_bounded_number_of_times(
    cut: Cutting, step: int, counting_buffer: type[CountingBuffer]
) -> None:
    size = 2100
    buffer = counting_buffer()
    for piece in cut(bytes(size)):
        buffer.append(piece)
    while buffer:
        buffer.take(step)
    assert counting_buffer.moved <= 3 * size


def test_the_storage_is_at_most_twice_what_is_left_in_it() -> None:
    for pieces in ([bytes(1000)], [bytes(500), bytes(500)]):
        buffer = buffer_of(*pieces)
        while buffer:
            buffer.take(7 if len(buffer) > 7 else 1)
            assert len(buffer.window()[0]) <= 2 * len(buffer)
