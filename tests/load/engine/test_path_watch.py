"""What the kernel counts of connections: exact sums, whatever was read when, and bounded work."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.support.load_world import MS, START, Server, WorldSocket, driven_in_world
from trioecho.base.tcp_info import TcpInfo
from trioecho.load.churn import Churn, Span
from trioecho.load.engine.path_watch import MOST_READS, PathWatch, tcp_info_of
from trioecho.load.engine.sending import ClosedSocket, Socket
from trioecho.load.plan import LoadPlan
from trioecho.load.results.path_counts import PathCounts
from trioecho.load.results.result import LoadResult


class Kernel:
    """Knows of each socket what the test says, by the bytes that were sent on it.

    Attributes:
      reads: how often it was asked.
    """

    def __init__(self, *, loses: int = 7) -> None:
        self.reads = 0
        self.sent: dict[WorldSocket, int] = {}
        self.loses = loses

    def count(self, connection: WorldSocket, frames: int) -> None:
        self.sent[connection] = self.sent.get(connection, 0) + frames

    def read(self, connection: Socket) -> TcpInfo | None:
        assert isinstance(connection, WorldSocket)
        assert not connection.is_closed
        self.reads += 1
        segments = self.sent.get(connection, 0)
        return TcpInfo(
            rto_us=201_000 + connection.number,
            rtt_us=100 + connection.number,
            rtt_deviation_us=10,
            congestion_window=10,
            retransmits=segments // self.loses,
            unsent_bytes=5,
            least_rtt_us=50,
            data_segments=segments,
            busy_us=segments * 100,
            window_limited_us=segments * 10,
            buffer_limited_us=segments,
            out_of_order=segments // 2,
        )

    @property
    def retransmits(self) -> int:
        return sum(segments // self.loses for segments in self.sent.values())


class CountedServer(Server):
    """Counts in the kernel what comes."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def on_bytes(self, connection: WorldSocket) -> None:
        for number, frame in enumerate(connection.read_frames()):
            self.kernel.count(connection, 1)
            self.answer(connection, frame, number)


def run(kernel: Kernel, **plan: Any) -> LoadResult:
    plan.setdefault("connections", 3)
    made = LoadPlan("localhost", 1, **plan)
    return driven_in_world(made, CountedServer(kernel), path=PathWatch(kernel.read)).result()


def counts_of(result: LoadResult) -> PathCounts:
    assert result.path is not None
    return result.path.counts


@pytest.mark.parametrize(
    "plan",
    [
        {"messages": 100},
        {"rate": 300.0, "duration_s": 2.0},
        {"messages": 100, "churn": Churn(per_connection=Span(7, 9))},
        {"rate": 1000.0, "duration_s": 1.0, "connections": 300},
    ],
    ids=["closed", "open", "renewed", "many"],
)
def test_sums_are_exact_also_of_connections_that_were_closed(plan: dict[str, Any]) -> None:
    kernel = Kernel(loses=2)
    result = run(kernel, **plan)
    counts = counts_of(result)
    sent = sum(kernel.sent.values())
    assert result.sent == sent == counts.data_segments
    assert counts.retransmits == kernel.retransmits > 0
    assert (counts.busy_us, counts.window_limited_us, counts.buffer_limited_us) == (
        sent * 100,
        sent * 10,
        sent,
    )
    assert counts.least_rto_us == 201_000
    assert counts.least_rtt_us == 50
    assert result.path is not None
    assert (
        result.path.connections
        == len(kernel.sent)
        == result.connections_opened + result.churn.renewed + (result.plan.connections)
    )
    steps = [step.path for step in result.intervals if step.path is not None]
    assert 0 < sum(step.data_segments for step in steps) <= sent


def test_what_was_sent_in_the_warm_up_does_not_count() -> None:
    kernel = Kernel()
    result = run(kernel, rate=300.0, duration_s=1.0, warmup_s=1.0)
    assert sum(kernel.sent.values()) == 600
    assert result.sent == 300
    # What is in flight when the measured part begins may be of either.
    assert counts_of(result).data_segments == pytest.approx(300, abs=3)


def test_few_connections_are_all_read_in_each_interval() -> None:
    result = run(Kernel(), rate=300.0, duration_s=2.0)
    steps = [step.path for step in result.intervals][:20]
    for step in steps:
        assert step is not None
        assert 3 <= step.rtt_ns.count <= 8  # of three connections
        assert step.rtt_ns.max == 102_000
        assert step.congestion_window.percentile(50) == 10
        assert step.unsent_bytes.mean == 5
        assert step.rtt_deviation_us == 10 * step.rtt_ns.count


def test_of_many_connections_some_are_read_in_each_interval_and_all_in_turn() -> None:
    kernel = Kernel()
    connections = 5 * MOST_READS
    result = run(kernel, rate=1000.0, duration_s=2.0, connections=connections)
    assert counts_of(result).rtt_ns.count == pytest.approx(20 * MOST_READS / 0.9, rel=0.1)
    assert kernel.reads <= connections * 2 + 24 * MOST_READS  # and each at its beginning and its end
    assert counts_of(result).rtt_ns.max == (100 + connections - 1) * 1000


def test_in_one_go_only_a_few_are_read() -> None:
    kernel = Kernel()
    most: list[int] = []
    before = 0

    def note(*_: object) -> None:
        nonlocal before
        most.append(kernel.reads - before)
        before = kernel.reads

    plan = LoadPlan("localhost", 1, rate=100.0, duration_s=1.0, connections=100)
    driven_in_world(plan, CountedServer(kernel), path=PathWatch(kernel.read), on_turn=note)
    assert max(most[1:-1]) <= 8 + 1  # and one that has come to its end


def test_where_the_kernel_does_not_say_nothing_is_known() -> None:
    path = PathWatch(lambda connection: None)
    result = driven_in_world(LoadPlan("localhost", 1, messages=10), Server(), path=path).result()
    assert result.path is not None
    assert (result.path.connections, result.path.missing) == (0, "the kernel does not say (TCP_INFO)")
    assert path.next_moment > START + 3600 * 1000 * MS


def test_without_a_watch_there_is_no_path() -> None:
    result = driven_in_world(LoadPlan("localhost", 1, messages=10), Server()).result()
    assert result.path is None
    assert {step.path for step in result.intervals} == {None}


def test_sockets_of_other_kinds_say_nothing() -> None:
    assert tcp_info_of(ClosedSocket()) is None
    closed = socket.socket()
    closed.close()
    assert tcp_info_of(closed) is None
