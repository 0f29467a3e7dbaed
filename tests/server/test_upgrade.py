"""SIGUSR2: another process takes the place of a service, and nobody who connects notices."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio

from tests.support.guard import GUARD_S, guarded
from tests.support.http import ask, samples_of
from tests.support.notifications import open_notifications
from tests.support.processes import SERVE, SERVE_WITH_WORKERS, ServerProcess, run_command
from tests.support.slow import slow
from tests.support.sockets import LOOPBACK, echoes, receive_all
from tests.support.tls import write_files
from tests.support.tls_by_hand import TlsPeer, receive, shake_hands
from tests.support.wire import frame
from trioecho.base.handover import READY, VARIABLE, Handover
from trioecho.cli import service_upgrade
from trioecho.cli.service_upgrade import OwnCommand, UpgradeError, Upgrades, start_successor
from trioecho.load import Churn, LoadPlan, LoadProgress, LoadRun

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="descriptors are inherited as POSIX has it")

one_process_and_slowly_two = pytest.mark.parametrize(
    "command", [SERVE, slow(SERVE_WITH_WORKERS)], ids=["one process", "workers"]
)


class Upgradable(ServerProcess):
    """A server, and those that take its place; they write where it does.

    Attributes:
      number: of the process that serves now.
      said: the log, as far as it was read.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.said = ""
        super().__init__(process)
        self.number = process.pid

    def read_log_line(self) -> str:
        line = super().read_log_line()
        self.said += line
        return line

    def log_line_with(self, words: str) -> str:
        """Wait for a line of the log that has these words."""
        while words not in (line := self.read_log_line()):
            assert line, f"the log has no {words!r}"
        return line

    def upgrade(self, *, until_the_old_one_has_ended: bool = False) -> None:
        """Have another process take its place, and wait until it has."""
        ended = os.pidfd_open(self.number)
        os.kill(self.number, signal.SIGUSR2)
        said = ""  # by two processes, one of which may be the first
        while not ("takes over" in said and "taken over" in said):
            line = self.read_log_line()
            assert line, f"nobody has taken over: {said}"
            said += line
        [(new, old)] = re.findall(r"process (\d+) takes over from process (\d+)\n", said)
        assert int(old) == self.number
        assert f"SIGUSR2: process {new} has taken over; draining " in said
        self.number = int(new)
        if until_the_old_one_has_ended:
            wait_for_end(ended)
        os.close(ended)

    def end(self) -> None:
        """End what serves now, and wait until all have ended; the output is complete after that."""
        os.kill(self.number, signal.SIGTERM)
        assert self.wait() == 0

    @property
    def messages(self) -> list[int]:
        """The final counts of all that have served, in the order in which they have ended."""
        return [report["messages_total"] for report in self.reports if report["final"]]


def wait_for_end(pidfd: int) -> None:
    assert select.select([pidfd], [], [], GUARD_S)[0], "it still runs"


@contextlib.contextmanager
def upgradable(
    *arguments: str,
    command: Sequence[str] = SERVE,
    pass_fds: Sequence[int] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[Upgradable]:
    process = subprocess.Popen(
        [sys.executable, *command, "--metrics-format", "json", "--metrics-interval", "0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    try:
        yield Upgradable(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# ---- without a gap ----


@pytest.mark.parametrize(
    ("command", "kind"),
    [(SERVE, "TCP"), slow(SERVE_WITH_WORKERS, "TCP"), slow(SERVE, "Unix"), slow(SERVE_WITH_WORKERS, "Unix")],
    ids=["TCP", "TCP with workers", "Unix", "Unix with workers"],
)
async def test_nobody_is_refused_and_nothing_is_lost(
    command: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    socket_file = tmp_path / "echo.sock"
    where = f"unix:{socket_file}" if kind == "Unix" else f"{LOOPBACK}:0"
    seen = 0
    wanted: list[tuple[int, trio.Event]] = []

    def on_progress(progress: LoadProgress) -> None:
        nonlocal seen
        seen = progress.messages
        for at, event in wanted:
            if seen >= at and progress.connections == 5:
                event.set()

    async def messages(more: int) -> None:
        wanted.append((seen + more, trio.Event()))
        await wanted[-1][1].wait()

    with upgradable("--listen", where, command=command) as server, guarded():
        plan = LoadPlan(server.host, server.port, churn=Churn(reconnect=True), duration_s=600.0)
        run = LoadRun(plan, on_progress=on_progress, progress_interval_s=0.01)

        async def upgrade_twice() -> None:
            for _ in range(2):
                await messages(100)
                await trio.to_thread.run_sync(server.upgrade)
            await messages(100)
            run.stop()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade_twice)
            result = await run.run()
        await trio.to_thread.run_sync(server.end)
    assert result.errors == {}
    assert result.messages == result.due
    assert result.churn.failed_attempts == {}
    assert len(server.messages) == 3
    assert result.messages == sum(server.messages)
    assert not socket_file.exists()


def test_who_is_queued_is_left_to_the_new_process() -> None:
    with upgradable("--max-connections", "2", "--port", "0") as server:
        busy = [server.connect() for _ in range(2)]
        for peer in busy:
            peer.sendall(frame(b"hello") + frame(b"unfinished")[:6])
            assert peer.recv(9) == frame(b"hello")
        queued = [server.connect() for _ in range(5)]
        for peer in queued:
            peer.sendall(frame(b"queued"))
        server.upgrade()
        for peer in queued:
            assert peer.recv(10) == frame(b"queued")
            peer.close()
        for peer in busy:
            peer.sendall(frame(b"unfinished")[6:])
            assert receive_all(peer) == frame(b"unfinished")
            peer.close()
        assert server.process.wait(GUARD_S) == 0
        server.end()
    assert server.messages == [4, 5]


@pytest.mark.slow
def test_the_number_of_workers_may_change(tmp_path: Path) -> None:
    config = tmp_path / "service.toml"
    served = 0
    config.write_text("[serve]\nworkers = 1\n")
    where = ("--listen", f"{LOOPBACK}:0", "--listen", f"unix:{tmp_path}/echo.sock")
    with upgradable("--config", str(config), *where) as server:
        for workers in (3, 2, 1, 2):
            config.write_text(f"[serve]\nworkers = {workers}\n")
            # Whom the old one has accepted just before its drain sees the end of the stream.
            server.upgrade(until_the_old_one_has_ended=True)
            for place in (0, 1):
                peers = [server.connect(place) for _ in range(20)]
                for peer in peers:
                    assert echoes(peer, frame(b"hello"))
                    served += 1
                    peer.close()
        server.end()
    assert sum(server.messages) == served
    assert not (tmp_path / "echo.sock").exists()


def test_new_code_is_served_and_code_that_fails_is_not(tmp_path: Path) -> None:
    module, path = tmp_path / "shop.py", tmp_path / "shop.sock"
    module.write_text("def reply(message: bytes) -> bytes:\n    return b'old'\n")
    with upgradable(f"{module}:reply", "--listen", f"unix:{path}") as server:

        def asked() -> bytes:
            with server.connect() as peer:
                peer.sendall(frame(b"?"))
                return peer.recv(100)

        assert asked() == frame(b"old")
        module.write_text("def reply(message: bytes) -> bytes:\n    return nonsense this is\n")
        os.kill(server.number, signal.SIGUSR2)
        assert "SIGUSR2: starting the process that takes the place of process" in server.read_log_line()
        assert "shop.py" in server.read_log_line()
        line = server.read_log_line()
        assert re.search(
            rf" error: SIGUSR2: process \d+ ended with exit code 2 before it could serve; process "
            rf"{server.number} serves on$",
            line.strip(),
        )
        assert asked() == frame(b"old")
        module.write_text("def reply(message: bytes) -> bytes:\n    return b'newer'\n")
        server.upgrade(until_the_old_one_has_ended=True)
        assert asked() == frame(b"newer")
        server.end()
    assert not path.exists()


@pytest.mark.slow
def test_workers_that_cannot_start_leave_the_file_to_those_that_serve(tmp_path: Path) -> None:
    module, path = tmp_path / "shop.py", tmp_path / "shop.sock"
    service = """
import contextlib, pathlib

@contextlib.asynccontextmanager
async def shop():
    if pathlib.Path(__file__).with_name("closed").exists():
        raise ValueError("closed")
    yield bytes.upper
"""
    module.write_text(service)
    with upgradable(f"{module}:shop", "--workers", "2", "--listen", f"unix:{path}") as server:
        (tmp_path / "closed").touch()
        os.kill(server.number, signal.SIGUSR2)
        assert "exit code 3 before it could serve" in server.log_line_with("serves on")
        with server.connect() as peer:
            peer.sendall(frame(b"hello"))
            assert peer.recv(100) == frame(b"HELLO")
        server.end()


@pytest.mark.skipif(importlib.util.find_spec("prometheus_client") is None, reason="--admin needs it")
@pytest.mark.parametrize("kind", ["TCP", slow("Unix")])
def test_admin_pages_stay_where_they_are_and_are_those_of_the_new_process(kind: str, tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/admin.sock" if kind == "Unix" else f"{LOOPBACK}:0"
    with upgradable("--port", "0", "--admin", where) as server:
        url = server.log_line_with("admin on").strip().rpartition(" ")[2]
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        server.upgrade(until_the_old_one_has_ended=True)
        assert ask(url, "/readyz").status == 200
        assert samples_of(ask(url, "/metrics").text)["trioecho_messages_total"] == 0
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        assert samples_of(ask(url, "/metrics").text)["trioecho_messages_total"] == 1
        server.end()
    assert list(tmp_path.iterdir()) == []


# ---- signals meanwhile ----


def test_a_service_that_ends_takes_the_process_that_does_not_serve_yet_with_it(tmp_path: Path) -> None:
    module = tmp_path / "shop.py"
    module.write_text("""
import contextlib, pathlib, trio

@contextlib.asynccontextmanager
async def shop():
    if pathlib.Path(__file__).with_name("slow").exists():
        pathlib.Path(__file__).with_name("slow").unlink()
        await trio.sleep_forever()
    yield bytes.upper
""")
    with upgradable(f"{module}:shop", "--listen", f"unix:{tmp_path}/shop.sock") as server:
        (tmp_path / "slow").touch()
        os.kill(server.number, signal.SIGUSR2)
        server.log_line_with("starting the process")
        while (tmp_path / "slow").exists():
            os.sched_yield()
        server.end()  # which reads until no process is left that could write
    assert "SIGTERM: the service had not started" in server.said + server.log


SLOW_SHOP = """
import contextlib, pathlib, trio

@contextlib.asynccontextmanager
async def shop():
    slow = pathlib.Path(__file__).with_name("slow")
    while slow.exists():
        await trio.sleep(0.01)
    yield bytes.upper
"""


def test_a_second_one_while_the_first_goes_on_is_ignored_and_says_so(tmp_path: Path) -> None:
    module, files = tmp_path / "shop.py", write_files(tmp_path)
    module.write_text(SLOW_SHOP)
    where = "--listen", f"unix:{tmp_path}/shop.sock"
    with upgradable(f"{module}:shop", *where, "--grace", "0", *files.options) as server:
        first, first_ended = server.number, os.pidfd_open(server.number)
        plain, peer = server.connect(), TlsPeer()
        shake_hands(peer, plain)
        plain.sendall(peer.records(frame(b"hello") + frame(b"unfinished")[:6]))
        assert receive(peer, plain, 9) == frame(b"HELLO")
        (tmp_path / "slow").touch()
        os.kill(first, signal.SIGUSR2)
        server.log_line_with("SIGUSR2: starting the process that takes the place of process")
        os.kill(first, signal.SIGUSR2)
        server.log_line_with("SIGUSR2: ignored: a process that takes the place of this one starts already")
        os.kill(first, signal.SIGHUP)  # it still serves
        server.log_line_with(f"SIGHUP: {files.certfile} was read again, for new connections")
        (tmp_path / "slow").unlink()
        line = server.log_line_with("has taken over; draining 1 connection")
        [new] = re.findall(r"SIGUSR2: process (\d+) has taken over", line)
        for number, words in (
            (signal.SIGUSR2, f"SIGUSR2: ignored: process {new} has taken over already"),
            (signal.SIGHUP, f"SIGHUP: ignored: in a drain no connection begins that needs {files.certfile}"),
        ):
            os.kill(first, number)
            server.log_line_with(words)
        plain.sendall(peer.records(frame(b"unfinished")[6:]))
        assert receive(peer, plain, 14) == frame(b"UNFINISHED")
        plain.close()
        wait_for_end(first_ended)
        os.close(first_ended)
        server.number = int(new)
        server.end()
    assert server.messages == [2, 0]


def test_in_a_drain_and_when_a_service_ends_before_the_other_serves(tmp_path: Path) -> None:
    module = tmp_path / "shop.py"
    module.write_text(SLOW_SHOP)
    where = "--listen", f"unix:{tmp_path}/shop.sock"
    with upgradable(f"{module}:shop", *where, "--grace", "0") as server, server.connect() as peer:
        peer.sendall(frame(b"hello") + frame(b"unfinished")[:6])
        assert peer.recv(9) == frame(b"HELLO")
        (tmp_path / "slow").touch()
        os.kill(server.number, signal.SIGUSR2)
        server.log_line_with("SIGUSR2: starting the process")
        os.kill(server.number, signal.SIGTERM)
        server.log_line_with("SIGTERM: draining 1 connection")
        server.log_line_with(f"that was to take the place of process {server.number} is ended, too")
        os.kill(server.number, signal.SIGUSR2)
        server.log_line_with(
            f"SIGUSR2: ignored: process {server.number} drains, and is not replaced any more"
        )
        peer.sendall(frame(b"unfinished")[6:])
        assert receive_all(peer) == frame(b"UNFINISHED")
        assert server.wait() == 0
    assert server.messages == [2]


def test_one_signal_does_not_cut_the_drain_short_that_follows_an_upgrade_and_two_do() -> None:
    with upgradable("--port", "0", "--grace", "0") as server:
        first = server.number
        with server.connect() as peer:
            peer.sendall(frame(b"hello") + frame(b"unfinished")[:6])
            assert peer.recv(9) == frame(b"hello")
            server.upgrade()
            os.kill(first, signal.SIGTERM)
            server.log_line_with("SIGTERM: draining already; another signal stops at once")
            peer.sendall(frame(b"unfinished")[6:] + frame(b"again")[:5])
            assert peer.recv(14) == frame(b"unfinished")
            os.kill(first, signal.SIGTERM)
            assert server.process.wait(GUARD_S) in (0, 130)
        os.kill(server.number, signal.SIGTERM)
        server.wait()
    assert sum(server.messages) == 2


def test_a_program_of_ones_own_is_not_started_again(tmp_path: Path) -> None:
    program = tmp_path / "shop.py"
    program.write_text("from trioecho import run_service\nrun_service(lambda message: b'mine', port=0)\n")
    process = subprocess.Popen(
        [sys.executable, program], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        server = ServerProcess(process)
        with server.connect() as peer:
            server.send_signal(signal.SIGUSR2)
            peer.sendall(frame(b"?"))
            assert peer.recv(100) == frame(b"mine")
        assert server.stop() == 0
        assert "SIGUSR2" not in server.log
    finally:
        process.kill()


# ---- service managers ----

# Puts a descriptor where a service manager does, and becomes the service.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@one_process_and_slowly_two
def test_a_manager_is_told_which_process_is_the_main_one_now(command: tuple[str, ...]) -> None:
    with (
        open_notifications() as told,
        socket.create_server((LOOPBACK, 0)) as passed,
    ):
        environment = {"NOTIFY_SOCKET": told.address, "WATCHDOG_USEC": "1000000"}
        launched = ("-c", LAUNCH, str(passed.fileno()), *command)
        with upgradable(command=launched, pass_fds=[passed.fileno()], environment=environment) as server:
            assert server.port == passed.getsockname()[1]
            server.log_line_with(f"passed by the service manager: web ({LOOPBACK}:{server.port})")
            server.upgrade(until_the_old_one_has_ended=True)
            lines = told.lines_until(f"MAINPID={server.number}")
            assert sum(line.startswith("MAINPID=") for line in lines) == 1
            assert "STOPPING=1" not in lines
            told.lines_until("WATCHDOG=1")  # of the new one
            with server.connect() as peer:
                assert echoes(peer, frame(b"hello"))
            os.kill(server.number, signal.SIGTERM)
            told.lines_until("STOPPING=1")
            assert server.wait() == 0


# ---- what cannot be ----


def test_addresses_that_have_changed_are_said_and_the_old_ones_kept(tmp_path: Path) -> None:
    config = tmp_path / "service.toml"
    config.write_text(f'[serve]\nlisten = ["{LOOPBACK}:0"]\n')
    with upgradable("--config", str(config)) as server:
        config.write_text(f'[serve]\nlisten = ["unix:{tmp_path}/echo.sock"]\n')
        server.upgrade(until_the_old_one_has_ended=True)
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        server.end()
    assert (
        f"an upgrade keeps the addresses, which were {LOOPBACK}:0; to listen elsewhere, "
        in server.said + server.log
    )
    assert not (tmp_path / "echo.sock").exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", "nonsense", '{"process": 1}'])
def test_a_variable_that_somebody_else_has_set_is_one_line(text: str) -> None:
    done = run_command("serve", "--port", "0", env={VARIABLE: text})
    assert done.returncode == 3
    assert done.stderr == (
        f"trioecho serve: {VARIABLE} in the environment is for a process that takes the place of another; "
        "unset it\n"
    )


async def test_process_1_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    upgrades = Upgrades(OwnCommand(("/bin/false",), ""))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upgrades.wait_for_successor, lambda: Handover(1, ()))
        upgrades.ask()
        while not caplog.messages:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert caplog.messages == [
        "SIGUSR2: process 1 of a container cannot be replaced, as the container ends with it; "
        "process 1 serves on"
    ]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.exit(9)", r"process \d+ ended with exit code 9 before it could serve"),
        ("import os; os.abort()  # an exit", r"process \d+ was ended by SIGABRT before it could serve"),
        ("import time; time.sleep(600)", r"process \d+ did not serve within 0\.3 s, and was ended"),
        (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
            r"process \d+ did not serve within 0\.3 s, and was ended",
        ),
    ],
    ids=["ends", "is ended", "never serves", "does not end"],
)
async def test_a_process_that_does_not_serve_is_ended(
    monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    monkeypatch.setattr(service_upgrade, "READY_WITHIN_S", 0.3)
    monkeypatch.setattr(service_upgrade, "_END_S", 0.3)
    command = OwnCommand((sys.executable, "-c", program), "")
    if "exit" in program:
        monkeypatch.setattr(service_upgrade, "READY_WITHIN_S", GUARD_S)
    with guarded(), pytest.raises(UpgradeError, match=reason):
        await start_successor(command, Handover(os.getpid(), ()), os.environ)


async def test_a_command_that_is_gone_is_said() -> None:
    with pytest.raises(UpgradeError, match="the command cannot be started again: No such file or directory"):
        await start_successor(OwnCommand(("/nowhere/python",), ""), Handover(os.getpid(), ()), os.environ)


async def test_a_working_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    command = OwnCommand((sys.executable, "-c", ""), str(tmp_path / "gone"))
    with pytest.raises(
        UpgradeError, match=f"cannot be started again in {re.escape(command.folder)}: No such"
    ):
        await start_successor(command, Handover(os.getpid(), ()), os.environ)


async def test_a_process_that_serves_is_left_running() -> None:
    program = f"""
import json, os, time
os.write(json.loads(os.environ[{VARIABLE!r}])["ready"], {READY!r})
time.sleep(600)
"""
    with guarded():
        command = OwnCommand((sys.executable, "-c", program), "")
        process = await start_successor(command, Handover(os.getpid(), ()), os.environ)
        assert process.returncode is None
        process.kill()
        await process.wait()
