"""What the scripted server makes of a client's bytes, however they come."""

from __future__ import annotations

import itertools
import socket

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.support.guard import guarded
from trioecho.check.client.finding import Kind
from trioecho.check.client.peer_socket import PeerSocket
from trioecho.check.client.transcript import Transcript
from trioecho.check.client.wire import Wire
from trioecho.check.clients.frames_seen import words_of_bytes
from trioecho.check.clients.served import Served

WIRE = Wire()


def served(wire: Wire = WIRE, *, is_narrow: bool = False) -> tuple[Served, trio.socket.SocketType]:
    ours, its = trio.socket.socketpair()
    return Served(PeerSocket(ours), wire, Transcript(), 1, is_narrow=is_narrow), its


@given(
    payloads=st.lists(st.binary(max_size=200) | st.integers(4000, 9000).map(bytes), max_size=6),
    rest=st.binary(max_size=3),
    cuts=st.lists(st.integers(0, 20_000), max_size=6),
)
async def test_frames_are_taken_however_they_come(
    payloads: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    data = WIRE.frames(*payloads) + rest
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    async with trio.open_nursery() as nursery:
        connection, its = served()
        nursery.start_soon(connection.take_frames)
        for start, end in itertools.pairwise(places):
            await its.send(data[start:end])
        its.close()
        taken = []
        while (payload := await connection.next_frame()) is not None:
            taken.append(payload)
        await connection.has_ended.wait()
    connection.release()
    assert (taken, connection.rest) == (payloads, rest)
    assert (connection.frames, connection.received_bytes) == (len(payloads), len(data))
    assert connection.ending is Kind.END


async def test_a_batch_ends_where_nothing_more_comes() -> None:
    with guarded():
        async with trio.open_nursery() as nursery:
            connection, its = served()
            nursery.start_soon(connection.take_frames)
            await its.send(WIRE.frames(b"one", b"two", b"three"))
            assert await connection.next_batch(0.05) == [b"one", b"two", b"three"]
            its.shutdown(socket.SHUT_WR)
            assert await connection.next_batch(60) == []
        its.close()
        connection.release()


async def test_a_narrow_server_takes_nothing_before_its_script_does() -> None:
    with guarded():
        async with trio.open_nursery() as nursery:
            connection, its = served(is_narrow=True)
            nursery.start_soon(connection.take_frames)
            await its.send(WIRE.frames(b"one", b"two"))
            await trio.testing.wait_all_tasks_blocked()
            assert connection.frames == 1
            assert [await connection.next_frame(), await connection.next_frame()] == [b"one", b"two"]
            its.close()
        connection.release()


@pytest.mark.parametrize(
    ("data", "cause_id", "words"),
    [
        (Wire(4, "little").frames(b"hello", b"you"), "client-sends-other-frames", "frames of --format u32le"),
        (Wire(2).frames(b"hello"), "client-sends-other-frames", "frames of --format u16be"),
        (Wire(4, "big", counts_header=True).frames(b"hello"), "client-sends-other-frames", "u32be+header"),
        (b"GET / HTTP/1.1\r\n\r\n", "client-sends-text", "this is an HTTP request"),
        (b"hello server\n", "client-sends-text", "this is text, without a header"),
        (b"\xff\xfe\xfd\xfc\xfb", "client-sends-other-frames", r"\xff\xfe\xfd\xfc\xfb"),
    ],
)
def test_what_is_no_frame_is_explained(data: bytes, cause_id: str, words: str) -> None:
    found, said = words_of_bytes(data, WIRE)
    assert found == cause_id
    assert words in said
