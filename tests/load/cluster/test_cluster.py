"""A load on a cluster, with engines in this process in the place of Dask's workers."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from datetime import datetime, timezone
from typing import Any, Literal

import pytest
import trio

from tests.load.test_run import plan_for, serving
from tests.load.test_truth import SERVICE_NS, assert_agree, due_times, out_of_stall
from tests.support.clusters import fake_cluster
from tests.support.guard import guarded
from tests.support.load_world import MS, S, Server, WorldSocket, run_in_world
from tests.support.wire import split_frames
from trioecho.base.nursery import open_background_nursery
from trioecho.cluster.messages import EngineEnded
from trioecho.connection.json_frames import JsonChannel
from trioecho.load import (
    CannotConnectError,
    ClusterWorkerFailedError,
    LoadPlan,
    LoadProgress,
    LoadResult,
    LoadRun,
    Sizes,
    rebuild_payload,
    result_as_json,
    result_from_json,
    run_load,
)
from trioecho.load.processes import supervised_worker
from trioecho.load.processes.messages import (
    LoadWorkerConfig,
    LoadWorkerReady,
    LoadWorkerStarted,
    StartCommand,
    decode_load_message,
    encode_load_message,
)


class StandingStill(Server):
    """Has a thread for each message, all of which stand still on a schedule; serves for 0.2 ms."""

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        connection.deliver(frame, out_of_stall(connection.world.now) + SERVICE_NS)


async def engine_in_a_world(channel: JsonChannel) -> None:
    """Carry out the part of a plan that a worker has, in virtual time of its own."""
    config = decode_load_message(await channel.receive())
    assert isinstance(config, LoadWorkerConfig)
    await channel.receive()  # that there are no messages of the user's own
    await channel.send(encode_load_message(LoadWorkerReady()))
    assert isinstance(decode_load_message(await channel.receive()), StartCommand)
    result = run_in_world(config.plan, StandingStill(), first=config.first, count=config.count)
    await channel.send(encode_load_message(LoadWorkerStarted(0)))
    await channel.send(encode_load_message(result))


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
async def test_a_stall_gives_the_percentiles_that_its_schedule_gives(
    arrival: Literal["uniform", "poisson"],
) -> None:
    plan = LoadPlan("h", 1, connections=7, duration_s=10.0, rate=500, arrival=arrival)
    async with fake_cluster(3, engine=engine_in_a_world) as (cluster, _):
        with guarded():
            result = await run_load(plan, cluster=cluster)
    latencies = [out_of_stall(due) + SERVICE_NS - due for due in due_times(plan)]
    assert_agree(result.latency_ns, latencies)
    p95 = result.latency_ns.percentile(95)
    assert p95 is not None
    assert p95 > 200 * MS  # a tenth of all came while it stood still, and half of these waited so long
    assert [worker.connections for worker in result.workers] == [3, 2, 2]
    assert sum(worker.messages for worker in result.workers) == result.messages == len(latencies)
    assert not result.errors


async def test_a_stall_of_a_real_server_shows_on_a_cluster() -> None:
    def stalling(peer: socket.socket) -> None:
        count = 0
        while data := peer.recv(1 << 16):
            before, count = count, count + len(data)
            if before < 20 * 68 <= count:  # however many come together
                time.sleep(0.4)
            peer.sendall(data)

    async with fake_cluster(3) as (cluster, _):
        with serving(stalling) as port, guarded():
            result = await run_load(plan_for(port, connections=3, duration_s=1.0, rate=500), cluster=cluster)
    p80 = result.latency_ns.percentile(80)
    assert p80 is not None
    assert p80 > 150_000_000  # of each connection, two of five messages were due while it stood still


class Counting:
    """An echo that counts every message, by its bytes."""

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()
        self.lock = threading.Lock()

    def __call__(self, peer: Any) -> None:
        received = b""
        while data := peer.recv(1 << 16):
            received += data
            peer.sendall(data)
        with self.lock:
            self.seen.update(split_frames(received)[0])


@pytest.mark.parametrize("mode", [{}, {"rate": 3000.0}, {"think_s": 0.001}], ids=["closed", "open", "think"])
async def test_the_merged_result_is_what_the_server_counted_message_by_message(mode: dict[str, Any]) -> None:
    count, progress = Counting(), list[LoadProgress]()
    async with fake_cluster(3) as (cluster, _):
        with serving(count) as port, guarded():
            plan = plan_for(port, connections=5, messages=40, sizes=Sizes.of(10, 40), **mode)
            result = await run_load(
                plan, cluster=cluster, on_progress=progress.append, progress_interval_s=0.02
            )
    expected = [rebuild_payload(plan, connection, n) for connection in range(5) for n in range(1, 41)]
    assert count.seen == {len(payload).to_bytes(4, "big") + payload: 1 for payload in expected}
    assert (result.sent, result.messages, result.errors) == (200, 200, {})
    assert result.latency_ns.count == sum(step.messages for step in result.intervals) == 200
    assert result.plan.processes == 3
    assert all(part.sent <= 200 for part in progress)
    assert [(worker.name, worker.host, worker.connections) for worker in result.workers] == [
        ("w0", "host0", 2),
        ("w1", "host0", 2),
        ("w2", "host1", 1),
    ]
    assert [worker.sent for worker in result.workers] == [80, 80, 40]
    lateness = sum(worker.send_lateness_ns.count for worker in result.workers)
    assert lateness == result.health.send_lateness_ns.count == (200 if mode else 0)
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)


async def test_each_worker_starts_at_the_same_moment_of_its_own_clock() -> None:
    clocks = {0: 5_000_000_000, 1: -70_000_000_000}
    async with fake_cluster(2, clocks=clocks) as (cluster, bridge):
        with serving() as port, guarded():
            result = await run_load(plan_for(port, connections=2, messages=5), cluster=cluster)
    # The shortest round trip took 90 ns; the other clock was read 30 ns after its start, and not 45.
    for worker, ahead in zip(result.workers, (5_000_000_000, -70_000_000_000), strict=True):
        assert worker.clock_ahead_ns == ahead - 15
        assert worker.clock_error_ns == 45
        assert worker.start_late_ns >= 0
        assert worker.start_error_ns == worker.start_late_ns + 45
    assert bridge.started[0].name == "load-1"


async def test_fewer_connections_than_workers_use_as_many_workers_and_say_so() -> None:
    async with fake_cluster(5) as (cluster, bridge):
        with serving() as port, guarded():
            result = await run_load(plan_for(port, connections=3, messages=2), cluster=cluster)
    assert len(result.workers) == len(bridge.started) == 3
    assert "3 connections cannot be shared by 5 workers: 3 of them were used." in result.notes


async def test_one_load_follows_another_on_the_same_cluster() -> None:
    async with fake_cluster(2) as (cluster, bridge):
        with serving() as port, guarded():
            for _ in range(2):
                result = await run_load(plan_for(port, connections=2, messages=3), cluster=cluster)
                assert result.messages == 6
            await bridge.until_ended(4)
    assert [start.run for start in bridge.started] == [1, 1, 2, 2]


async def test_a_load_on_a_cluster_can_be_stopped() -> None:
    async with fake_cluster(2) as (cluster, _):
        with serving() as port, guarded():

            def stop(progress: LoadProgress) -> None:
                if progress.messages:
                    run.stop()

            plan = plan_for(port, connections=2, duration_s=3600.0)
            run = LoadRun(plan, on_progress=stop, progress_interval_s=0.05, cluster=cluster)
            result = await run.run()
    assert result.stopped
    assert result.sent == result.messages > 0


async def losing(how: str) -> LoadResult:
    """What comes of a load that loses a worker, or its bridge, and is stopped then."""
    results: list[LoadResult] = []
    began = datetime.now(timezone.utc)
    async with fake_cluster(2, clocks={1: 600 * S}) as (cluster, bridge):  # it cannot say when it began
        with serving() as port, guarded():
            has_begun = trio.Event()

            def note(progress: LoadProgress) -> None:
                if progress.messages:
                    has_begun.set()
                if progress.lost:
                    run.stop()

            async def lose() -> None:
                await has_begun.wait()
                if how == "dies":
                    bridge.engines[1, 1][1].cancel()
                elif how == "gone":
                    await bridge.say(EngineEnded(1, 1, "is gone: its Dask worker is gone"))
                elif how == "silent":
                    bridge.carries = lambda message: message.worker != 1
                else:
                    await bridge.channel.aclose()

            plan = plan_for(port, connections=5, duration_s=3600.0)
            run = LoadRun(plan, on_progress=note, progress_interval_s=0.05, cluster=cluster)
            async with open_background_nursery() as nursery:
                nursery.start_soon(lose)
                results.append(await run.run())
            if how != "bridge":
                await bridge.until_ended(2)  # nothing is left running
    [result] = results
    assert began <= result.started_at <= datetime.now(timezone.utc)
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)
    unknown = sum(worker.unknown for worker in result.lost)
    assert result.errors == ({"unknown": unknown} if unknown else {})
    assert result.messages + unknown == result.sent == result.due > 0
    assert [(worker.name, worker.is_lost) for worker in result.workers] == [
        ("w0", how == "bridge"),
        ("w1", True),
    ]
    return result


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("dies", "failed: its engine ended"),
        ("gone", "is gone: its Dask worker is gone"),
        ("silent", "sent nothing for 2 s"),
    ],
)
async def test_a_worker_that_is_lost_is_named_and_the_others_go_on(
    how: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "silent":
        monkeypatch.setattr(supervised_worker, "_SILENT_BEATS", 2)
    result = await losing(how)
    [lost] = result.lost
    assert (lost.name, lost.reason) == ("worker w1 on host0", words)
    assert (lost.connections, lost.of_connections) == (2, 5)
    assert lost.sent == result.workers[1].sent > 0


async def test_a_bridge_that_is_gone_ends_the_load_with_what_all_have_reported() -> None:
    result = await losing("bridge")
    assert not result.stopped
    assert [lost.name for lost in result.lost] == ["worker w0 on host0", "worker w1 on host0"]
    for lost in result.lost:
        assert "the process that talks to the cluster ended" in lost.reason


async def test_a_worker_that_is_lost_before_the_start_ends_the_load() -> None:
    async def die(channel: JsonChannel) -> None:
        await channel.receive()

    async with fake_cluster(2, engine=die) as (cluster, _):
        with guarded(), pytest.raises(ClusterWorkerFailedError, match="on host0 failed") as caught:
            await run_load(plan_for(1, connections=5), cluster=cluster)
    assert (caught.value.sent, caught.value.of_connections) == (0, 5)


async def test_a_server_that_cannot_be_reached_is_named_with_the_worker_that_says_so() -> None:
    async with fake_cluster(1) as (cluster, _):
        with guarded(), pytest.raises(CannotConnectError, match=r"refused.* \(so says worker w0 on host0\)"):
            await run_load(plan_for(1), cluster=cluster)


async def test_a_cancelled_load_ends_its_engines_and_the_next_one_runs() -> None:
    results: list[LoadResult] = []
    async with fake_cluster(2) as (cluster, bridge):
        with serving() as port, guarded():
            with trio.CancelScope() as scope:

                def cancel(progress: LoadProgress) -> None:
                    if progress.messages:
                        scope.cancel()

                plan = plan_for(port, connections=2, duration_s=3600.0)
                await run_load(plan, on_progress=cancel, progress_interval_s=0.05, cluster=cluster)
            assert scope.cancelled_caught
            results.append(await run_load(plan_for(port, connections=2, messages=3), cluster=cluster))
            await bridge.until_ended(4)
    assert results[0].messages == 6


async def test_nothing_is_recorded_on_a_cluster() -> None:
    async with fake_cluster(1) as (cluster, _):
        with pytest.raises(ValueError, match="nothing is recorded"):
            LoadRun(plan_for(1), record="a.jsonl", cluster=cluster)
