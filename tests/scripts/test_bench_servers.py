"""scripts/bench: the servers echo, and a load believes nothing that it has not compared."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from scripts.benchmark import builds, instructions
from scripts.benchmark.builds import NotBuiltError
from scripts.benchmark.compare import AGAIN, Failure, Means, Run, compare, measure
from scripts.benchmark.contenders import BUILDS, PEERS, PLAIN, USES, Contender, ours, trioecho
from scripts.benchmark.idle import idle_cost
from scripts.benchmark.loads import RunLoad, c_load, choose_load, trioecho_load
from scripts.benchmark.processes import (
    BenchError,
    Cpus,
    cpu_time_s,
    kernel_and_user_ticks,
    resident_kib,
    running_server,
)
from scripts.benchmark.timers import lateness_us, timer_server
from scripts.benchmark.workloads import WORKLOADS, Workload
from tests.support.guard import GUARD_S
from tests.support.slow import slow
from tests.support.wire import frame
from trioecho.base.child_server import ChildServer

ANYWHERE = Cpus(None, None, "anywhere")
SMALL = Workload("small", 2, 3, "1-64B", time_scale=0.1)
LOADS = [trioecho_load, c_load]
BRIEFLY = Means(trioecho_load, seconds=0.1, repeats=1, cpus=ANYWHERE)

HEAD = """\
import socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print(f'listening on 127.0.0.1:{listener.getsockname()[1]}', file=sys.stderr, flush=True)
"""


def python(code: str) -> Contender:
    """Return a server of a few lines."""
    return Contender("a few lines", ("-c", code))


def skip_where_missing(run_load: RunLoad) -> None:
    if run_load is c_load:
        try:
            choose_load("c")
        except NotBuiltError as error:
            pytest.skip(f"no load in C: {error}")


# ---- processes ----


async def test_cpu_time_is_that_of_the_other_process() -> None:
    busy = "import os, time\nwhile time.process_time() < 0.2: pass\nos.write(1, b'done')\nos.read(0, 1)"
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with trio.fail_after(GUARD_S):
        assert await process.stdout.receive_some() == b"done"
        assert 0.2 <= cpu_time_s(process.pid) < 2
        if sys.platform == "linux":
            ticks = kernel_and_user_ticks(process.pid)
            assert ticks is not None
            assert sum(ticks) > 0
        await process.stdin.aclose()
        await process.wait()
    with pytest.raises(BenchError):
        cpu_time_s(process.pid)
    assert kernel_and_user_ticks(process.pid) is None
    with pytest.raises(BenchError):
        resident_kib(process.pid)


async def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(BenchError, match="it burnt down"):
        async with running_server(python("raise SystemExit('it burnt down')").start(0)):
            pass


async def test_a_server_that_fails_is_a_run_that_failed() -> None:
    run = await measure(python("raise SystemExit('it burnt down')"), WORKLOADS["one"], BRIEFLY)
    assert run == Failure("the server did not start; its last line was: it burnt down")


async def test_turns_begin_with_another_server_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measured(contender: Contender, *_: object) -> Run:
        return Run(1000, 1.0, 1.0, 0.5)

    monkeypatch.setattr("scripts.benchmark.compare.measure", measured)
    turns: list[str] = []
    contenders = [Contender("trioecho", ()), Contender("a", ()), Contender("b", ())]
    means = Means(trioecho_load, seconds=1, repeats=4, cpus=ANYWHERE)
    runs = await compare(WORKLOADS["one"], contenders, means, turns.append)
    names = [turn.rpartition(": ")[2] for turn in turns]
    assert [names[turn] for turn in (0, 4, 8, 12)] == ["trioecho", "a", f"trioecho{AGAIN}", "b"]
    assert all(sorted(names[turn : turn + 4]) == sorted(runs) for turn in (0, 4, 8, 12))
    assert {name: len(of_server) for name, of_server in runs.items()} == dict.fromkeys(runs, 4)


# ---- servers ----

CONTENDERS = [*(trioecho(build, use) for build in BUILDS for use in USES), *PEERS]
TAKES_LONG_TO_BUILD = ("compiled", "Rust", "Go")


@pytest.mark.parametrize(
    "contender",
    [slow(each) if any(word in each.name for word in TAKES_LONG_TO_BUILD) else each for each in CONTENDERS],
    ids=lambda contender: contender.name,
)
async def test_every_server_echoes_and_keeps_its_limit(contender: Contender) -> None:
    reason = contender.why_missing()
    if reason is not None:
        pytest.skip(f"{contender.name}: {reason}")
    first, rest = frame(b"hello"), frame(b"") + frame(os.urandom(600_000)) + frame(b"x" * 64) * 100
    with trio.fail_after(GUARD_S):
        async with (
            running_server(contender.start(600_000)) as server,
            await trio.open_tcp_stream("127.0.0.1", server.port) as stream,
        ):
            await stream.send_all(first + first[:7])  # a frame, and another that is cut
            assert await receive_exactly(stream, len(first)) == first
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, first[7:] + rest)
                assert await receive_exactly(stream, len(first + rest)) == first + rest
            await stream.send_all((600_001).to_bytes(4, "big"))
            assert await stream.receive_some() == b""


async def receive_exactly(stream: trio.SocketStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count and (piece := await stream.receive_some(count - len(received))):
        received += piece
    return bytes(received)


# ---- loads ----


@contextlib.asynccontextmanager
async def serving(contender: Contender) -> AsyncIterator[ChildServer]:
    with trio.fail_after(GUARD_S):
        async with running_server(contender.start(1 << 20)) as server:
            yield server


@pytest.mark.parametrize("run_load", LOADS)
async def test_a_load_counts_what_came_back(run_load: RunLoad) -> None:
    skip_where_missing(run_load)
    async with serving(trioecho(PLAIN)) as server:
        load = await run_load(server, SMALL, 1.0)
    assert 0 < load.messages < load.all_messages
    assert load.elapsed_s > 0.05
    assert load.server_cpu_s > 0
    assert 0 < load.load_share <= 1.5
    assert 0 < load.p50_us <= load.p99_us


@pytest.mark.parametrize("size", ["0B", "0-3B", "300KiB"])
async def test_the_load_in_c_sends_frames_of_any_size(size: str) -> None:
    skip_where_missing(c_load)
    async with serving(trioecho(PLAIN)) as server:
        load = await c_load(server, Workload("any", 3, 5, size, time_scale=0.1), 1.0)
    assert load.messages > 0


WRONG = {
    "its last byte is wrong": "peer.sendall(data[:-1] + bytes([data[-1] ^ 1]))",
    "two frames are swapped": "peer.sendall(data[68:136] + data[:68] + data[136:])",
    "a frame is repeated": "peer.sendall(data[:68] + data)",
    "a frame is lost": "peer.sendall(data[68:])",
    "it begins before it was asked": "peer.sendall(data + bytes(4))",
}
# `trioecho load` may send the frame that is lost by itself, and then waits for a minute.
NOTICED_LATE = (trioecho_load, "a frame is lost")


@pytest.mark.parametrize(
    ("run_load", "wrong"),
    [(run_load, wrong) for run_load in LOADS for wrong in WRONG if (run_load, wrong) != NOTICED_LATE],
)
async def test_a_wrong_echo_fails_the_run(run_load: RunLoad, wrong: str) -> None:
    skip_where_missing(run_load)
    liar = f"{HEAD}while True:\n    peer, _ = listener.accept()\n    while data := peer.recv(1 << 20):\n"
    async with serving(python(f"{liar}        {WRONG[wrong]}\n")) as server:
        with pytest.raises(BenchError, match="the load failed: "):
            await run_load(server, Workload("wrong", 1, 4, "64B", time_scale=0.1), 1.0)


@pytest.mark.parametrize("run_load", LOADS)
async def test_a_server_that_hangs_up_fails_the_run(run_load: RunLoad) -> None:
    skip_where_missing(run_load)
    async with serving(python(f"{HEAD}while True:\n    listener.accept()[0].close()\n")) as server:
        with pytest.raises(BenchError, match="the load failed: "):
            await run_load(server, SMALL, 1.0)


@pytest.mark.parametrize("run_load", LOADS)
async def test_a_load_that_cannot_connect_says_so(run_load: RunLoad) -> None:
    skip_where_missing(run_load)
    async with serving(trioecho(PLAIN)) as server:
        with socket.socket() as bound:  # and not listening
            bound.bind(("127.0.0.1", 0))
            server.port = bound.getsockname()[1]
            with pytest.raises(BenchError, match="cannot connect"):
                await run_load(server, SMALL, 1.0)


def test_without_a_compiler_trioecho_load_is_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(source: str) -> Path:
        raise NotBuiltError("cc is not installed")

    monkeypatch.setattr("scripts.benchmark.loads.c_program", missing)
    assert choose_load(None) is trioecho_load
    assert choose_load("trioecho") is trioecho_load
    with pytest.raises(NotBuiltError):
        choose_load("c")


# ---- other modes ----


async def test_an_idle_connection_costs_memory() -> None:
    with trio.fail_after(GUARD_S):
        kib, cpu_ms_per_s = await idle_cost(trioecho(PLAIN), 50, BRIEFLY)
    assert 0 < kib < 100
    assert cpu_ms_per_s >= 0


@pytest.mark.parametrize("workload", [None, SMALL])
async def test_a_timer_is_late(workload: Workload | None) -> None:
    with trio.fail_after(GUARD_S):
        late = await lateness_us(timer_server(PLAIN), workload, BRIEFLY)
    assert 0 <= late["p50"] <= late["p99"] <= late["max"]


# ---- instructions ----


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called perf before all others."""
    perf = folder / "perf"
    perf.write_text(f"#!/bin/sh\n{textwrap.dedent(script)}")
    perf.chmod(perf.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


async def test_instructions_are_counted_where_perf_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """\
    out=/dev/stderr
    while [ $# -gt 0 ]; do
        case $1 in
        -o) out=$2 ;;
        -p) trap 'echo "123000,,instructions:u,5,100.00,," >"$out"; exit' INT
            echo "$2" >"$(dirname "$0")/pid"
            while :; do sleep 0.01; done ;;
        esac
        shift
    done
    echo "7,,instructions:u,5,100.00,," >"$out"
    """
    put_on_path(tmp_path, monkeypatch, script)
    assert instructions.why_not_counted() is None
    means = Means(trioecho_load, seconds=0.3, repeats=1, cpus=ANYWHERE, counts_instructions=True)
    with trio.fail_after(GUARD_S):
        run = await measure(trioecho(PLAIN), SMALL, means)
    assert isinstance(run, Run)
    assert run.instructions is not None
    assert 0 < run.instructions < 123000 / run.messages
    assert int((tmp_path / "pid").read_text()) > 1


def test_a_perf_without_counters_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path, monkeypatch, "echo '<not supported>,,instructions:u,0,100.00,,' >&2")
    assert instructions.why_not_counted() == "perf has no hardware counter here, as in most virtual machines"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert instructions.why_not_counted() == "perf is not installed"


# ---- builds ----


def test_what_was_built_is_built_again_when_its_source_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builds, "BUILT", tmp_path / "built")
    source = tmp_path / "program.c"
    source.write_text("int main(void) { return 3; }")
    builds.c_program.cache_clear()
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    first = builds.c_program(str(source))
    assert subprocess.run([first], check=False).returncode == 3
    assert capsys.readouterr().err == "building program (once) ...\n"
    builds.c_program.cache_clear()
    assert builds.c_program(str(source)) == first
    assert not capsys.readouterr().err
    source.write_text("int main(void) { return 4; }")
    builds.c_program.cache_clear()
    assert subprocess.run([builds.c_program(str(source))], check=False).returncode == 4
    assert not first.exists()
    source.write_text("int main(void) { return five; }")
    builds.c_program.cache_clear()
    with pytest.raises(NotBuiltError, match=r"cc failed: .*five"):
        builds.c_program(str(source))
    builds.c_program.cache_clear()


def test_a_server_whose_compiler_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    native = [peer for peer in PEERS if peer.name in ("Go", "Rust tokio", "C epoll")]
    for build in (builds.c_program, builds.go_program, builds.rust_program):
        build.cache_clear()
    reasons = [peer.why_missing() for peer in native]
    assert reasons == ["go is not installed", "cargo is not installed", "cc is not installed"]


def test_another_build_is_started_as_it_is_given() -> None:
    contender = ours("other", ["/bin/other", "serve", "--max-frame-length", "{max_frame_length}"])
    assert contender.start(5).command == ["/bin/other", "serve", "--max-frame-length", "5"]
