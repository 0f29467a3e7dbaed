"""Loads on real sockets, against servers that are not ours: blocking sockets in threads."""

from __future__ import annotations

import contextlib
import gc
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.guard import GUARD_S, guarded
from tests.support.load_world import errors_of
from tests.support.slow import slow
from tests.support.wire import split_frames
from trioecho.load import (
    CannotConnectError,
    LoadPlan,
    LoadProgress,
    LoadRun,
    Sizes,
    TooManyConnectionsError,
    result_as_json,
    result_from_json,
    run_load,
)
from trioecho.load.processes.local import LocalRun

Handler = Callable[[socket.socket], object]
EVERY_POLLER = pytest.mark.usefixtures("poller")


def echo(peer: socket.socket) -> None:
    while data := peer.recv(1 << 16):
        peer.sendall(data)


@contextlib.contextmanager
def serving(handler: Handler = echo) -> Iterator[int]:
    """A server with a thread for each connection; gives its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        threads: list[threading.Thread] = []
        peers: list[socket.socket] = []

        def serve(peer: socket.socket) -> None:
            with peer, contextlib.suppress(OSError):
                handler(peer)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    peers.append(peer)
                    threads.append(threading.Thread(target=serve, args=(peer,)))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for peer in peers:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def plan_for(port: int, **changes: Any) -> LoadPlan:
    return LoadPlan("127.0.0.1", port, **changes)


@EVERY_POLLER
async def test_the_homework_load() -> None:
    with serving() as port, guarded():
        result = await run_load(plan_for(port))
    assert (result.sent, result.messages, result.errors) == (1000, 1000, {})
    assert result.bytes == 1000 * 68
    assert result.latency_ns.count == result.from_send_ns.count == 1000
    assert result.connect_ns.count == result.connections_opened == 5
    assert not result.stopped
    assert result.elapsed_s > 0
    assert sum(step.messages for step in result.intervals) == 1000
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)


@pytest.mark.parametrize("processes", [2, slow(3)])
@pytest.mark.parametrize(
    "mode", [{}, slow({"rate": 2000}), slow({"think_s": 0.001})], ids=["closed", "open", "think"]
)
async def test_processes_share_a_load_exactly(processes: int, mode: dict[str, Any]) -> None:
    progress: list[LoadProgress] = []
    plan_changes = {"connections": 5, "messages": 20, "processes": processes, **mode}
    with serving() as port, guarded():
        plan = plan_for(port, **plan_changes)
        result = await run_load(plan, on_progress=progress.append, progress_interval_s=0.01)
    assert result.plan == plan
    assert (result.sent, result.messages, result.errors) == (100, 100, {})
    assert result.latency_ns.count == 100
    assert len(result.health.cpu_shares) == processes
    assert result.connections_opened == 5
    assert progress[0].phase == "connecting"
    assert all(part.sent <= 100 for part in progress)
    assert result.from_send_ns.count == 100
    assert sum(part.from_send_ns.count for part in progress) <= (100 if plan.is_open else 0)


@pytest.mark.parametrize("processes", [1, 2])
async def test_messages_are_the_same_whatever_the_number_of_processes(processes: int) -> None:
    seen: dict[bytes, int] = {}
    lock = threading.Lock()

    def record(peer: socket.socket) -> None:
        received = b""
        while data := peer.recv(1 << 16):
            received += data
            peer.sendall(data)
        with lock:
            for frame in split_frames(received)[0]:
                seen[frame] = seen.get(frame, 0) + 1

    with serving(record) as port, guarded():
        plan = plan_for(port, connections=3, messages=100, processes=processes, sizes=Sizes.of(10, 40))
        await run_load(plan)
    from trioecho.load.engine.payloads import rebuild_payload

    expected = [rebuild_payload(plan, c, n) for c in range(3) for n in range(1, 101)]
    assert seen == {len(payload).to_bytes(4, "big") + payload: 1 for payload in expected}


@EVERY_POLLER
async def test_huge_messages() -> None:
    with serving() as port, guarded():
        plan = plan_for(port, connections=2, messages=3, pipeline=2, sizes=Sizes.of(5_000_000))
        result = await run_load(plan)
    assert (result.sent, result.messages, result.errors) == (6, 6, {})


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_refused_connection_is_an_error_before_anything_is_sent(processes: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with guarded(), pytest.raises(CannotConnectError, match="connection refused") as caught:
            await run_load(plan_for(port, processes=processes))
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)


async def test_what_the_program_has_frozen_stays_frozen() -> None:
    gc.freeze()
    with serving() as port, guarded():
        await run_load(plan_for(port))
    assert gc.get_freeze_count() > 0


async def test_more_connections_than_files_may_be_open() -> None:
    with serving() as port, guarded(), pytest.raises(TooManyConnectionsError, match="ulimit -Hn 5000064"):
        await run_load(plan_for(port, connections=5_000_000))


PACES: list[Any] = [{}, {"rate": 1000}, slow({"think_s": 0.01})]


@pytest.mark.parametrize("pace", PACES, ids=str)
@EVERY_POLLER
async def test_a_load_can_be_stopped(pace: dict[str, Any]) -> None:
    await stop_a_load(**pace)


@pytest.mark.parametrize("pace", PACES, ids=str)
async def test_a_load_of_two_processes_can_be_stopped(pace: dict[str, Any]) -> None:
    await stop_a_load(processes=2, **pace)


async def stop_a_load(**changes: Any) -> None:
    with serving() as port, guarded():

        def stop(progress: LoadProgress) -> None:
            if progress.messages:
                run.stop()

        plan = plan_for(port, duration_s=3600.0, **changes)
        run = LoadRun(plan, on_progress=stop, progress_interval_s=0.05)
        result = await run.run()
    assert result.stopped
    assert result.sent == result.messages > 0
    assert result.errors == {}
    assert result.elapsed_s < 60


async def test_a_cancelled_load_leaves_nothing() -> None:
    ended = threading.Semaphore(0)

    def handler(peer: socket.socket) -> None:
        try:
            echo(peer)
        finally:
            ended.release()

    with serving(handler) as port, guarded():
        for processes in (1, 2):
            with trio.CancelScope() as scope:

                def cancel(progress: LoadProgress, scope: trio.CancelScope = scope) -> None:
                    if progress.messages:
                        scope.cancel()

                plan = plan_for(port, connections=4, duration_s=3600.0, processes=processes)
                await run_load(plan, on_progress=cancel, progress_interval_s=0.05)
            assert scope.cancelled_caught
            for _ in range(4):
                assert await trio.to_thread.run_sync(partial(ended.acquire, timeout=GUARD_S))


@EVERY_POLLER
@pytest.mark.parametrize("processes", [1, 2])
async def test_its_time_is_that_of_the_measured_part(processes: int) -> None:
    began = datetime.now(timezone.utc)
    with serving() as port, guarded():
        result = await run_load(plan_for(port, warmup_s=0.3, messages=3, processes=processes))
    assert began + timedelta(seconds=0.3) <= result.started_at <= datetime.now(timezone.utc)


async def test_a_server_that_dies_in_the_middle() -> None:
    numbers = itertools.count(1)  # next() of it is atomic

    def dying(peer: socket.socket) -> None:
        while (data := peer.recv(1 << 16)) and next(numbers) <= 100:
            peer.sendall(data)

    with serving(dying) as port, guarded():
        result = await run_load(plan_for(port, connections=4, duration_s=3600.0, timeout_s=1.0))
    assert result.messages == 100
    assert result.errors["connection_closed"] + result.errors.get("connection_lost", 0) == 4
    assert result.sent == 100 + result.errors["missing"]


@EVERY_POLLER
async def test_one_wrong_byte_over_a_real_socket() -> None:
    lock = threading.Lock()
    corrupted = False

    def corrupting(peer: socket.socket) -> None:
        nonlocal corrupted
        while data := peer.recv(1 << 16):
            with lock:
                if not corrupted:
                    data, corrupted = data[:-1] + bytes([data[-1] ^ 1]), True
            peer.sendall(data)

    with serving(corrupting) as port, guarded():
        result = await run_load(plan_for(port, connections=3, messages=50))
    assert result.errors == {"wrong": 1}
    assert [(kind, number) for kind, _, number in errors_of(result)] == [("wrong", 1)]
    assert result.messages == 149


async def test_a_worker_imports_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("random", "trio", "trioecho"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('boo')")
    monkeypatch.chdir(tmp_path)
    with serving() as port, guarded():
        result = await run_load(plan_for(port, connections=2, messages=5, processes=2))
    assert result.messages == 10


@EVERY_POLLER
async def test_a_stall_shows_in_an_open_loop_and_hides_from_a_closed_one() -> None:
    def stalling(peer: socket.socket) -> None:
        count = 0
        while data := peer.recv(1 << 16):
            before, count = count, count + len(data)
            if before < 20 * 68 <= count:  # however many come together
                time.sleep(0.4)
            peer.sendall(data)

    with serving(stalling) as port, guarded():
        closed = await run_load(plan_for(port, connections=1, messages=1000))
        opened = await run_load(plan_for(port, connections=1, duration_s=1.0, rate=500))
    for result in (closed, opened):
        assert result.errors == {}
        assert result.latency_ns.max > 390_000_000
    assert sum(step.latency_ns.count for step in closed.intervals) == 1000
    p90 = opened.latency_ns.percentile(90)
    assert p90 is not None
    # 200 of 500 messages were due while the server stood still; one of 1000 was not sent.
    assert p90 > 200_000_000
    p99 = closed.latency_ns.percentile(99)
    assert p99 is not None
    assert p99 < p90


def part_of(plan: LoadPlan, first: int = 0, count: int = 5, **options: Any) -> LocalRun:
    """What a worker runs: so many of the plan's connections, from this one on."""
    return LocalRun(plan, first, count, on_progress=lambda progress: None, progress_interval_s=1.0, **options)


@EVERY_POLLER
async def test_a_worker_that_hears_late_when_to_start_starts_at_once() -> None:
    async def long_ago() -> int:
        return time.perf_counter_ns() - 10**9

    with serving() as port, guarded():
        plan = plan_for(port, messages=20, rate=1000)
        run = part_of(plan, when_to_start=long_ago)
        result = await run.run()
    assert (result.sent, result.messages) == (100, 100)
    assert result.health.send_lateness_ns.max > 10**9 - 10**8  # and says so


@EVERY_POLLER
@pytest.mark.parametrize("kind", [{"rate": 1000.0}, {}], ids=["open loop", "closed loop"])
async def test_a_worker_starts_at_its_moment_and_not_before(kind: dict[str, float]) -> None:
    late_ns: list[int] = []

    async def soon() -> int:
        return time.perf_counter_ns() + 50_000_000

    with serving() as port, guarded():
        plan = plan_for(port, messages=20, **kind)
        run = part_of(plan, when_to_start=soon, on_start=late_ns.append)
        result = await run.run()
    assert (result.sent, result.messages, result.errors) == (100, 100, {})
    [late] = late_ns
    assert late >= 0


async def test_a_server_is_not_silent_before_it_was_sent_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its silence is measured from the start on, for which a worker may wait long."""
    events: list[str] = []

    async def measure_silence(*_: object) -> None:
        events.append("silence")

    async def when_all_are_ready() -> int:
        await trio.testing.wait_all_tasks_blocked()
        events.append("start")
        return time.perf_counter_ns()

    monkeypatch.setattr(LocalRun, "_ask_a_silent_server", measure_silence)
    with serving() as port, guarded():
        result = await part_of(plan_for(port, messages=20), when_to_start=when_all_are_ready).run()
    assert result.messages == 100
    assert events == ["start", "silence"]


@pytest.mark.parametrize("warmup_s", [0.0, 1.0])
async def test_a_worker_that_is_stopped_just_before_its_moment_sends_nothing(
    warmup_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    starts: list[int] = []

    async def wait_until(moment_ns: int) -> None:
        waits.append(moment_ns)
        if len(waits) == 2:  # the engine is ready
            run.stop()
            await trio.sleep_forever()

    async def in_an_hour() -> int:
        return time.perf_counter_ns() + 3600 * 10**9

    monkeypatch.setattr("trioecho.load.processes.local.wait_until", wait_until)
    with serving() as port, guarded():
        plan = plan_for(port, rate=1000.0, duration_s=2.0, warmup_s=warmup_s)
        run = part_of(plan, when_to_start=in_an_hour, on_start=starts.append)
        result = await run.run()
    assert len(waits) == 2
    assert starts == []
    assert (result.sent, result.messages, result.errors, result.elapsed_s) == (0, 0, {}, 0.0)
    assert result.stopped


@EVERY_POLLER
async def test_connections_on_which_no_message_is_due_say_nothing_about_the_server() -> None:
    with serving() as port, guarded():
        plan = plan_for(port, connections=4, rate=5.0, duration_s=0.3)  # two messages, on the first two
        run = part_of(plan, 2, 2)
        result = await run.run()
    assert (result.sent, result.connections_opened, result.errors) == (0, 2, {})


@EVERY_POLLER
async def test_think_times_on_real_sockets() -> None:
    with serving() as port, guarded():
        began = time.perf_counter_ns()
        result = await run_load(plan_for(port, connections=3, messages=20, pipeline=2, think_s=0.005))
        took_ns = time.perf_counter_ns() - began
    assert (result.sent, result.messages, result.errors) == (60, 60, {})
    assert result.health.send_lateness_ns.count == 60
    # Of each place in the pipeline the messages follow one another: nine think times at least.
    assert took_ns > result.elapsed_s * 1e9 > 9 * 5_000_000
