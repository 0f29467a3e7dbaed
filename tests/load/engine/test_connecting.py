"""How a load opens its connections: not so many at a time that a server's queue overflows."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trioecho.load.engine.connecting import open_connections
from trioecho.load.plan import LoadPlan


@pytest.mark.parametrize(("processes", "most"), [(1, 64), (2, 32), (5, 12), (64, 1), (100, 1)])
async def test_all_processes_together_make_64_attempts_at_a_time(
    processes: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    attempts = 0
    with trio.socket.socket() as any_socket:
        socket_class = type(any_socket)
    connect = socket_class.connect

    async def counting(self: trio.socket.SocketType, address: object) -> None:
        nonlocal attempts
        attempts += 1
        await trio.testing.wait_all_tasks_blocked()  # until all have begun that may
        at_once.append(attempts)
        try:
            await connect(self, address)
        finally:
            attempts -= 1

    monkeypatch.setattr(socket_class, "connect", counting)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        plan = LoadPlan("127.0.0.1", port, connections=1000, processes=processes)
        opened = await open_connections(plan, 300, 100)
        opened.close()
    assert max(at_once) == most
    assert sorted(opened.sockets) == list(range(300, 400))
    assert (opened.failures, opened.connect_ns.count) == ({}, 100)
