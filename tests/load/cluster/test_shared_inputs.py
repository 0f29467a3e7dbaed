"""What a cluster is given beside a plan: addresses that are of one machine each, and recorded traffic."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.load.test_run import echo, plan_for, serving
from tests.support.clusters import fake_cluster
from tests.support.guard import guarded
from tests.support.wire import frame, split_frames
from trioecho.framing import FrameFormat
from trioecho.load import (
    CannotConnectError,
    Churn,
    LoadPlan,
    RecordedTraffic,
    Replay,
    ReplyRule,
    read_recorded_traffic,
    run_load,
)
from trioecho.load.message_list import GivenMessages
from trioecho.load.processes import worker
from trioecho.load.processes.message_parts import messages_from_parts, messages_in_parts
from trioecho.load.processes.reported_part import ReportedPart

MS = 1_000_000


class Peers:
    """An echo that notes from which addresses it was connected to."""

    def __init__(self) -> None:
        self.addresses: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, peer: socket.socket) -> None:
        with self._lock:
            self.addresses[peer.getpeername()[0]] += 1
        echo(peer)


async def test_each_machine_connects_from_the_addresses_that_are_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machines = iter([("127.0.0.2",), ("127.0.0.3", "127.0.0.4")])
    monkeypatch.setattr(worker, "own_sources", lambda sources: next(machines))
    sources = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    peers = Peers()
    async with fake_cluster(2) as (cluster, _):
        with serving(peers) as port, guarded():
            plan = plan_for(port, connections=8, messages=3, churn=Churn(sources=sources))
            result = await run_load(plan, cluster=cluster)
    assert (result.messages, result.errors) == (24, {})
    assert peers.addresses == {"127.0.0.2": 4, "127.0.0.3": 2, "127.0.0.4": 2}
    assert result.plan.churn.sources == sources


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        (
            ("127.0.0.2", "192.0.2.1"),
            "cannot connect to 127.0.0.1:{port}: 192.0.2.1 of --bind is of no machine",
        ),
        (
            ("192.0.2.1",),
            "cannot connect to 127.0.0.1:{port}: of --bind, connections cannot be made from 192.0.2.1: this "
            "machine does not have it (so says worker w",
        ),
    ],
)
async def test_an_address_that_no_machine_has_is_one_line(sources: tuple[str, ...], reason: str) -> None:
    peers = Peers()
    async with fake_cluster(2) as (cluster, bridge):
        with serving(peers) as port, guarded():
            plan = plan_for(port, connections=4, churn=Churn(sources=sources))
            with pytest.raises(CannotConnectError) as caught:
                await run_load(plan, cluster=cluster)
        await bridge.until_ended(2)
    assert str(caught.value).startswith(reason.format(port=port))


def recording_in(folder: Path, *, length_ms: int) -> RecordedTraffic:
    """Five connections, each of which sends a message every 10 ms."""
    lines: list[dict[str, object]] = [{"trioecho-recording": 1, "format": "u32be"}]
    for number in range(length_ms // 10):
        for connection in range(5):
            data = frame(f"{connection}: {number}".encode())
            lines.append({"t": number * 10 * MS, "c": connection + 1, "to-server": _encoded(data)})
    lines.append({"t": length_ms * MS, "end": "stopped"})
    path = folder / "traffic"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return read_recorded_traffic(path, FrameFormat())


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def plan_of(recorded: RecordedTraffic, port: int, speed: float = 1.0) -> LoadPlan:
    return plan_for(
        port,
        connections=len(recorded.connections),
        source=recorded.source,
        reply=ReplyRule("count"),
        replay=Replay(recorded.length_s, speed),
    )


@pytest.mark.parametrize("speed", [1.0, 0.0])
async def test_recorded_connections_are_divided_and_keep_their_messages_and_times(
    speed: float, tmp_path: Path
) -> None:
    recorded = recording_in(tmp_path, length_ms=300)
    seen: list[list[bytes]] = []

    def handle(peer: socket.socket) -> None:
        received = b""
        while data := peer.recv(1 << 16):
            received += data
            peer.sendall(data)
        if received:  # a server that is slow is asked what it is, on other connections
            seen.append(list(split_frames(received)[0]))

    async with fake_cluster(3) as (cluster, _):
        with serving(handle) as port, guarded():
            result = await run_load(plan_of(recorded, port, speed), recorded=recorded, cluster=cluster)
    assert (result.messages, result.sent, result.due, result.errors) == (150, 150, 150, {})
    assert [(share.connections, share.sent) for share in result.workers] == [(2, 60), (2, 60), (1, 30)]
    assert sorted(seen) == [
        [frame(f"{connection}: {number}".encode()) for number in range(30)] for connection in range(5)
    ]
    if speed:
        assert result.elapsed_s >= recorded.length_s
        assert result.health.send_lateness_ns.count == 150


def test_a_part_of_a_recording_travels_whole(tmp_path: Path) -> None:
    recorded = recording_in(tmp_path, length_ms=50)
    part = recorded.part(3, 2)
    assert [number for _, number in part.times] == [3, 4] * 5
    given, there = messages_from_parts([*messages_in_parts(GivenMessages(), part, length=100)])
    assert given == GivenMessages()
    assert there is not None
    assert (there.source, there.times, there.first) == (recorded.source, part.times, 3)
    for number in (3, 4):
        assert there.messages_of(number).messages == recorded.messages_of(number).messages
        assert there.messages_of(number).frames(FrameFormat()) == recorded.messages_of(number).frames(
            FrameFormat()
        )


@pytest.mark.parametrize(
    ("speed", "stopped_s", "unreported"),
    [(1.0, None, 20), (2.0, None, 20), (1.0, 0.055, 12), (2.0, 0.0275, 12), (0.0, None, 20), (0.0, 1.0, 0)],
)
async def test_what_a_lost_worker_had_still_to_replay_is_counted(
    speed: float, stopped_s: float | None, unreported: int, tmp_path: Path
) -> None:
    recorded = recording_in(tmp_path, length_ms=100)
    part = ReportedPart(plan_of(recorded, 1, speed), 1, 2, 1.0)
    part.times = recorded.part(1, 2).times
    result = await part.result("worker a", "is gone", lost_s=0.1, stopped_s=stopped_s)
    assert result.errors.get("unreported", 0) == result.due == unreported
    assert result.lost[0].is_counted == (speed > 0 or stopped_s is None)
