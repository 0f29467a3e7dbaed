"""Whom a case blames when a good connection breaks off meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.support.guard import guarded
from trioecho.check.client.finding import Deviation, Kind
from trioecho.check.client.probe import Probe
from trioecho.check.client.settings import Settings
from trioecho.faulty.honest import ClientSocket, EchoServer


class EndsIdleOnes(EchoServer):
    """Ends a connection on which nothing comes for 0.2 s."""

    def read_header(self, connection: ClientSocket) -> bytes | None:
        return super().read_header(connection) if connection.wait_readable(0.2) else None


async def break_off(probe: Probe) -> None:
    async with probe.bystander("dies-on-reset"):
        raise Deviation(Kind.END, "an echo", "the server ended the connection")


async def break_off_of_idleness(probe: Probe) -> None:
    async with probe.bystander("dies-on-reset"):
        for _ in range(2):
            async with probe.connect() as peer:
                assert await peer.receive() is Kind.END
        raise Deviation(Kind.END, "an echo", "the server ended the connection")


@pytest.mark.parametrize(
    ("server_class", "tried", "blamed"),
    [
        (EchoServer, break_off, "dies-on-reset"),
        (EndsIdleOnes, break_off_of_idleness, "short-idle-timeout"),
    ],
)
async def test_a_connection_that_was_idle_for_too_long_was_harmed_by_nobody(
    server_class: type[EchoServer], tried: Callable[[Probe], Awaitable[None]], blamed: str
) -> None:
    server = server_class()
    probe = Probe("5.4", server.address, Settings(), patience_s=5.0)
    with guarded():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, server.serve)
            try:
                with pytest.raises(Deviation) as raised:
                    await tried(probe)
            finally:
                server.stop()
    assert raised.value.cause_id == blamed
