"""Large frames on their way: where they are received, and whose memory that is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from tests.support.serving import serving
from tests.support.streams import connect, listen, receive_exactly
from trioecho import Handler, echo, reply_with
from trioecho.connection import splicing
from trioecho.framing import ConnectionDecoder, encode_frame, large_frame
from trioecho.framing.large_frame import BLOCK_BYTES, LARGE_BYTES, BlockPool, LargeFrame

MIB = 1 << 20


def payload_of(size: int, seed: int = 1) -> bytes:
    """Bytes in which every shift would show."""
    return bytes((seed + i * 7 + (i >> 8)) & 0xFF for i in range(4096)) * (size // 4096 + 1)


async def as_it_is(message: bytes) -> bytes:
    return message


def receive_into_buffer(decoder: ConnectionDecoder, wire: memoryview, most: int = 1 << 18) -> memoryview:
    """Receive what there is a buffer for, as a socket does; what is left of the wire."""
    buffer = decoder.get_buffer()
    assert buffer is not None
    count = min(len(buffer), len(wire), most)
    buffer[:count] = wire[:count]
    decoder.receive_data(buffer[:count])
    return wire[count:]


# ---- the pool ----


def test_a_block_that_was_given_back_is_the_next_that_is_taken() -> None:
    pool = BlockPool()
    block = pool.take()
    other = pool.take()
    assert len(block) == len(other) == BLOCK_BYTES
    assert block.obj is not other.obj
    pool.give_back([block])
    assert pool.take() is block
    fresh = pool.take()
    assert fresh.obj is not block.obj
    assert fresh.obj is not other.obj


def test_of_the_free_blocks_a_bounded_number_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_frame, "_KEPT_BLOCKS", 3)
    monkeypatch.setattr(large_frame, "BLOCK_BYTES", 16)
    pool = BlockPool()
    blocks = [pool.take() for _ in range(5)]
    pool.give_back(blocks[:2])
    pool.give_back(blocks[2:])
    taken = [pool.take() for _ in range(5)]
    assert sum(any(block is known for known in blocks) for block in taken) == 3


# ---- one frame ----


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_frame, "BLOCK_BYTES", 10)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("step", [1, 3, 10, 11, 100])
@pytest.mark.parametrize("size", [5, 6, 14, 15, 16, 25, 26])
def test_what_is_added_lies_in_pieces_in_order(size: int, step: int) -> None:
    wire = bytes(range(size))
    frame = LargeFrame(wire[:5], size, BlockPool())
    for start in range(5, size, step):
        assert frame.add(wire[start : start + step]) == len(wire[start : start + step])
        assert frame.received + frame.missing == size
    assert frame.missing == 0
    assert b"".join(frame.pieces) == wire
    assert len(frame.get_buffer()) == 0
    assert len(frame.blocks) == -(-(size - 5) // 10)


@pytest.mark.usefixtures("small_blocks")
def test_it_takes_no_more_than_its_own_and_room_is_never_more() -> None:
    frame = LargeFrame(b"12345", 18, BlockPool())
    assert len(frame.get_buffer()) == 10
    assert frame.add(b"6789") == 4
    assert len(frame.get_buffer()) == 6
    assert frame.get_buffer() is frame.get_buffer()
    buffer = frame.get_buffer()
    buffer[:6] = b"abcdef"
    assert frame.add(buffer) == 6
    assert len(frame.get_buffer()) == 3
    assert frame.add(b"ghi of the next") == 3
    assert frame.add(b"next") == 0
    assert b"".join(frame.pieces) == b"123456789abcdefghi"


@pytest.mark.usefixtures("small_blocks")
def test_what_lies_in_another_block_is_copied() -> None:
    pool = BlockPool()
    mine, others = LargeFrame(b"1", 9, pool), LargeFrame(b"2", 9, pool)
    mine.get_buffer()
    buffer = others.get_buffer()
    buffer[:8] = b"abcdefgh"
    assert mine.add(buffer) == 8
    buffer[:8] = b"changed!"
    assert b"".join(mine.pieces) == b"1abcdefgh"


# ---- memory ----


@pytest.fixture
def allocated() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("allocated")
def test_memory_is_never_more_than_a_block_beyond_what_was_received() -> None:
    size = 5 * MIB
    wire = memoryview(encode_frame(payload_of(size)[:size]))
    decoder = ConnectionDecoder(max_frame_length=size)
    before = tracemalloc.get_traced_memory()[0]
    beginning = bytes(wire[:LARGE_BYTES])
    decoder.receive_data(beginning)
    assert decoder.next_frame() is None
    received, rest = len(beginning), wire[LARGE_BYTES:]
    while rest:
        left = receive_into_buffer(decoder, rest, most=100_000)
        received += len(rest) - len(left)
        rest = left
        held = tracemalloc.get_traced_memory()[0] - before
        assert held <= received + BLOCK_BYTES + 10_000
    assert decoder.get_buffer() is None
    assert decoder.next_frame() == bytes(wire[4:])


@pytest.mark.usefixtures("allocated")
@pytest.mark.parametrize("received", [4, 1000, LARGE_BYTES - 1])
def test_a_frame_of_which_little_was_received_gets_no_block(received: int) -> None:
    decoder = ConnectionDecoder(max_frame_length=1 << 30)
    before = tracemalloc.get_traced_memory()[0]
    decoder.receive_data((1 << 30).to_bytes(4, "big") + bytes(received - 4))
    assert decoder.next_frame() is None
    assert decoder.get_buffer() is None
    assert tracemalloc.get_traced_memory()[0] - before < received + 10_000


def test_a_frame_that_is_there_gets_no_block() -> None:
    decoder = ConnectionDecoder()
    decoder.receive_data(encode_frame(bytes(LARGE_BYTES + 100)))
    assert decoder.get_buffer() is None


def test_frames_one_after_the_other_use_the_same_blocks() -> None:
    pool = BlockPool()
    size = 3 * MIB
    used: set[int] = set()
    for number in range(4):
        decoder = ConnectionDecoder(max_frame_length=size, pool=pool)
        wire = memoryview(encode_frame(payload_of(size, number)[:size]))
        decoder.receive_data(wire[: MIB // 2])
        assert decoder.next_frame() is None
        rest = wire[MIB // 2 :]
        while rest:
            buffer = decoder.get_buffer()
            assert buffer is not None
            used.add(id(buffer.obj))
            rest = receive_into_buffer(decoder, rest)
        assert decoder.next_frame() == bytes(wire[4:])
    assert len(used) == 3


# ---- in a server ----


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("handler", [echo, reply_with(as_it_is)])
async def test_the_connections_of_a_server_use_the_same_blocks(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splicing, "HAS_SPLICE", False)  # or what is echoed would lie in pipes
    size = 2 * MIB + MIB // 2
    listener = await listen()
    async with serving(handler, [listener], max_frame_length=size) as running:
        for number in range(6):
            client = await connect(listener)
            wire = encode_frame(payload_of(size, number)[:size])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, wire)
                assert await receive_exactly(client, len(wire)) == wire
            await client.aclose()
            # What is in use by nobody has been given back.
            assert 2 <= len(running.server._pool._free) <= 3


@pytest.mark.usefixtures("driver", "allocated")
@pytest.mark.parametrize("handler", [echo, reply_with(as_it_is)])
@pytest.mark.parametrize("has_splice", [splicing.HAS_SPLICE, False])
async def test_after_a_large_frame_an_idle_connection_holds_nothing_of_it(
    handler: Handler, has_splice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splicing, "HAS_SPLICE", has_splice)
    monkeypatch.setattr(large_frame, "_KEPT_BLOCKS", 0)  # as if so many connections had given theirs back
    size = 3 * MIB
    listener = await listen()
    async with serving(handler, [listener], max_frame_length=size):
        client = await connect(listener)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, encode_frame(bytes(size)))
                await receive_exactly(client, 4 + size)
            await trio.testing.wait_all_tasks_blocked()
        assert tracemalloc.get_traced_memory()[0] - before < MIB // 4
        await client.aclose()
