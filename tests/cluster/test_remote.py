"""What runs on a Dask worker, with a real engine and without Dask."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.load.test_run import plan_for, serving
from tests.support.processes import children_of
from tests.support.slow import slow
from trioecho.base.heartbeats import HEARTBEAT
from trioecho.cluster import remote
from trioecho.cluster.asyncio_frames import AsyncioFrames
from trioecho.cluster.remote import RemoteEngine
from trioecho.load import LoadResult
from trioecho.load.cluster.opening import load_purpose
from trioecho.load.message_list import GivenMessages
from trioecho.load.processes.message_parts import messages_in_parts
from trioecho.load.processes.messages import (
    LoadMessage,
    LoadWorkerConfig,
    LoadWorkerReady,
    StartCommand,
    decode_load_message,
    encode_load_message,
)

GUARD_S = 60.0
PROGRAM, IDENTITY = load_purpose().program, load_purpose().identity


class FakeWorker:
    """What the functions use of a Dask worker."""

    def __init__(self) -> None:
        self.name, self.address = "a", "tcp://h:1"
        self.extensions: dict[str, Any] = {}
        self.status = SimpleNamespace(name="running")


async def take(worker: FakeWorker) -> tuple[list[LoadMessage], tuple[int, str] | None]:
    documents, end = await asyncio.wait_for(remote.take_from_engine("k", 1.0, worker), GUARD_S)
    return [decode_load_message(json.loads(document)) for document in documents], end


async def give(worker: FakeWorker, message: LoadMessage) -> None:
    await remote.give_to_engine("k", json.dumps(encode_load_message(message)).encode(), worker)


async def until_ended(worker: FakeWorker) -> tuple[int, str]:
    end = None
    while end is None:
        _, end = await take(worker)
    return end


def test_an_engine_carries_out_its_part() -> None:
    worker = FakeWorker()

    async def run(port: int) -> list[LoadMessage]:
        await remote.start_engine("k", "load-1", PROGRAM, worker)
        await give(worker, LoadWorkerConfig(plan_for(port, connections=4, messages=5), 0, 2, 3600.0, True))
        for part in messages_in_parts(GivenMessages()):
            await give(worker, part)
        seen: list[LoadMessage] = []
        end = None
        has_started = False
        while end is None:
            messages, end = await take(worker)
            seen += messages
            if not has_started and LoadWorkerReady() in messages:
                has_started = True
                await give(worker, StartCommand(remote.read_clocks()[0]))
        assert end == (0, "")
        await remote.end_engine("k", worker)
        await remote.end_engine("k", worker)
        return seen

    with serving() as port:
        seen = asyncio.run(run(port))
    assert isinstance(seen[-1], LoadResult)
    assert (seen[-1].sent, seen[-1].messages) == (10, 10)


def test_an_engine_that_is_killed_says_how_it_ended() -> None:
    worker = FakeWorker()

    async def run() -> None:
        before = set(children_of(os.getpid()))
        await remote.start_engine("k", "load-1", PROGRAM, worker)
        [engine] = set(children_of(os.getpid())) - before
        os.kill(engine, signal.SIGKILL)
        assert await until_ended(worker) == (-9, "")
        await remote.end_engine("k", worker)

    asyncio.run(run())


def test_an_engine_that_fails_says_what_it_said_last() -> None:
    worker = FakeWorker()

    async def run() -> None:
        await remote.start_engine("k", "load-1", PROGRAM, worker)
        await give(worker, LoadWorkerReady())  # which is no configuration
        exit_code, words = await until_ended(worker)
        assert exit_code == 1
        assert "a worker's first message is its configuration" in words
        await remote.end_engine("k", worker)

    asyncio.run(run())


def test_a_heartbeat_alone_is_not_worth_a_call() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        process = SimpleNamespace(stderr=None, kill=lambda: None, wait=lambda: asyncio.sleep(0))
        engine = RemoteEngine(cast(Any, process), await AsyncioFrames.open(ours), FakeWorker())
        other = await AsyncioFrames.open(theirs)
        await other.send(json.dumps(HEARTBEAT).encode())
        taking = asyncio.create_task(engine.take(GUARD_S))
        for _ in range(100):  # turns of the event loop, in which it comes and could wake the call
            await asyncio.sleep(0)
        assert engine._waiting
        assert not taking.done()
        await other.send(b'"a message"')
        documents, end = await asyncio.wait_for(taking, GUARD_S)
        assert ([json.loads(document) for document in documents], end) == (
            [HEARTBEAT, "a message"],
            None,
        )
        await engine.end()
        other.close()

    asyncio.run(run())


@pytest.mark.parametrize("why", ["not taken", slow("closing")])
def test_an_engine_ends_when_nobody_wants_it(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "not taken":
        monkeypatch.setattr(remote, "LEASE_S", 0.0)
    worker = FakeWorker()

    async def run() -> None:
        await remote.start_engine("k", "load-1", PROGRAM, worker)
        if why == "closing":
            worker.status = SimpleNamespace(name="closing")
        engine = remote._engines_of(worker)["k"]
        await asyncio.wait_for(engine._process.wait(), GUARD_S)
        assert await until_ended(worker) == (-9, "")
        await remote.end_engine("k", worker)

    asyncio.run(run())


def test_a_worker_says_what_it_is_and_its_calls_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    described = remote.describe_worker(IDENTITY, FakeWorker())
    assert (described["name"], described["address"], described["pid"]) == ("a", "tcp://h:1", os.getpid())
    log = logging.getLogger("distributed.worker")
    with caplog.at_level(logging.INFO, log.name):
        log.info("Run out-of-band function %r", "take_from_engine")
        log.info("Run out-of-band function %r", "another")
        log.info("a line")
    log.removeFilter(remote._is_no_call_of_ours)
    assert [record.getMessage() for record in caplog.records] == [
        "Run out-of-band function 'another'",
        "a line",
    ]
