"""How `serve_frames` accepts: places, and what happens when accepting fails."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.serving import log_lines, serving
from tests.support.streams import MemoryListener, is_echoed, receive_all, receive_exactly
from tests.support.wire import frame

# ---- places ----


async def test_when_full_it_stops_accepting_and_goes_on_when_a_place_is_free(
    autojump_clock: MockClock,
) -> None:
    async with serving(max_connections=2) as running:
        clients = [running.listener.connect() for _ in range(5)]
        for client in clients:
            await client.send_all(frame(b"one"))
        for served in range(2, 6):
            await trio.testing.wait_all_tasks_blocked()
            assert running.listener.accepted == served
            assert running.server.connections == 2
            assert await receive_exactly(clients[served - 1], 7) == frame(b"one")
            if served < 5:
                await clients[served - 2].aclose()
        for client in clients:
            await client.aclose()
    assert running.messages == 5


@pytest.mark.parametrize("most", [0, 3])
async def test_zero_is_no_limit_of_connections(most: int, autojump_clock: MockClock) -> None:
    async with serving(max_connections=most) as running:
        for _ in range(10):
            running.listener.connect()
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == (most or 10)


async def test_connections_of_two_listeners_have_their_turn_when_only_one_place_is_free(
    autojump_clock: MockClock,
) -> None:
    listeners = [MemoryListener(), MemoryListener()]
    async with serving(listeners=listeners, max_connections=1) as running:
        await trio.testing.wait_all_tasks_blocked()
        clients = [listener.connect() for listener in listeners for _ in range(2)]
        for client in clients:
            await client.send_all(frame(b"one"))
            await client.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        for client in clients:
            assert await receive_all(client) == frame(b"one")
        await running.drain()
    assert running.messages == 4


async def test_a_connection_that_waits_for_a_place_is_closed_when_the_server_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    listeners = [MemoryListener(), MemoryListener()]
    async with serving(listeners=listeners, max_connections=1) as running:
        await trio.testing.wait_all_tasks_blocked()
        clients = [listener.connect() for listener in listeners]
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == 1
        running.cancel_scope.cancel()
        for client in clients:
            assert await receive_all(client) == b""


# ---- accepting that fails ----


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_short_of_resources_it_waits_and_serves_on(
    number: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as running:
        before = running.listener.connect()
        assert await is_echoed(before, b"before")
        running.listener.fail_with(OSError(number, "the machine is short of something"))
        client = running.listener.connect()
        assert await is_echoed(before, b"meanwhile")
        assert await is_echoed(client, b"after")
        assert trio.current_time() == 0.1
        await running.drain()
    assert running.errors == {"accept_failed": 1}
    [line] = log_lines(caplog)
    assert line.startswith("cannot accept: the machine is short of something; trying again every 100 ms")


async def test_a_shortage_that_lasts_is_a_line_every_ten_seconds(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as running:
        for number in [errno.EMFILE] * 50 + [errno.ENOBUFS] * 100 + [errno.EMFILE] * 100:
            running.listener.fail_with(OSError(number, errno.errorcode[number]))
        assert await is_echoed(running.listener.connect(), b"after")
        assert trio.current_time() == pytest.approx(25)
        await running.drain()
    assert running.errors == {"accept_failed": 250}
    named = [line.split()[2] for line in log_lines(caplog)]
    assert named == ["EMFILE;", "ENOBUFS;", "EMFILE;"]


async def test_any_other_failure_to_accept_ends_the_server(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="not mendable"), flatten_subgroups=True):
        async with serving() as running:
            client = running.listener.connect()
            assert await is_echoed(client, b"before")
            running.listener.fail_with(OSError(errno.EBADF, "not mendable"))
            await trio.sleep_forever()
    assert running.listener.is_closed
    assert [report.final for report in running.reports] == [True]
    assert running.messages == 1
    assert running.errors == {"aborted": 1}
