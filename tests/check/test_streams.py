"""The suite's own bytes: headers, frames, and streams and their shortest forms."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.check.client.finding import common_length
from trioecho.check.client.generator import Stream, random_garbage, random_stream, shortest
from trioecho.check.client.wire import Wire

WIRE = Wire()


WIRES = [
    Wire(1),
    Wire(2, "little"),
    WIRE,
    Wire(4, counts_header=True),
    Wire(8, "little", counts_header=True),
]


# ---- frames ----


@pytest.mark.parametrize(
    ("wire", "name", "header"),
    [
        (Wire(1), "u8", struct.pack(">B", 5)),
        (Wire(2, "little"), "u16le", struct.pack("<H", 5)),
        (Wire(), "u32be", struct.pack(">I", 5)),
        (Wire(4, counts_header=True), "u32be+header", struct.pack(">I", 9)),
        (Wire(8), "u64be", struct.pack(">Q", 5)),
    ],
)
def test_a_wire_writes_headers(wire: Wire, name: str, header: bytes) -> None:
    assert str(wire) == name
    assert wire.frame(b"hello") == header + b"hello"
    assert wire.largest_payload == 256**wire.header_bytes - 1 - (
        wire.header_bytes if wire.counts_header else 0
    )


@given(st.sampled_from(WIRES), st.lists(st.binary(max_size=60)), st.data())
def test_frames_are_split_where_they_were_joined(
    wire: Wire, payloads: list[bytes], data: st.DataObject
) -> None:
    stream = wire.frames(*payloads)
    cut = data.draw(st.integers(0, len(stream)))
    whole, rest = wire.split(stream[:cut])
    assert whole == payloads[: len(whole)]
    assert wire.frames(*whole) + rest == stream[:cut]
    assert wire.split(stream) == (payloads, b"")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_common_length(one: bytes, other: bytes) -> None:
    expected = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    assert common_length(one, other) == expected
    assert common_length(one, one + other) == len(one)


# ---- streams ----


@given(st.sampled_from(WIRES), st.integers(), st.integers(1, 300))
def test_a_stream_is_whole_frames_however_cut(wire: Wire, seed: int, longest: int) -> None:
    longest = min(longest, wire.largest_payload)
    stream = random_stream(random.Random(seed), wire, longest)
    assert b"".join(stream.pieces(wire)) == wire.frames(*stream.payloads)
    assert all(stream.pieces(wire))
    assert all(len(payload) <= longest for payload in stream.payloads)
    assert stream == random_stream(random.Random(seed), wire, longest)


@given(st.sampled_from(WIRES), st.integers())
def test_garbage_has_no_whole_frame(wire: Wire, seed: int) -> None:
    garbage = random_garbage(random.Random(seed), wire)
    assert wire.split(garbage) == ([], garbage)
    assert garbage == random_garbage(random.Random(seed), wire)


async def test_a_failing_stream_is_made_as_short_as_it_fails() -> None:
    async def fails(stream: Stream) -> bool:
        return len(stream.payloads) > 1

    found = await shortest(random_stream(random.Random(3), WIRE, 1000), WIRE, fails, most_tries=1000)
    assert found == Stream((b"", b""), ())


async def test_the_cut_that_matters_is_kept() -> None:
    async def fails(stream: Stream) -> bool:
        """A piece ends inside the payload of a frame of 20 bytes or more."""
        position = 0
        for payload in stream.payloads:
            start, position = position + 4, position + 4 + len(payload)
            if len(payload) >= 20 and any(start < cut < position for cut in stream.cuts):
                return True
        return False

    stream = Stream((b"x" * 50, b"y" * 100, b"z" * 10), (3, 60, 90, 165))
    found = await shortest(stream, WIRE, fails, most_tries=1000)
    assert [len(payload) for payload in found.payloads] == [20]
    assert found.cuts == (5,)
    assert str(found) == "a frame of 20 bytes, cut after byte 5"


async def test_the_search_for_the_shortest_has_an_end() -> None:
    tries = 0

    async def fails(stream: Stream) -> bool:
        nonlocal tries
        tries += 1
        return False

    await shortest(random_stream(random.Random(1), WIRE, 20_000), WIRE, fails, most_tries=10)
    assert tries == 10
