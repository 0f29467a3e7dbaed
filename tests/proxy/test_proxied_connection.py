"""A connection through the proxy, and what the watch reports of its sides at its end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest
import trio
import trio.testing

from tests.support.guard import guarded
from trioecho.connection.transport import SocketTransport
from trioecho.proxy.leave_watch import LeaveWatch, OnLeft
from trioecho.proxy.proxied_connection import ProxiedConnection
from trioecho.proxy.pump import Pump, PumpEnd, Side


class NotingWatch(LeaveWatch):
    """Keeps what it is to call, also after its end, as one that reports late.

    Attributes:
      on_left: what was to be called, of each side.
      watched: the sockets that are watched.
    """

    def __init__(self) -> None:
        self.on_left: list[OnLeft] = []
        self.watched: set[socket.socket] = set()

    def watch(self, sock: socket.socket, on_left: OnLeft) -> None:
        self.on_left.append(on_left)
        self.watched.add(sock)

    def unwatch(self, sock: socket.socket) -> None:
        assert sock.fileno() >= 0, "a closed socket cannot be found in the watch"
        self.watched.remove(sock)


class OrderedPump(Pump):
    """Ends as it was told, or never."""

    def __init__(self, source: Side, sink: Side, end: PumpEnd | None) -> None:
        super().__init__(source, sink, lambda _: None)
        self._end = end

    async def run(self) -> PumpEnd:
        await trio.lowlevel.checkpoint()
        if self._end is None:
            await trio.sleep_forever()
        assert self._end is not None
        return self._end


class ReportingSide(Side):
    """Of which the watch reports a reset while it is closed."""

    def __init__(self, plain: socket.socket, watch: NotingWatch) -> None:
        super().__init__(SocketTransport(plain))
        self._watch = watch

    async def aclose(self) -> None:
        assert not self._watch.watched
        for on_left in self._watch.on_left:
            on_left(True)
        await super().aclose()


@pytest.fixture
def watch() -> NotingWatch:
    return NotingWatch()


@pytest.fixture
def connection(watch: NotingWatch) -> Iterator[ProxiedConnection]:
    pairs = [socket.socketpair() for _ in range(2)]
    client, server = (ReportingSide(ours, watch) for ours, _ in pairs)
    yield ProxiedConnection(client, server, watch)
    for pair in pairs:
        for each in pair:
            each.close()


def pumps(connection: ProxiedConnection, end: PumpEnd | None) -> tuple[Pump, Pump]:
    client, server = connection.client, connection.server
    return OrderedPump(client, server, end), OrderedPump(server, client, end)


@pytest.mark.parametrize("end", [PumpEnd.ENDED, PumpEnd.RESET, PumpEnd.SINK_LOST])
async def test_a_report_after_the_end_changes_nothing(
    end: PumpEnd, connection: ProxiedConnection, watch: NotingWatch
) -> None:
    with guarded():
        await connection.run(*pumps(connection, end))
    assert not watch.watched
    assert len(watch.on_left) == 2
    for on_left in watch.on_left:
        on_left(True)


async def test_a_report_after_a_cancellation_changes_nothing(
    connection: ProxiedConnection, watch: NotingWatch
) -> None:
    with guarded(), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(connection.run, *pumps(connection, None)))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert not watch.watched
    for on_left in watch.on_left:
        on_left(True)
