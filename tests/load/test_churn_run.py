"""Connections that come and go, on real sockets: a server that counts, resets, stops and starts again."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from tests.support.guard import guarded
from tests.support.processes import ServerProcess, server_process
from tests.support.wire import frame as framed
from tests.support.wire import split_frames
from trioecho.base.message import Message
from trioecho.base.resets import reset_at_close
from trioecho.load import (
    Churn,
    LoadPlan,
    LoadProgress,
    LoadResult,
    LoadRun,
    MessageList,
    ServiceTraits,
    Span,
    result_as_json,
    result_from_json,
    run_load,
)

# What becomes of a message that was sent and not replied to right.
ENDS = ("lost", "missing", "torn", "late")


class CountingServer:
    """Echoes frame by frame, in a thread for each connection, and may reset it before a reply.

    Attributes:
      port: where it listens.
      received, replied: how many frames were.
      connections: how many were accepted.
      peers: the addresses that they came from.
      replies: to payloads, which come once each in the place of an echo.
    """

    def __init__(self, *, deaths: random.Random | None = None, share: float = 0.0) -> None:
        self.received = self.replied = self.connections = 0
        self.peers: set[str] = set()
        self.replies: dict[bytes, list[bytes]] = {}
        self._deaths, self._share = deaths, share
        self._lock = threading.Lock()
        self._listener = socket.create_server(("", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, address = self._listener.accept()
                with self._lock:
                    self.connections += 1
                    self.peers.add(address[0])
                self._sockets.append(peer)
                self._threads.append(threading.Thread(target=self._serve, args=(peer,)))
                self._threads[-1].start()

    def _serve(self, peer: socket.socket) -> None:
        received = b""
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(1 << 16):
                frames, received = split_frames(received + data)
                for frame in frames:
                    if not self._echo(peer, frame):
                        return

    def _echo(self, peer: socket.socket, frame: bytes) -> bool:
        with self._lock:
            self.received += 1
            dies = self._deaths is not None and self._deaths.random() < self._share
        if dies:
            reset_at_close(peer)
            return False
        with self._lock:
            others = self.replies.get(frame[4:])
            reply = others.pop() if others else frame[4:]
        peer.sendall(framed(reply))
        with self._lock:
            self.replied += 1
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for peer in self._sockets:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def counting(**options: Any) -> Iterator[CountingServer]:
    server = CountingServer(**options)
    try:
        yield server
    finally:
        server.close()


def plan_for(server: CountingServer, churn: Churn, **changes: Any) -> LoadPlan:
    return LoadPlan("127.0.0.1", server.port, churn=churn, **{"connections": 4, **changes})


def assert_counts_agree(result: LoadResult, server: CountingServer) -> None:
    assert result.sent == result.messages + sum(result.errors.get(kind, 0) for kind in ENDS)
    # What was replied just before a reset may not have arrived.
    assert result.messages <= server.replied <= server.received <= result.sent
    assert server.connections == result.connections_opened + result.churn.renewed
    assert result.connect_ns.count == server.connections
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)


@pytest.mark.usefixtures("poller")
@pytest.mark.parametrize("mode", [{}, {"pipeline": 5}, {"rate": 2000.0}], ids=["closed", "pipeline", "open"])
async def test_counts_agree_with_a_server_that_resets_at_random(mode: dict[str, Any]) -> None:
    with counting(deaths=random.Random(7), share=0.02) as server, guarded():
        plan = plan_for(server, Churn(reconnect=True), messages=150, **mode)
        result = await run_load(plan, is_cautious=False)
    assert_counts_agree(result, server)
    assert (result.due, result.unsent) == (600, 0)
    assert server.received - server.replied <= result.errors["lost"]
    # With the last message of a connection lost, none is opened in its place.
    assert 0 <= result.errors["connection_lost"] - result.churn.renewed <= 4
    assert 0 <= result.churn.outage_ns.count - result.churn.renewed <= 4
    assert set(result.errors) <= {"lost", "connection_lost", "torn"}


@pytest.mark.parametrize("processes", [1, 2])
async def test_every_connection_has_its_messages_in_all_processes(processes: int) -> None:
    with counting() as server, guarded():
        plan = plan_for(
            server, Churn(per_connection=Span(1, 9)), messages=60, connections=3, processes=processes
        )
        result = await run_load(plan)
    assert_counts_agree(result, server)
    assert (result.messages, result.errors) == (180, {})
    assert result.churn.ended == result.churn.renewed >= 3 * (60 // 9 - 1)
    assert result.churn.first_reply_ns.count == server.connections


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
async def test_connections_come_from_several_addresses_in_turns() -> None:
    sources = ("127.0.0.2", "127.0.0.3")
    with counting() as server, guarded():
        churn = Churn(per_connection=Span(5, 5), sources=sources, connect_rate=1000.0)
        result = await run_load(plan_for(server, churn, messages=20))
    assert server.peers == set(sources)
    assert result.messages == 80
    assert result.churn.attempt_lateness_ns.count == server.connections


@pytest.mark.parametrize("reply", [None, b"other"], ids=["right", "refused"])
async def test_first_messages_are_exchanged_on_later_connections_too(reply: bytes | None) -> None:
    login = MessageList("login.jsonl", [Message(b"user"), Message(b"password", reply)])
    with counting() as server, guarded():
        if reply is not None:  # which the first connections take for right, and later ones do not get
            server.replies[b"password"] = [reply] * 4
        churn = Churn(per_connection=Span(5, 5))
        plan = plan_for(server, churn, messages=20, service=ServiceTraits(login.source))
        result = await run_load(plan, first_messages=login)
    if reply is None:
        assert (result.messages, result.errors, result.churn.renewed) == (80, {}, 12)
        assert server.received == 80 + 2 * server.connections
        assert result.connect_ns.count == server.connections == 16
    else:
        assert result.errors == {"first_message_failed": 4, "connect_failed": 4, "unsent": 60}
        [reason] = result.churn.failed_attempts
        assert "sent a wrong reply to first message 2 of login.jsonl" in reason


def restart(server: ServerProcess, stack: contextlib.ExitStack) -> ServerProcess:
    """Let a server drain, and start another one in its place."""
    assert server.stop() == 0
    return stack.enter_context(server_process(port=server.port))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize("mode", [{}, {"rate": 300.0}], ids=["closed", "open"])
async def test_a_rolling_restart_loses_no_message(mode: dict[str, Any]) -> None:
    seen = 0
    wanted: list[tuple[int, trio.Event]] = []

    def on_progress(progress: LoadProgress) -> None:
        nonlocal seen
        seen = progress.messages
        for at, event in wanted:
            if seen >= at and progress.connections == 5:
                event.set()

    async def messages(more: int) -> None:
        wanted.append((seen + more, trio.Event()))
        await wanted[-1][1].wait()

    with contextlib.ExitStack() as stack, guarded():
        servers = [stack.enter_context(server_process())]
        plan = LoadPlan("127.0.0.1", servers[0].port, churn=Churn(reconnect=True), duration_s=600.0, **mode)
        run = LoadRun(plan, on_progress=on_progress, progress_interval_s=0.01)

        async def roll() -> None:
            await messages(100)
            servers.append(await trio.to_thread.run_sync(restart, servers[-1], stack))
            await messages(100)
            run.stop()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(roll)
            result = await run.run()
        assert servers[-1].stop() == 0
    assert result.errors == {}
    assert result.messages == result.due
    # What a server received it has replied to, and what it has replied to has come.
    assert result.messages == sum(server.reports[-1]["messages_total"] for server in servers)
    assert result.churn.renewed == 5
    [outage] = result.churn.outages
    assert 0 < outage.start_s < outage.end_s < result.elapsed_s
    assert (outage.connections, outage.is_over) == (5, True)
