"""Workers that hang, and how workers are started."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.base.test_processes import EVIL
from tests.server.workers.test_workers import ends_of, wait_for_report, workers_of
from tests.support.guard import GUARD_S
from tests.support.processes import SERVE_WITH_WORKERS, ServerProcess, server_process, suspend
from tests.support.sockets import echoes, receive_exactly
from tests.support.wire import frame
from trioecho.base.processes import Program
from trioecho.server.workers.worker_slot import WorkerSlot

BEATS = 4
# Does not wait as long as usual for a word of a worker.
IMPATIENT = (
    "-c",
    "import sys, trioecho.cli, trioecho.server.workers.worker_slot as slot\n"
    f"slot._SILENT_BEATS = {BEATS}\n"
    "sys.exit(trioecho.cli.main(['serve', '--workers', '2', *sys.argv[1:]]))",
)


def test_a_worker_that_hangs_is_replaced_and_its_queue_is_served() -> None:
    with server_process(command=IMPATIENT) as server:
        stuck = workers_of(server)[0]
        suspend(stuck)
        with ends_of([stuck]):
            peers = [server.connect() for _ in range(20)]
            for peer in peers:
                peer.sendall(frame(b"some for the one that hangs"))
            for peer in peers:
                assert receive_exactly(peer, 31) == frame(b"some for the one that hangs")
                peer.close()
        assert server.stop() == 0
    assert f"(process {stuck}) has said nothing for {BEATS} s; it is killed" in server.log
    assert f"(process {stuck}) was ended by SIGKILL" in server.log
    assert "starting another" in server.log
    assert server.reports[-1]["messages_total"] == 20
    assert server.reports[-1]["errors"] == {"worker_died": 1}


def test_a_worker_that_hangs_does_not_hold_up_a_drain_without_a_grace() -> None:
    with server_process("--grace", "0", "--metrics-interval", "50ms", command=IMPATIENT) as server:
        peers = [server.connect() for _ in range(20)]
        for peer in peers:
            assert echoes(peer, frame(b"hello"))
        wait_for_report(server, lambda report: report["messages_total"] == report["connections"] == 20)
        [stuck, _] = workers_of(server)
        suspend(stuck)
        with ends_of([stuck]):
            assert server.stop() == 4
        for peer in peers:
            peer.close()
    # What it had told counts; what may be missing is told.
    assert server.reports[-1]["messages_total"] == 20
    assert server.reports[-1]["final"] is True
    assert "so is the count of what it echoed since its last message" in server.log


@contextlib.contextmanager
def killing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A slot whose worker never says anything, and when it was killed."""
    killed: list[float] = []
    slot = WorkerSlot(
        1,
        "1 of 1",
        [],
        program=Program([]),
        config=lambda descriptors: pytest.fail("it is not to be started"),
        drain_began=trio.Event(),
        on_counts=lambda counts: None,
        on_ready=lambda: None,
    )
    monkeypatch.setattr(slot, "_kill", lambda process, why: killed.append(trio.current_time()))
    yield slot, killed


@pytest.mark.parametrize(("is_ready", "patience_s"), [(True, 10), (False, 60)])
async def test_a_silent_worker_is_killed_after_10_s_and_one_that_starts_after_60(
    is_ready: bool, patience_s: float, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killing(monkeypatch) as (slot, killed):
        slot.is_ready = is_ready
        await slot._watch(None)
    assert killed == [patience_s]


async def test_the_silence_of_workers_while_the_whole_service_is_suspended_does_not_count(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killing(monkeypatch) as (slot, killed):
        slot.is_ready = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slot._watch, None)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(3600)
            await trio.testing.wait_all_tasks_blocked()
            assert killed == []
            for _ in range(8):
                mock_clock.jump(1)
                await trio.testing.wait_all_tasks_blocked()
            assert killed == []
            mock_clock.jump(1)
    assert killed == [3609]


# ---- how they are started ----


def test_the_arguments_of_a_worker_say_which_one_it_is_and_of_what() -> None:
    with server_process(command=SERVE_WITH_WORKERS) as server:
        commands = [Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in workers_of(server)]
        assert server.stop() == 0
    shown = sorted(" ".join(command) for command in commands)
    for number, line in enumerate(shown, start=1):
        assert f" -m trioecho worker --name {number} of 2 on 127.0.0.1:{server.port} --socket " in line
        assert len(line) - len(sys.executable) < 100


def test_the_demo_imports_nothing_from_the_working_directory(tmp_path: Path) -> None:
    for name in EVIL:
        (tmp_path / f"{name}.py").write_text('raise SystemExit("boo")')
    process = subprocess.Popen(
        [Path(sys.executable).with_name("trioecho"), "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    # Its server runs, and a client has come.
    assert any("100 of 100" in line for line in iter(process.stdout.readline, ""))
    process.terminate()
    _, log = process.communicate(timeout=GUARD_S)
    assert "boo" not in log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_too_few_descriptors_to_start_are_one_line(workers: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--workers", workers],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)),
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "too many open files: raise the limit (ulimit -n)" in done.stderr


@pytest.mark.parametrize("arguments", [("--workers", "2"), ()])
def test_the_installed_command_imports_nothing_from_the_working_directory(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    for name in EVIL:
        (tmp_path / f"{name}.py").write_text('raise SystemExit("boo")')
    process = subprocess.Popen(
        [Path(sys.executable).with_name("trioecho"), "serve", "--port", "0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    server = ServerProcess(process)
    with server.connect() as peer:
        assert echoes(peer, frame(b"hello"))
    assert server.stop() == 0
