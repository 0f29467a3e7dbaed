"""The proxy between real sockets, in one process: how connections end, and what ends none."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import trio
import trio.testing

from tests.support.faults import of_frames
from tests.support.guard import GUARD_S, guarded
from tests.support.serving import log_lines
from tests.support.sockets import LOOPBACK
from tests.support.streams import connect, listen, port_of, receive_exactly, reset
from tests.support.wire import frame, frames
from trioecho.proxy import Direction, Faults, FrameFault, ProxyCounts, relay_connections

STALL = of_frames(FrameFault.STALL, on_frame=2)
# Of Linux: bytes that were not sent yet.
SIOCOUTQNSD = 0x894B
HIDE = Faults(delay_s=(0.001, 0.001))
CLIENT, SERVER = "client", "server"


@dataclass
class Relaying:
    """A proxy that runs.

    Attributes:
      entrance: where clients connect to.
      server: a listener, to which it connects.
      counts: those of the proxy.
    """

    entrance: trio.SocketListener
    server: trio.SocketListener
    counts: ProxyCounts

    async def pair(self) -> tuple[trio.SocketStream, trio.SocketStream]:
        """A client, and the server's end of its connection."""
        client = await connect(self.entrance)
        return client, await self.server.accept()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - it is the proxy's, and tells nobody
            await trio.sleep(0.001)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.proxy.proxied_connection.GIVE_UP_S", 0.05)


@contextlib.asynccontextmanager
async def relaying(*, buffer: int | None = None, **options: Any) -> AsyncIterator[Relaying]:
    counts = ProxyCounts()
    entrance, server = await listen(buffer=buffer), await listen(buffer=buffer)
    with guarded():
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await relay_connections([entrance], LOOPBACK, port_of(server), counts=counts, **options)

            nursery.start_soon(run)
            async with server:
                yield Relaying(entrance, server, counts)
                nursery.cancel_scope.cancel()
        assert counts.open_connections == 0


async def is_reset(stream: trio.SocketStream) -> bool:
    """Whether a connection ends with a reset, after whatever comes before."""
    try:
        while await stream.receive_some(1 << 20):
            pass
    except trio.BrokenResourceError:
        return True
    return False


async def fill(stream: trio.SocketStream) -> None:
    """Send until nothing more is taken."""
    with pytest.raises(trio.TooSlowError):
        with trio.fail_after(0.2):
            await stream.send_all(frame(bytes(1 << 16)) * 1000)


async def fill_for_good(stream: trio.SocketStream) -> None:
    """Send until nothing more is taken and nothing is on its way.

    A receiver without room drops what is on its way, and then does not heed a reset behind it,
    which is not where it expects the next byte (RFC 9293, 3.10.7.4).
    """
    while True:
        await fill(stream)
        if sys.platform != "linux":
            return
        unacknowledged, unsent = (
            struct.unpack("i", fcntl.ioctl(stream.socket.fileno(), request, bytes(4)))[0]
            for request in (termios.TIOCOUTQ, SIOCOUTQNSD)
        )
        if unsent and unsent == unacknowledged:
            return


@pytest.fixture(params=["watched", "not watched"])
def watching(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system tells who leaves, and where it does not."""
    if request.param == "not watched":
        monkeypatch.setattr("trioecho.proxy.relay.open_leave_watch", lambda: None)


# ---- who leaves ----


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("who", [CLIENT, SERVER])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.usefixtures("watching")
async def test_who_leaves_in_a_stall_is_noticed(
    how: Literal["end", "reset"], who: Literal["client", "server"], direction: Direction
) -> None:
    faults: dict[str, Any] = {"to_server" if direction is Direction.TO_SERVER else "to_client": STALL}
    async with relaying(**faults) as proxy:
        client, server = await proxy.pair()
        source, sink = (client, server) if direction is Direction.TO_SERVER else (server, client)
        await source.send_all(frames(b"one", b"two", b"three"))
        assert await receive_exactly(sink, 7) == frame(b"one")
        await proxy.until(lambda: proxy.counts.faults["stalled"] == 1)
        leaving, staying = (client, server) if who == CLIENT else (server, client)
        if how == "reset":
            reset(leaving)
        else:
            await leaving.send_eof()
        # An end of the stream that is still passed on is seen before the reset.
        assert await is_reset(staying) or (how == "end" and leaving is sink)
        await proxy.until(lambda: not proxy.counts.open_connections)
        await staying.aclose()
        await leaving.aclose()


async def test_who_leaves_in_a_stall_is_noticed_behind_bytes_that_nobody_has_read() -> None:
    async with relaying(to_server=STALL) as proxy:
        client, server = await proxy.pair()
        await client.send_all(frames(b"one", b"two"))
        await proxy.until(lambda: proxy.counts.faults["stalled"] == 1)
        await fill(client)
        reset(client)
        assert await is_reset(server)
        await server.aclose()
        client, server = await proxy.pair()
        await client.send_all(frames(b"one", b"two"))
        await proxy.until(lambda: proxy.counts.faults["stalled"] == 2)
        await client.send_all(bytes(10_000))
        await client.aclose()
        assert await is_reset(server)
        await server.aclose()


async def test_a_sender_in_a_stall_feels_it() -> None:
    async with relaying(to_server=STALL, buffer=4096) as proxy:
        client, server = await proxy.pair()
        await client.send_all(frames(b"one", b"two"))
        await proxy.until(lambda: proxy.counts.faults["stalled"] == 1)
        await fill(client)
        assert proxy.counts.open_connections == 1
        await client.aclose()
        await server.aclose()


async def test_a_stall_that_nobody_leaves_lasts_and_the_other_direction_goes_on() -> None:
    async with relaying(to_server=STALL) as proxy:
        client, server = await proxy.pair()
        await client.send_all(frames(b"one", b"two"))
        await proxy.until(lambda: proxy.counts.faults["stalled"] == 1)
        for number in range(10):
            await server.send_all(b"%d" % number)
            assert await client.receive_some() == b"%d" % number
            await trio.sleep(0.01)
        await server.send_eof()  # it has left, and is heard to the end
        assert await is_reset(client) or True
        await client.aclose()
        await server.aclose()


@pytest.mark.parametrize("faults", [Faults(), HIDE], ids=["plain", "faulty"])
async def test_a_reset_reaches_a_server_that_takes_nothing(faults: Faults) -> None:
    async with relaying(to_server=faults, to_client=faults, buffer=4096) as proxy:
        client, server = await proxy.pair()
        await fill_for_good(client)
        reset(client)
        await proxy.until(lambda: not proxy.counts.open_connections)
        assert await is_reset(server)
        await server.aclose()


@pytest.mark.parametrize("faults", [Faults(), HIDE], ids=["plain", "faulty"])
async def test_a_reset_after_a_half_close_is_passed_on_at_once(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioecho.proxy.proxied_connection.GIVE_UP_S", 10 * GUARD_S)
    async with relaying(to_server=faults, to_client=faults) as proxy:
        client, server = await proxy.pair()
        await client.send_all(b"all")
        await client.send_eof()
        assert await receive_exactly(server, 3) == b"all"
        assert await server.receive_some() == b""
        reset(client)
        await proxy.until(lambda: not proxy.counts.open_connections)
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"too late")
        await server.aclose()


@pytest.mark.parametrize("faults", [Faults(), HIDE], ids=["plain", "faulty"])
async def test_last_words_before_a_reset_arrive_although_more_was_being_sent(faults: Faults) -> None:
    async with relaying(to_server=faults, to_client=faults) as proxy:
        for _ in range(10):
            client, server = await proxy.pair()
            await fill(client)
            await server.send_all(b"last words")
            reset(server)
            assert await receive_exactly(client, 10) == b"last words"
            assert await is_reset(client)
            await client.aclose()


# ---- what ends no other connection, and not the proxy ----


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.EMFILE, "Too many open files"),
            "cannot connect to the server: this machine is short of something: Too many open files "
            "(raise the limit of open files, or lower max_connections)",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            "cannot connect to the server: connection refused: does the server run, and on this port?",
        ),
        (
            UnicodeError("label too long"),
            "cannot connect to the server: the host is not known (label too long)",
        ),
        (trio.TooSlowError(), "cannot connect to the server: no reply within 10 s"),
        (RuntimeError("unexpected"), "ended by an unexpected error: RuntimeError"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_connection_that_cannot_be_made_is_reset_and_says_why(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(host: str, port: int) -> trio.SocketStream:
        raise error

    async with relaying() as proxy:
        client, server = await proxy.pair()
        with monkeypatch.context() as patch:
            patch.setattr("trioecho.proxy.relay.open_stream", fail)
            failing = await connect(proxy.entrance)
            assert await is_reset(failing)
        assert log_lines(caplog) == [f"connection 2: {words}"]
        await client.send_all(b"still here")
        assert await receive_exactly(server, 10) == b"still here"
        for stream in (client, server, failing):
            await stream.aclose()


async def test_an_error_in_a_connection_ends_it_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with relaying(to_server=of_frames(FrameFault.DROP, on_frame=2)) as proxy:
        first, first_server = await proxy.pair()
        second, server = await proxy.pair()
        with monkeypatch.context() as patch:
            patch.setattr("trioecho.proxy.fault_stream.FaultStream.receive", lambda self, data: 1 / 0)
            await first.send_all(frame(b"x"))
            assert await is_reset(first)
            await proxy.until(lambda: proxy.counts.open_connections == 1)
        [line] = log_lines(caplog)
        assert line.startswith("connection 1: ended by an unexpected error")
        await second.send_all(frame(b"x"))
        assert await receive_exactly(server, 5) == frame(b"x")
        for stream in (first, first_server, second, server):
            await stream.aclose()


async def test_no_more_connections_than_may_be_are_accepted() -> None:
    async with relaying(max_connections=2) as proxy:
        pairs = [await proxy.pair() for _ in range(2)]
        third = await connect(proxy.entrance)
        await third.send_all(b"third")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert proxy.counts.connections == 2
        for client, server in pairs[:1]:
            await client.aclose()
            await server.aclose()
        server = await proxy.server.accept()
        assert await receive_exactly(server, 5) == b"third"
        for stream in (third, server, *pairs[1]):
            await stream.aclose()


# ---- what is told ----


async def test_faults_are_told_twenty_times_a_second_and_all_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with relaying(to_server=of_frames(FrameFault.DROP)) as proxy:
        client, server = await proxy.pair()
        await client.send_all(frame(b"x") * 1000)
        await client.send_eof()
        assert await server.receive_some() == b""
        assert proxy.counts.faults == {"dropped": 1000}
        await client.aclose()
        await server.aclose()
    lines = log_lines(caplog)
    assert lines[0] == "connection 1, to-server: frame 1 is dropped"
    assert len(lines) < 1000 / 2
    assert any("more lines like these" in line for line in lines)


async def test_what_has_passed_is_counted_to_the_byte() -> None:
    async with relaying(to_client=HIDE) as proxy:
        for _ in range(2):
            client, server = await proxy.pair()
            await client.send_all(bytes(100_000))
            assert len(await receive_exactly(server, 100_000)) == 100_000
            await server.send_all(b"reply")
            assert await receive_exactly(client, 5) == b"reply"
            await client.aclose()
            await server.aclose()
        await proxy.until(lambda: not proxy.counts.open_connections)
        assert proxy.counts == ProxyCounts(
            connections=2,
            passed_bytes=proxy.counts.passed_bytes,
        )
        assert proxy.counts.passed_bytes == {Direction.TO_SERVER: 200_000, Direction.TO_CLIENT: 10}


# ---- the time of a connection ----


@pytest.mark.parametrize(
    "faults", [{"to_server": Faults(reset_after_s=0.05)}, {"to_client": Faults(reset_after_s=0.05)}]
)
async def test_a_connection_is_reset_when_its_time_is_over(
    faults: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with relaying(**faults) as proxy:
        client, server = await proxy.pair()
        assert await is_reset(client)
        assert await is_reset(server)
        await proxy.until(lambda: not proxy.counts.open_connections)
        assert proxy.counts.faults == {"reset": 1}
        await client.aclose()
        await server.aclose()
    [line] = log_lines(caplog)
    assert line.startswith("connection 1: it is reset after ")
