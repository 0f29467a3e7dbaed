"""Workers of a load that hang, and a load that is stopped while it still connects."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.load.test_run import plan_for, serving
from tests.support.guard import GUARD_S, guarded
from tests.support.processes import UTF8, children_of, suspend
from trioecho.base.heartbeats import BEAT_S
from trioecho.base.own_process import OwnProcess
from trioecho.connection.json_frames import JsonChannel, open_json_pair
from trioecho.load import LoadPlan, LoadProgress, LoadResult, LoadRun, result_as_json, result_from_json
from trioecho.load.message_list import GivenMessages
from trioecho.load.processes.message_parts import messages_in_parts
from trioecho.load.processes.messages import (
    Heartbeat,
    LoadWorkerConfig,
    LoadWorkerReady,
    StopCommand,
    decode_load_message,
    encode_load_message,
)
from trioecho.load.processes.worker import carry_out
from trioecho.load.processes.worker_process import WorkerProcess

BEATS = 5
# Does not wait as long as usual for a word of a worker.
IMPATIENT = (
    "import sys, trioecho.cli, trioecho.load.processes.supervised_worker as supervised_worker\n"
    f"supervised_worker._SILENT_BEATS = {BEATS}\n"
    "sys.exit(trioecho.cli.main(['load', '--processes', '2', '--duration', '1h', *sys.argv[1:]]))"
)


def test_a_worker_that_hangs_is_killed_and_named_and_the_others_go_on_until_they_are_stopped(
    tmp_path: Path,
) -> None:
    file = tmp_path / "load.json"
    with serving() as port:
        process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, f"127.0.0.1:{port}", "--json", str(file), "--slo", "p99<1000s"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | UTF8,
        )
        assert process.stderr is not None
        assert "in all" in process.stderr.readline()  # both have sent a progress
        other, stuck = children_of(process.pid)
        suspend(stuck)
        while "others" not in process.stderr.readline():
            pass
        assert children_of(process.pid) == [other]
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 130
    assert not Path(f"/proc/{other}").exists()
    result = json.loads(file.read_text())
    [lost] = result["lost"]
    assert lost["name"] == f"worker process load-2 (process {stuck})"
    assert lost["reason"] == f"sent nothing for {BEATS} s and was killed"
    assert (lost["connections"], lost["of_connections"], lost["is_counted"]) == (2, 5, False)
    assert result["stopped"]
    [objective] = result["objectives"]
    assert not objective["holds"]
    words = " ".join(stdout.split())
    assert f"worker process load-2 (process {stuck}) sent nothing for {BEATS} s and was killed; " in words
    assert "what it sent after that is in no number" in words


async def test_a_cancelled_load_kills_a_worker_that_hangs() -> None:
    hung = False

    def hang(progress: LoadProgress) -> None:
        nonlocal hung
        if progress.messages and not hung:
            hung = True
            suspend(run._run._workers[1].process.pid)  # type: ignore[union-attr]
            scope.cancel()

    with serving() as port, guarded():
        run = LoadRun(plan_for(port, duration_s=3600.0, processes=2), on_progress=hang)
        with trio.CancelScope() as scope:
            await run.run()
    assert scope.cancelled_caught
    # SIGTERM would have to wait, and Trio would warn of that.
    assert [worker.process.returncode for worker in run._run._workers][1] == -9  # type: ignore[union-attr]


class FakeProcess:
    """A process that does nothing until it is killed."""

    def __init__(self, on_kill: Callable[[], object]) -> None:
        self.kill = on_kill


@pytest.mark.parametrize(("has_sent", "patience_s"), [(True, 30), (False, 60)])
async def test_a_silent_worker_is_killed_after_30_s_and_one_that_starts_after_60(
    has_sent: bool, patience_s: float, autojump_clock: MockClock
) -> None:
    killed: list[float] = []
    channel, theirs = open_json_pair()
    config = LoadWorkerConfig(LoadPlan("h", 1), 0, 1, 1.0, True)
    process = OwnProcess(FakeProcess(lambda: killed.append(trio.current_time())))  # type: ignore[arg-type]
    async with channel:
        with theirs:
            worker = WorkerProcess("load-1", config, process, channel)
            worker._has_sent = has_sent
            await worker._watch()
    assert killed == [patience_s]


@contextlib.asynccontextmanager
async def waiting_worker(most_silent_beats: int | None = None) -> AsyncIterator[JsonChannel]:
    """A worker that waits for the command to start, and the channel to it."""
    ours, theirs = socket.socketpair()

    async def work() -> None:
        async with JsonChannel(theirs) as of_worker:
            await carry_out(of_worker)

    with serving() as port, guarded():
        async with JsonChannel(ours) as channel, trio.open_nursery() as nursery:
            nursery.start_soon(work)
            config = LoadWorkerConfig(plan_for(port), 0, 2, 3600.0, True, most_silent_beats=most_silent_beats)
            await channel.send(encode_load_message(config))
            for part in messages_in_parts(GivenMessages()):
                await channel.send(encode_load_message(part))
            assert decode_load_message(await channel.receive()) == Heartbeat()
            while decode_load_message(await channel.receive()) != LoadWorkerReady():
                pass
            yield channel
            nursery.cancel_scope.cancel()


async def test_a_worker_that_waits_for_the_others_sends_a_heartbeat_every_beat(mock_clock: MockClock) -> None:
    async with waiting_worker() as channel:
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(BEAT_S)
            assert decode_load_message(await channel.receive()) == Heartbeat()


async def test_a_worker_that_waits_for_the_others_ends_when_it_is_stopped() -> None:
    async with waiting_worker() as channel:
        await channel.send(encode_load_message(StopCommand()))
        while (message := decode_load_message(await channel.receive())) == Heartbeat():
            pass
    assert isinstance(message, LoadResult)
    assert (message.stopped, message.sent, message.connections_opened) == (True, 0, 2)


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_load_can_be_stopped_while_a_connection_is_not_open_yet(processes: int) -> None:
    results: list[LoadResult] = []

    async def carry_out_load(run: LoadRun) -> None:
        results.append(await run.run())

    # Its queue has room for one connection, and one is accepted: so the third waits.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        run = LoadRun(
            plan_for(listener.getsockname()[1], connections=3, processes=processes, timeout_s=3600.0)
        )
        with guarded():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(carry_out_load, run)
                accepted, _ = await trio.to_thread.run_sync(listener.accept)
                run.stop()
        accepted.close()
    [result] = results
    assert result.stopped
    assert (result.sent, result.messages, result.errors) == (0, 0, {})
    assert result.connections_opened < 3
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)


async def test_a_worker_ends_when_its_supervisor_hangs(mock_clock: MockClock) -> None:
    beats = 0
    async with waiting_worker(most_silent_beats=4) as channel:
        with contextlib.suppress(trio.EndOfChannel):
            while True:
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(BEAT_S)
                assert decode_load_message(await channel.receive()) == Heartbeat()
                beats += 1
    assert beats in (3, 4)  # the last of them is sent at the same time
