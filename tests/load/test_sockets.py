"""The options of sockets, on real ones: the kernel has them, and the result says what it gave."""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import Any

import pytest
import trio

from trioecho.load import (
    Churn,
    LoadPlan,
    LoadResult,
    SocketOptions,
    Span,
    merge,
    result_as_json,
    result_from_json,
)
from trioecho.load.engine.local_addresses import check_source
from trioecho.load.engine.socket_setup import (
    SocketOptionError,
    SocketSetup,
    check_options,
    given_to,
    set_options,
)
from trioecho.load.results.plan_differences import differences
from trioecho.load.results.sockets_given import SocketsGiven
from trioecho.load.run import run_load

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the options are Linux's")


class Echo:
    """An echo on the loopback that keeps from where clients came, and the MSS of their side."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        self.peers.append(stream.socket.getpeername()[0])
        async for data in stream:
            await stream.send_all(data)


async def loaded(server: Echo, **plan: Any) -> LoadResult:
    async with trio.open_nursery() as nursery:
        serving = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
        [listener] = await nursery.start(serving)
        port = listener.socket.getsockname()[1]
        host = plan.pop("host", "127.0.0.1")
        result = await run_load(LoadPlan(host, port, connections=4, messages=20, **plan))
        nursery.cancel_scope.cancel()
    return result


@linux_only
@pytest.mark.parametrize("churn", [Churn(), Churn(per_connection=Span(5, 5))])
async def test_the_first_and_all_later_sockets_have_the_options(
    churn: Churn, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[SocketsGiven | None] = []
    note_connected = SocketSetup.note_connected

    def noting(self: SocketSetup, connection: socket.socket) -> None:
        note_connected(self, connection)
        found.append(given_to(connection))

    monkeypatch.setattr(SocketSetup, "note_connected", noting)
    options = SocketOptions(False, 40_000, 50_000, "reno", 600, 46)
    result = await loaded(Echo(), sockets=options, churn=churn)
    assert result.messages == 80
    assert len(found) == (16 if churn.renews else 4)
    [given] = {*found}
    assert given is not None
    assert (given.nodelay, given.congestion, given.dscp) == (False, "reno", 46)
    assert (given.send_buffer, given.receive_buffer) == (80_000, 100_000)  # Linux doubles them
    assert given.mss is not None
    assert 500 < given.mss <= 600
    assert result.sockets == [given]


@linux_only
async def test_without_options_small_segments_are_sent_at_once() -> None:
    result = await loaded(Echo())
    [given] = result.sockets
    assert given.nodelay
    assert given.in_words(result.plan.sockets) == ""


@linux_only
async def test_connections_are_made_from_each_address_in_turn_and_over_its_device() -> None:
    server = Echo()
    await loaded(server, host="localhost", churn=Churn(sources=("127.0.0.2%lo", "127.0.0.3")))
    assert sorted(server.peers) == ["127.0.0.2"] * 2 + ["127.0.0.3"] * 2


@linux_only
async def test_a_name_with_several_addresses_is_tried_to_its_end() -> None:
    result = await loaded(Echo(), host="localhost", sockets=SocketOptions(mss=700))
    assert result.messages == 80


@linux_only
def test_the_code_point_of_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as plain:
        set_options(plain, SocketOptions(dscp=10))
        assert plain.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 10 << 2


@linux_only
def test_what_the_kernel_refuses_is_said_in_words() -> None:
    with pytest.raises(ValueError, match=r"this kernel has no congestion control nosuch; it has .*reno"):
        check_options(SocketOptions(congestion="nosuch"))
    closed = socket.socket()
    closed.close()
    with pytest.raises(SocketOptionError, match="refuses 88 for the largest segment"):
        set_options(closed, SocketOptions(mss=88))
    with pytest.raises(ValueError, match=r"127\.0\.0\.1%nowhere: this machine has no network device nowhere"):
        check_source("127.0.0.1%nowhere")


def test_a_socket_that_cannot_be_set_up_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    socket_class = socket.socket

    def making(*arguments: Any) -> socket.socket:
        made.append(socket_class(*arguments))
        return made[-1]

    monkeypatch.setattr(socket, "socket", making)
    with pytest.raises(OSError, match=r".+"):
        SocketSetup(SocketOptions(), ["192.0.2.1"]).make(socket.AF_INET, 0)
    assert [each.fileno() for each in made] == [-1]


# ---- in plans and results ----


def test_the_options_are_in_the_plan_and_its_json() -> None:
    plan = LoadPlan("localhost", 1, sockets=SocketOptions(False, 1000, 2000, "bbr", 500, 46))
    assert LoadPlan.from_dict(plan.to_dict()) == plan
    old = plan.to_dict()
    del old["sockets"]
    assert LoadPlan.from_dict(old).sockets == SocketOptions()
    with pytest.raises(ValueError, match="sockets: a code point"):
        LoadPlan.from_dict({**plan.to_dict(), "sockets": {"dscp": 99}})


def test_a_unix_socket_has_a_send_buffer_alone() -> None:
    LoadPlan("unix:/x", 0, sockets=SocketOptions(send_buffer=1000))
    with pytest.raises(ValueError, match="DSCP 7: that is for TCP, and unix:/x is no TCP"):
        LoadPlan("unix:/x", 0, sockets=SocketOptions(dscp=7))


def test_a_difference_of_the_sockets_is_named() -> None:
    plans = [LoadPlan("localhost", 1), LoadPlan("localhost", 1, sockets=SocketOptions(False, dscp=46))]
    [difference] = differences(plans, ["a", "b"])
    assert difference == "sockets: as the system has them (a), Nagle's algorithm, DSCP ef (46) (b)"


def test_what_was_given_is_in_json_and_merges_without_repeats() -> None:
    given = SocketsGiven(True, 1000, 2000, "cubic", 1448, 0)
    other = SocketsGiven(True, 4000, 2000)
    results = [LoadResult(LoadPlan("localhost", 1, seed=n)) for n in range(3)]
    for result, its in zip(results, (given, other, given), strict=True):
        result.sockets = [its]
    assert result_from_json(result_as_json(results[0])).sockets == [given]
    assert merge(results).sockets == [given, other]
