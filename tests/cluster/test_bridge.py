"""The bridge, with functions of this process in the place of a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from trioecho.cluster import remote
from trioecho.cluster.bridge import Bridge
from trioecho.cluster.dask_cluster import SchedulerGoneError, WorkerGoneError
from trioecho.cluster.messages import (
    BridgeMessage,
    ClocksMeasured,
    ClusterOpened,
    EndEngine,
    EngineEnded,
    FromEngine,
    MeasureClocks,
    StartEngine,
    ToEngine,
    decode_bridge_message,
    encode_bridge_message,
)

GUARD_S = 60.0


class ScriptedCluster:
    """A cluster whose workers do what a table says."""

    def __init__(self, *addresses: str) -> None:
        self.there = list(addresses)
        self.calls: list[tuple[str, str]] = []
        self.given: list[bytes] = []
        self.waiting: asyncio.Queue[tuple[list[bytes], tuple[int, str] | None] | Exception] = asyncio.Queue()
        self.errors: dict[Callable[..., Any], Exception] = {}
        self._called = asyncio.Condition()

    async def until_called(self, function: Callable[..., Any], times: int = 1) -> None:
        """Wait until a function was called so many times."""

        def is_called() -> bool:
            return [name for _, name in self.calls].count(function.__name__) >= times

        async with self._called:
            await asyncio.wait_for(self._called.wait_for(is_called), GUARD_S)

    async def addresses(self) -> list[str]:
        if not self.there:
            raise SchedulerGoneError("the scheduler is gone")
        return self.there

    async def call(
        self, address: str, function: Callable[..., Any], *arguments: Any, most_s: float = 0.0
    ) -> Any:
        async with self._called:
            self.calls.append((address, function.__name__))
            self._called.notify_all()
        if function in self.errors:
            raise self.errors[function]
        if function is remote.describe_worker:
            return {"address": address}
        if function is remote.read_clocks:
            return 7, 8
        if function is remote.give_to_engine:
            self.given.append(arguments[1])
        if function is remote.take_from_engine:
            found = await self.waiting.get()
            if isinstance(found, Exception):
                raise found
            return found
        return None


class Peer:
    """What the load command would be."""

    def __init__(self, cluster: ScriptedCluster) -> None:
        self.cluster = cluster
        self.commands: asyncio.Queue[bytes] = asyncio.Queue()
        self.said: asyncio.Queue[BridgeMessage] = asyncio.Queue()

    async def keep(self, document: bytes) -> None:
        self.said.put_nowait(decode_bridge_message(json.loads(document)))

    def tell(self, message: BridgeMessage) -> None:
        self.commands.put_nowait(json.dumps(encode_bridge_message(message)).encode())

    async def hear(self) -> BridgeMessage:
        return await asyncio.wait_for(self.said.get(), GUARD_S)


def with_bridge(cluster: ScriptedCluster, story: Callable[[Peer], Any]) -> None:
    """Let a story happen beside a bridge, which then ends."""

    async def run() -> None:
        peer = Peer(cluster)
        running = asyncio.create_task(Bridge(cluster, "some.module", peer.keep).run(peer.commands.get))
        await story(peer)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())


def test_messages_are_carried_in_order_until_the_engine_ends() -> None:
    cluster = ScriptedCluster("a", "b")

    async def story(peer: Peer) -> None:
        assert await peer.hear() == ClusterOpened([{"address": "a"}, {"address": "b"}])
        peer.tell(StartEngine(3, 1, "load-1", ["program"]))
        for number in range(3):
            peer.tell(ToEngine(3, 1, {"x": number}))
        cluster.waiting.put_nowait(([b'{"Heartbeat": {}}', b'{"y": [1]}'], None))
        assert await peer.hear() == FromEngine(3, 1, {"Heartbeat": {}})
        assert await peer.hear() == FromEngine(3, 1, {"y": [1]})
        cluster.waiting.put_nowait(([b'{"z": 1}'], (-9, "")))
        assert await peer.hear() == FromEngine(3, 1, {"z": 1})
        ended = "failed: its engine was killed by signal 9: it said nothing"
        assert await peer.hear() == EngineEnded(3, 1, ended, -9)

    with_bridge(cluster, story)
    assert cluster.given == [b'{"x": 0}', b'{"x": 1}', b'{"x": 2}']


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (WorkerGoneError("its Dask worker is gone"), "is gone: its Dask worker is gone"),
        (SchedulerGoneError("the scheduler is gone"), "cannot be reached: the scheduler is gone"),
        (ValueError("boo\nhoo"), "failed: boo hoo"),
    ],
)
@pytest.mark.parametrize("where", [remote.start_engine, remote.give_to_engine, remote.take_from_engine])
def test_a_worker_that_is_lost_is_reported_once(
    error: Exception, reason: str, where: Callable[..., Any]
) -> None:
    cluster = ScriptedCluster("a")
    cluster.errors[where] = error

    async def story(peer: Peer) -> None:
        await peer.hear()
        peer.tell(StartEngine(1, 0, "load-1", ["program"]))
        peer.tell(ToEngine(1, 0, {}))
        assert await peer.hear() == EngineEnded(1, 0, reason)
        peer.tell(MeasureClocks([]))
        assert await peer.hear() == ClocksMeasured([])

    with_bridge(cluster, story)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (["b"], "is gone: the scheduler has lost its Dask worker"),
        ([], "cannot be reached: the scheduler is gone"),
    ],
)
def test_a_worker_that_the_scheduler_has_lost_is_reported_while_a_call_waits(
    there: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioecho.cluster.bridge._LOOK_FOR_WORKERS_S", 0.01)
    cluster = ScriptedCluster("a")

    async def story(peer: Peer) -> None:
        await peer.hear()
        peer.tell(StartEngine(1, 0, "load-1", ["program"]))
        await cluster.until_called(remote.take_from_engine)
        cluster.there = there
        assert await peer.hear() == EngineEnded(1, 0, reason)

    with_bridge(cluster, story)


def test_an_engine_is_ended_at_once_and_says_nothing_more() -> None:
    cluster = ScriptedCluster("a")

    async def story(peer: Peer) -> None:
        await peer.hear()
        peer.tell(StartEngine(1, 0, "load-1", ["program"]))
        await cluster.until_called(remote.take_from_engine)
        peer.tell(EndEngine(1, 0))
        await cluster.until_called(remote.end_engine)
        peer.tell(ToEngine(1, 0, {"late": 1}))
        peer.tell(MeasureClocks([0]))
        measured = await peer.hear()
        assert isinstance(measured, ClocksMeasured)
        [readings] = measured.readings
        assert len(readings) == 16
        assert all(there == 7 and received >= sent for sent, received, there, _, _ in readings)

    with_bridge(cluster, story)
    assert cluster.given == []


def test_all_engines_are_ended_when_the_load_command_is_gone() -> None:
    cluster = ScriptedCluster("a", "b")

    async def story(peer: Peer) -> None:
        await peer.hear()
        for worker in (0, 1):
            peer.tell(StartEngine(1, worker, "load", ["program"]))
        await cluster.until_called(remote.take_from_engine, 2)

    with_bridge(cluster, story)
    assert {("a", "end_engine"), ("b", "end_engine")} <= set(cluster.calls)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("ModuleNotFoundError(\"No module named 'trioecho'\")", "does not have the package trioecho"),
        ("No module named 'trioecho.load.cluster'", "has an older version of trioecho"),
        ("No module named 'trio'", "does not have the package trio, which trioecho needs"),
        (
            "module 'trioecho.cluster.remote' has no attribute 'describe'",
            "has another version of trioecho",
        ),
        ("boo", "cannot be used: boo"),
    ],
)
def test_a_worker_that_cannot_say_what_it_is(words: str, reason: str) -> None:
    cluster = ScriptedCluster("a")
    cluster.errors[remote.describe_worker] = Exception(words)

    async def story(peer: Peer) -> None:
        assert await peer.hear() == ClusterOpened([{"address": "a", "failure": reason}])

    with_bridge(cluster, story)
