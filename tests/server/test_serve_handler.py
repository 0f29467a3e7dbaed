"""``trioecho serve MODULE:HANDLER``, as the installed command: one process or several."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.processes import (
    SERVE,
    SERVE_WITH_WORKERS,
    in_one_process_or_two,
    run_command,
    server_process,
)
from tests.support.slow import slow
from tests.support.sockets import receive_all, receive_exactly
from tests.support.wire import frame, frames, whole_frames

SHOP = """
import contextlib, os, trio

def shout(message: bytes) -> bytes:
    if not message:
        raise KeyError("nothing to shout")
    return message.upper()

async def shout_later(message: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    return shout(message)

async def count_down(channel):
    async for message in channel:
        for number in range(int(message), 0, -1):
            await channel.send(b"%d" % number)

def note(word):
    with open("notes", "a") as notes:
        notes.write(word + "\\n")

@contextlib.asynccontextmanager
async def open_shop():
    note("entered")
    try:
        yield shout
    finally:
        note("left")

@contextlib.asynccontextmanager
async def cannot_start():
    raise OSError("no database")
    yield

@contextlib.asynccontextmanager
async def cannot_end():
    yield shout
    raise OSError("the database is gone")

@contextlib.asynccontextmanager
async def never_starts():
    note("entered")
    try:
        await trio.sleep_forever()
        yield
    finally:
        note("left")
"""
WORKERS = pytest.mark.parametrize("workers", ["1", slow("2")], ids=["one process", "workers"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("handler", "command"),
    [
        ("shop:shout", SERVE),
        slow("shop.py:shout", SERVE),
        ("shop:shout_later", SERVE),
        slow("shop:open_shop", SERVE),
        slow("shop:shout", SERVE_WITH_WORKERS),
        ("shop.py:shout", SERVE_WITH_WORKERS),
        slow("shop:shout_later", SERVE_WITH_WORKERS),
        slow("shop:open_shop", SERVE_WITH_WORKERS),
    ],
)
def test_a_function_is_served_to_its_exact_prefix(handler: str, command: tuple[str, ...]) -> None:
    messages = [b"message %d" % number for number in range(20_000)]
    with server_process(handler, command=command) as server, server.connect() as peer:
        peer.sendall(frames(*messages))
        first = receive_exactly(peer, 1)
        server.send_signal(signal.SIGTERM)
        replies = whole_frames(first + receive_all(peer))
        assert server.wait() == 0
    assert replies == [message.upper() for message in messages[: len(replies)]]
    assert server.reports[-1]["messages_total"] == len(replies)


def test_a_handler_of_channels_is_served_in_another_format() -> None:
    with server_process("shop:count_down", "--format", "u8") as server, server.connect() as peer:
        peer.sendall(b"\x013")
        assert receive_exactly(peer, 6) == b"\x013\x012\x011"
        peer.close()
        assert server.stop() == 0


@in_one_process_or_two
def test_a_function_that_raises_ends_its_own_connection_in_one_line(command: tuple[str, ...]) -> None:
    with server_process("shop:shout", command=command) as server, server.connect() as other:
        with server.connect() as peer:
            peer.sendall(frames(b"before", b"", b"after"))
            assert receive_all(peer) == frame(b"BEFORE")
        other.sendall(frame(b"still here"))
        assert receive_exactly(other, 14) == frame(b"STILL HERE")
        other.close()
        assert server.stop() == 0
    failures = [line for line in server.log.splitlines() if "failed" in line]
    assert len(failures) == 1
    assert "its connection is closed: KeyError: 'nothing to shout' (shop.py:6)" in failures[0]
    assert server.reports[-1]["errors"] == {"handler_failed": 1}
    assert server.reports[-1]["messages_total"] == 2


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (SERVE, signal.SIGTERM),
        slow(SERVE, signal.SIGINT),
        slow(SERVE_WITH_WORKERS, signal.SIGTERM),
        (SERVE_WITH_WORKERS, signal.SIGINT),
    ],
)
def test_a_context_manager_is_entered_once_in_each_process_and_left_after_the_drain(
    command: tuple[str, ...], number: signal.Signals, folder: Path
) -> None:
    processes = 2 if "--workers" in command else 1
    with server_process("shop:open_shop", command=command) as server:
        assert (folder / "notes").read_text() == "entered\n" * processes
        with server.connect() as peer:
            peer.sendall(frame(b"hello"))
            assert receive_exactly(peer, 9) == frame(b"HELLO")
        assert server.stop(number) == 0
    assert (folder / "notes").read_text() == "entered\n" * processes + "left\n" * processes


@WORKERS
def test_a_context_manager_that_cannot_start_is_one_line_and_exit_3(workers: str) -> None:
    done = run_command(
        "serve", "shop:cannot_start", "--port", "0", "--workers", workers, "--metrics-interval", "0"
    )
    assert done.returncode == 3
    line = done.stderr.splitlines()[-1]
    assert line == "trioecho serve: cannot_start() failed: OSError: no database (shop.py:32)"
    assert done.stderr.count("\n") == 1


@WORKERS
def test_a_context_manager_that_fails_in_the_end_is_exit_1(workers: str) -> None:
    with server_process("shop:cannot_end", "--workers", workers) as server:
        assert server.stop() == 1
    assert "cannot_end() failed: OSError: the database is gone (shop.py:38)" in server.log.splitlines()[-1]
    assert server.reports[-1]["final"]


def test_a_signal_ends_a_context_manager_that_does_not_start(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, *SERVE, "shop:never_starts", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    while not (folder / "notes").exists():
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=GUARD_S)
    assert process.returncode == 0
    assert "SIGINT: the service had not started" in log
    assert (folder / "notes").read_text() == "entered\nleft\n"


@WORKERS
@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("shop", "trioecho serve: 'shop' does not name a function; write MODULE:FUNCTION"),
        ("shop:shuot", "trioecho serve: shop has no shuot; did you mean shout?"),
        (
            "broken:reply",
            "trioecho serve: broken cannot be imported: ZeroDivisionError: division by zero (broken.py:2)",
        ),
    ],
)
def test_a_wrong_name_is_one_line_and_exit_2(handler: str, words: str, workers: str, folder: Path) -> None:
    (folder / "broken.py").write_text("\n1 / 0\n")
    done = run_command("serve", handler, "--workers", workers)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1


def test_the_installed_command_imports_from_the_working_directory_only_what_is_asked_for(
    folder: Path,
) -> None:
    command = Path(sys.executable).with_name("trioecho")
    for name in ("random.py", "trio.py", "trioecho.py"):
        (folder / name).write_text("open('this_ran', 'x')\n")
    process = subprocess.Popen(
        [command, "serve", "shop:shout", "--port", "0", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "listening on" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=GUARD_S)
    assert process.returncode == 0
    assert not (folder / "this_ran").exists()


def test_reload_drains_what_was_and_serves_what_has_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    shop = folder / "shelf.py"
    shop.write_text("import stock\ndef reply(message: bytes) -> bytes: return stock.name + message\n")
    (folder / "stock.py").write_text("name = b'1 '")
    with server_process("shelf:reply", "--reload") as server, server.connect() as before:
        before.sendall(frame(b"hello"))
        assert receive_exactly(before, 11) == frame(b"1 hello")
        # Of the same size and the same second, so Python's cache of compiled files takes it for the same.
        written_at = (folder / "stock.py").stat().st_mtime_ns
        (folder / "new").write_text("name = b'2 '")
        os.utime(folder / "new", ns=(written_at, written_at ^ 1))
        (folder / "new").rename(folder / "stock.py")
        assert "stock.py has changed: draining, and then starting anew" in server.read_log_line()
        assert receive_all(before) == b""
        assert "serving anew" in server.read_log_line()
        with server.connect() as after:
            after.sendall(frame(b"hello"))
            assert receive_exactly(after, 11) == frame(b"2 hello")
        shop.write_text("def reply(:")
        assert "shelf.py has changed" in server.read_log_line()
        line = server.read_log_line()
        assert (
            "shelf cannot be imported: SyntaxError: invalid syntax (shelf.py, line 1); waiting until" in line
        )
        with server.connect() as meanwhile:
            meanwhile.sendall(frame(b"hello"))
            shop.write_text("def reply(message: bytes) -> bytes: return b'3 ' + message\n")
            assert receive_exactly(meanwhile, 11) == frame(b"3 hello")
            meanwhile.close()
        assert server.stop() == 0
    assert "worker_died" not in server.reports[-1]["errors"]
    assert server.reports[-1]["messages_total"] == 3


def test_a_drain_ends_a_service_that_waits_for_a_change(folder: Path) -> None:
    with server_process("shop.py:shout", "--reload", "--workers", "2") as server:
        (folder / "shop.py").write_text("1 / 0")
        lines = [server.read_log_line() for _ in range(4)]
        assert sum("waiting until a file changes" in line for line in lines) == 2
        assert server.stop() == 0


def test_reload_without_a_function_is_one_line_and_exit_2() -> None:
    done = run_command("serve", "--reload")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "trioecho serve: --reload is for a function of your own: give it as MODULE:HANDLER"
    )


SCRIPT = """
import sys
from trioecho import run_service

def shout(message: bytes) -> bytes:
    return message.upper()

GUARD
    sys.exit(run_service(shout, port=0, workers=2))
"""


def test_run_service_has_workers_too(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT.replace("GUARD", 'if __name__ == "__main__":'))
    with server_process(command=["script.py"]) as server:
        with server.connect() as peer:
            peer.sendall(frame(b"hello"))
            assert receive_exactly(peer, 9) == frame(b"HELLO")
        assert server.stop() == 0
    assert "1 in all" in server.output.splitlines()[-1]


def test_run_service_without_a_guard_says_that_workers_need_one(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT.replace("GUARD", "if True:"))
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, check=False, timeout=GUARD_S
    )
    assert done.returncode == 1
    assert "RuntimeError: " in done.stderr.splitlines()[-1]
    assert 'it has to be under if __name__ == "__main__":' in done.stderr.splitlines()[-1]
