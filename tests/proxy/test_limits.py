"""At most so many clients, and so many bytes: what becomes of those beyond, and what is counted."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.support.guard import guarded
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.proxies import proxy_process
from tests.support.sockets import receive_all, receive_exactly
from tests.support.wire import frame
from trioecho.proxy import Direction, Faults, FaultStream, FrameRule, ProxyRequestError, Send, read_proxy
from trioecho.proxy.connection_limits import ConnectionLimits
from trioecho.proxy.counts import ByteCount
from trioecho.proxy.faults import Cut
from trioecho.testing import FaultProxy, ProxyClient, open_fault_proxy

PROXY = {"name": "one", "target": "127.0.0.1:9"}


@asynccontextmanager
async def proxied_echo(**options: Any) -> AsyncIterator[FaultProxy]:
    """A proxy before a server that echoes bytes."""

    async def echo(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async for data in stream:
                await stream.send_all(data)

    with guarded():
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, echo, listeners)
            address: tuple[str, int] = listeners[0].socket.getsockname()
            async with open_fault_proxy(address, **options) as proxy:
                yield proxy
            nursery.cancel_scope.cancel()


async def is_served(stream: trio.SocketStream, data: bytes = b"hello") -> bool:
    """Whether it is echoed, and not reset."""
    received = b""
    try:
        await stream.send_all(data)
        while len(received) < len(data):
            part = await stream.receive_some()
            if not part:
                return False
            received += part
    except trio.BrokenResourceError:
        return False
    return received == data


async def connect(proxy: FaultProxy) -> trio.SocketStream:
    return await trio.open_tcp_stream(*proxy.address)


async def is_next_served(proxy: FaultProxy) -> bool:
    """Whether one more client is echoed, and not reset, which it may be while it still connects."""
    try:
        client = await connect(proxy)
    except OSError:
        return False
    async with client:
        return await is_served(client)


async def until_open(proxy: FaultProxy, count: int) -> None:
    while proxy.counters().open_connections != count:  # noqa: ASYNC110 - the proxy tells nobody
        await trio.sleep(0.001)


# ---- connections ----


async def test_one_more_client_is_reset_and_counted_until_another_ends() -> None:
    async with proxied_echo(max_connections=1, when_full="reset") as proxy:
        async with await connect(proxy) as first:
            assert await is_served(first)
            for _ in range(2):
                assert not await is_next_served(proxy)
            assert await is_served(first)
        await until_open(proxy, 0)
        async with await connect(proxy) as later:
            assert await is_served(later)
        counters = proxy.counters()
        assert (counters.connections, counters.rejected, counters.faults) == (2, 2, {})


async def test_one_more_client_waits_until_another_ends() -> None:
    async with proxied_echo(max_connections=1) as proxy:
        first = await connect(proxy)
        assert await is_served(first)
        async with await connect(proxy) as waiting:
            await waiting.send_all(b"waits")
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert proxy.counters().connections == 1
            await first.aclose()
            assert await waiting.receive_some() == b"waits"
        assert proxy.counters().rejected == 0


async def test_later_clients_are_reset_though_none_is_connected() -> None:
    async with proxied_echo(total_connections=2) as proxy:
        for expected in (True, True, False, False):
            assert await is_next_served(proxy) == expected
        assert (proxy.counters().connections, proxy.counters().rejected) == (2, 2)


async def test_later_clients_are_reset_and_do_not_wait_for_who_is_connected() -> None:
    async with proxied_echo(max_connections=2, total_connections=2) as proxy:
        async with await connect(proxy) as first, await connect(proxy) as second:
            for client in (first, second):
                assert await is_served(client)
            assert not await is_next_served(proxy)
            await proxy.set_limits(total_connections=3)
            async with await connect(proxy) as waiting:
                await waiting.send_all(b"waits")
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert proxy.counters().connections == 2
                await proxy.set_limits(total_connections=2)
                assert not await is_served(waiting)
        assert (proxy.counters().connections, proxy.counters().rejected) == (2, 2)


async def test_limits_change_for_who_waits_and_not_for_who_is_connected() -> None:
    async with proxied_echo(max_connections=1) as proxy:
        async with await connect(proxy) as first, await connect(proxy) as second:
            assert await is_served(first)
            await proxy.set_limits(max_connections=2)
            assert await is_served(second)
            await proxy.set_limits(max_connections=1, when_full="reset")
            assert not await is_next_served(proxy)
            assert await is_served(first)
            assert await is_served(second)
            await proxy.set_limits(max_connections=0, total_connections=3)
            async with await connect(proxy) as fourth:
                assert await is_served(fourth)
            assert not await is_next_served(proxy)
            await proxy.disable()
            await proxy.enable()
            assert not await is_next_served(proxy)  # the count goes on
        assert (proxy.counters().connections, proxy.counters().rejected) == (3, 3)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"max_connections": -1}, "max_connections: "),
        ({"max_connections": True}, "max_connections: "),
        ({"total_connections": "many"}, "total_connections: "),
        ({"when_full": "close"}, "when_full is one of wait, reset"),
        ({"when_full": ["wait"]}, "when_full is one of wait, reset"),
    ],
)
def test_limits_that_make_no_sense(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ProxyRequestError, match=words):
        read_proxy({**PROXY, **wrong})


def test_a_proxy_has_the_limits_of_the_options_unless_it_says_others() -> None:
    options = ConnectionLimits(5, "reset", 9)
    assert read_proxy(PROXY, limits=options).limits == options
    own = {"max-connections": 0, "when-full": "wait"}
    assert read_proxy({**PROXY, **own}, limits=options).limits == ConnectionLimits(0, "wait", 9)


def test_the_command_resets_one_more_client_and_says_so() -> None:
    options = ("--max-connections", "1", "--when-full", "reset")
    with server_process() as server, proxy_process(server.port, *options) as proxy:
        with closing(proxy.connect()) as first:
            first.sendall(frame(b"hello"))
            assert receive_exactly(first, 9) == frame(b"hello")
            with suppress(ConnectionResetError), closing(proxy.connect()) as second:  # it may still connect
                assert receive_all(second) == b""
        assert "a client is reset: 1 are connected, and that is the most" in proxy.read_log_line()
        assert proxy.stop() == 0
    assert "connections: 1 (0 open, 0 without a server, 1 rejected)" in proxy.output


# The default limit of connections, which is 10,000, is 1.
PROXY_OF_ONE = (
    "-c",
    "import sys, trioecho.cli, trioecho.cli.proxy\n"
    "trioecho.cli.proxy.MAX_CONNECTIONS = 1\n"
    "sys.exit(trioecho.cli.main(['proxy', '--max-connections', '1', *sys.argv[1:]]))",
)


def test_the_command_resets_one_more_client_than_its_default() -> None:
    with (
        server_process() as server,
        proxy_process(server.port, "--when-full", "reset", command=PROXY_OF_ONE) as proxy,
        closing(proxy.connect()) as first,
    ):
        first.sendall(frame(b"hello"))
        assert receive_exactly(first, 9) == frame(b"hello")
        with suppress(ConnectionResetError), closing(proxy.connect()) as second:  # it may still connect
            assert receive_all(second) == b""


@pytest.mark.parametrize("most", [2, 0])
def test_the_command_takes_more_clients_than_its_default_when_it_is_told_so(most: int) -> None:
    options = ("--port", "0", "--admin", "127.0.0.1:0")
    with server_process() as server, proxy_process(server.port, *options, command=PROXY_OF_ONE) as proxy:
        client = ProxyClient(proxy.read_log_line().split(" admin on ")[1].strip())
        client.proxy().set_limits(max_connections=most)
        with closing(proxy.connect()) as first, closing(proxy.connect()) as second:
            for peer in (first, second):
                peer.sendall(frame(b"hello"))
                assert receive_exactly(peer, 9) == frame(b"hello")


def test_a_file_that_is_wrong_about_limits_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "proxies.toml"
    path.write_text("[[proxy]]\nname = 'a'\ntarget = 'b:1'\nwhen-full = 'refuse'\n")
    done = run_in_process("proxy", "--proxies", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "proxy 1: when_full is one of wait, reset" in done.stderr


# ---- bytes ----


def numbers(rule: FrameRule) -> random.Random:
    return random.Random(0)


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=9)), max_size=12), st.integers(0, 40))
def test_all_streams_together_let_through_no_more_than_the_total(
    pieces: list[tuple[int, bytes]], limit: int
) -> None:
    faults, total = Faults(reset_after_total_bytes=limit), ByteCount()
    streams = [FaultStream(faults, numbers, total=total) for _ in range(2)]
    passed, came = b"", b""
    for index, piece in pieces:
        if streams[index].cut is None:
            came += piece
        for step in streams[index].receive(piece):
            if isinstance(step, Send):
                passed += step.data
            else:
                assert step is Cut.RESET
                assert len(passed) == limit
    assert passed == came[:limit]


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.integers(0, 40), st.integers(0, 40))
def test_of_two_limits_the_nearer_one_ends_the_stream(pieces: list[bytes], end: int, reset: int) -> None:
    stream = FaultStream(Faults(end_after_bytes=end, reset_after_bytes=reset), numbers)
    steps = [step for piece in pieces for step in stream.receive(piece)]
    passed = b"".join(step.data for step in steps if isinstance(step, Send))
    assert passed == b"".join(pieces)[: min(end, reset)]
    if pieces and len(passed) == min(end, reset):
        assert steps[-1] is (Cut.END if end < reset else Cut.RESET)
    else:
        assert stream.cut is None


async def test_a_client_gets_so_many_bytes_and_the_end_of_the_stream() -> None:
    fault = {"fault": "end-after", "value": 7, "direction": "to-client"}
    async with proxied_echo(faults=[fault]) as proxy, await connect(proxy) as client:
        await client.send_all(b"0123456789")
        received = b"".join([part async for part in client])
        assert received == b"0123456"
        await client.send_all(b"more")  # the other direction goes on
        while proxy.counters().passed_bytes[Direction.TO_SERVER.value] < 14:  # noqa: ASYNC110 - as above
            await trio.sleep(0.001)
        assert proxy.counters().faults == {"ended": 1}


async def test_a_server_that_has_sent_enough_to_all_is_gone_for_all() -> None:
    fault = {"fault": "reset-after-total", "value": 8, "direction": "to-client"}
    async with proxied_echo(faults=[fault]) as proxy:
        async with await connect(proxy) as first, await connect(proxy) as second:
            assert await is_served(first, b"hello")
            assert not await is_served(second, b"hello")
            assert not await is_served(first, b"x")
        assert proxy.counters().passed_bytes["to-client"] <= 8
        await proxy.clear_faults()
        async with await connect(proxy) as later:
            assert await is_served(later)
