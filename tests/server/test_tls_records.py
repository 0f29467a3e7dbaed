"""A server and records of TLS that come in part: clocks and drains. The peer speaks TLS by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.processes import (
    SERVE_WITHOUT_REACTOR,
    in_one_process_and_slowly_in_two,
    server_process,
)
from tests.support.serving import each_handler, log_lines, serving
from tests.support.stopped import send_now, stopped
from tests.support.streams import MemoryListener, Stream, connect, listen, receive_all
from tests.support.tls import server_context, write_files
from tests.support.tls_by_hand import (
    TlsPeer,
    receive,
    receive_async,
    shake_hands,
    shake_hands_async,
)
from tests.support.wire import frame
from trioecho import FrameTimeoutError, Handler

IDLE_S, FRAME_S = 300, 60
LATE = f"was not complete {FRAME_S} s after it began (frame timeout): only a part of a TLS record has come"


async def open_peer(stream: trio.abc.Stream) -> TlsPeer:
    """Shake hands, and have one message echoed."""
    peer = TlsPeer()
    await shake_hands_async(peer, stream)
    await stream.send_all(peer.records(frame(b"one")))
    assert await receive_async(peer, stream, 7) in (frame(b"one"), frame(b"ONE"))
    return peer


async def ends_at(stream: Stream) -> float:
    await receive_all(stream)
    return trio.current_time()


# ---- in memory, where a task moves the bytes ----


@pytest.mark.parametrize("cut", [1, 5, 20, -1])
@each_handler
async def test_who_sends_a_part_of_a_record_is_under_the_frame_clock(
    handler: Handler, cut: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    async with serving(handler, listeners=[listener], ssl_context=server_context()) as running:
        stream = listener.connect()
        peer = await open_peer(stream)
        await trio.sleep(200)
        await stream.send_all(peer.records(frame(b"two"))[:cut])
        assert await ends_at(stream) == 200 + FRAME_S
        await running.drain()
    assert running.errors == {"frame_timeout": 1}
    [line] = log_lines(caplog)
    assert line.endswith(LATE)


async def test_a_part_of_a_record_that_comes_with_the_handshake_is_under_the_frame_clock(
    autojump_clock: MockClock,
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        stream, peer = listener.connect(), TlsPeer()
        await stream.send_all(peer.shake_hands())
        finished = b""
        while not peer.is_established:
            finished += peer.shake_hands(bytes(await stream.receive_some()))
        await stream.send_all(finished + peer.records(frame(b"one"))[:9])
        assert await ends_at(stream) == FRAME_S
        await running.drain()
    assert running.errors == {"frame_timeout": 1}


async def test_a_frame_does_not_hide_behind_parts_of_records(autojump_clock: MockClock) -> None:
    """Each record is completed in time, and has only the next byte of a frame in it."""
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        stream = listener.connect()
        peer = await open_peer(stream)
        async with trio.open_nursery() as nursery:

            async def trickle() -> None:
                wire = b"".join(peer.records(bytes([byte])) for byte in frame(bytes(200)))
                for start in range(0, len(wire), 13):
                    await stream.send_all(wire[start : start + 13])
                    await trio.sleep(7)

            nursery.start_soon(trickle)
            assert await ends_at(stream) == FRAME_S
            nursery.cancel_scope.cancel()
        await running.drain()
    assert running.errors == {"frame_timeout": 1}


async def test_who_takes_just_less_than_the_clock_is_echoed(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context(), idle_timeout_s=10) as running:
        stream = listener.connect()
        peer = await open_peer(stream)
        wire = peer.records(frame(b"two"))
        await stream.send_all(wire[:9])
        await trio.sleep(FRAME_S - 1)
        await stream.send_all(wire[9:])
        assert await receive_async(peer, stream, 7) == frame(b"two")
        assert await ends_at(stream) == FRAME_S - 1 + 10
        await running.drain()
    assert running.errors == {"idle_timeout": 1}
    assert running.messages == 2


# ---- over sockets, in the turns of a reactor ----


async def test_over_sockets_too(mock_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    listener = await listen()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        stream, other = await connect(listener), await connect(listener)
        async with stream, other:
            peer = await open_peer(stream)
            await stream.send_all(peer.records(frame(b"two"))[:-1])
            await open_peer(other)  # by then, that part has been received
            mock_clock.jump(FRAME_S - 1)
            await trio.testing.wait_all_tasks_blocked()
            assert running.server.connections == 2
            mock_clock.jump(1)
            assert await ends_at(stream) == FRAME_S
        at, cause = running.handler_ends[0]
        assert at == FRAME_S
        assert isinstance(cause, FrameTimeoutError)
        await running.drain()
    assert running.errors == {"frame_timeout": 1}
    [line] = log_lines(caplog)
    assert line.endswith(LATE)


@pytest.mark.parametrize("is_in_time", [True, False])
async def test_over_sockets_the_rest_that_has_arrived_counts_when_the_clock_has_run_out(
    is_in_time: bool, mock_clock: MockClock
) -> None:
    listener = await listen()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        stream, other = await connect(listener), await connect(listener)
        async with stream, other:
            peer = await open_peer(stream)
            wire = peer.records(frame(b"two"))
            await stream.send_all(wire[:9])
            await open_peer(other)
            rest = wire[9:] if is_in_time else wire[9:-1]
            await stopped(mock_clock, lambda: send_now(stream, rest), seconds=FRAME_S + 1)
            if is_in_time:
                assert await receive_async(peer, stream, 7) == frame(b"two")
            else:
                assert await ends_at(stream) == FRAME_S + 1
    assert running.errors == ({} if is_in_time else {"frame_timeout": 1})


# ---- the drain ----


@pytest.mark.parametrize("rest_at", [50, None])
async def test_a_drain_waits_for_the_rest_no_longer_than_the_frame_clock(
    rest_at: int | None, autojump_clock: MockClock
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context(), grace_s=1000) as running:
        stream = listener.connect()
        peer = await open_peer(stream)
        wire = peer.records(frame(b"two") + frame(b"three")[:5])
        await stream.send_all(wire[:9])
        await trio.sleep(20)
        running.server.drain()
        if rest_at is None:
            assert await ends_at(stream) == FRAME_S
        else:
            await trio.sleep(rest_at - 20)
            await stream.send_all(wire[9:])
            assert await receive_async(peer, stream, 7) == frame(b"two")
            await stream.send_all(peer.records(frame(b"three")[5:] + frame(b"four")[:5]))
            assert await receive_async(peer, stream, 100) == frame(b"three")
        await running.ended.wait()
    assert running.errors == ({"frame_timeout": 1} if rest_at is None else {})
    assert running.messages == (1 if rest_at is None else 3)


CLOCKS = ("--grace", "60s", "--idle-timeout", "1h")


@pytest.mark.parametrize("is_draining", [False, True])
@in_one_process_and_slowly_in_two
def test_the_command_ends_a_peer_that_stops_inside_a_record(
    command: tuple[str], is_draining: bool, tmp_path: Path
) -> None:
    _check_the_command(command, is_draining, tmp_path)


def test_without_an_epoll_too(tmp_path: Path) -> None:
    _check_the_command(SERVE_WITHOUT_REACTOR, False, tmp_path)


def _check_the_command(command: tuple[str, ...], is_draining: bool, folder: Path) -> None:
    files = write_files(folder)
    # A signal must come before the time is over, on a busy machine too.
    timeout_s = "5" if is_draining else "0.3"
    clocks = (*CLOCKS, "--frame-timeout", timeout_s)
    with server_process(*files.options, *clocks, command=command) as server, server.connect() as plain:
        peer = TlsPeer()
        shake_hands(peer, plain)
        plain.sendall(peer.records(frame(b"one")))
        assert receive(peer, plain, 7) == frame(b"one")
        plain.sendall(peer.records(frame(b"two"))[:-1])
        if is_draining:
            server.send_signal()
            assert "SIGTERM" in server.read_log_line()
        line = server.read_log_line()
        said = f"a frame was not complete {timeout_s} s after it began (frame timeout): only a part of a TLS"
        assert said in line
        assert receive(peer, plain, 1) == b""
        assert (server.wait() if is_draining else server.stop()) == 0
    assert server.reports[-1]["errors"] == {"frame_timeout": 1}
    assert server.reports[-1]["messages_total"] == 1
