"""What becomes of output that cannot be written: full disks, full pipes, closed descriptors."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guard import GUARD_S
from tests.support.load_results import made_result
from tests.support.processes import (
    ServerProcess,
    in_one_process_and_slowly_in_two,
    in_one_process_or_two,
    run_command,
    server_process,
)
from tests.support.slow import slow
from tests.support.sockets import echoes
from tests.support.wire import frame
from trioecho.cli.service import _note_as_json
from trioecho.cli.shared.non_blocking_writer import NonBlockingWriter
from trioecho.cli.shared.output import print_result
from trioecho.load import result_as_json

FULL = Path("/dev/full")
if not FULL.exists():
    pytest.skip("this system has no /dev/full", allow_module_level=True)

NO_SPACE = "No space left on device"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with server_process() as server:
        yield server


@pytest.fixture
def words(request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path) -> list[str]:
    """A command line, with what stands for a server and for a result in it."""
    result = tmp_path / "result.json"
    result.write_text(result_as_json(made_result()))
    line: str = request.param
    return line.replace("SERVER", f"127.0.0.1:{server.port}").replace("RESULT", str(result)).split()


# Each prints a result, and ends with 0.
each_result = pytest.mark.parametrize(
    "words",
    [
        slow("--help"),
        slow("--version"),
        slow("serve --help"),
        "client SERVER -n 1",
        slow("load SERVER --connections 1 --messages 1"),
        slow("report merge RESULT"),
        slow("check SERVER 1.1"),
        "check --list",
        slow("faulty --list"),
        slow("faulty --explain strips"),
    ],
    indirect=True,
)


def run_to(stdout: Any, words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trioecho", *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=GUARD_S,
        check=False,
        **options,
    )


# ---- results ----


def run_in_steps(program: str, folder: Path, unbuffered: str) -> tuple[int, str, str]:
    """Run a program that writes to a file while a file may have 10 bytes, and then as many as it wants."""
    beginning = f"""
import resource, signal, sys
from trioecho.cli.shared import output
from trioecho.cli.shared.standard_files import remember_losses_of_stdout
remember_losses_of_stdout()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
{program}
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
output.print_result("end")
sys.exit(output.end_output(0))
"""
    path = folder / "results"
    with path.open("w") as results:
        done = subprocess.run(
            [sys.executable, "-c", beginning],
            stdin=subprocess.DEVNULL,
            stdout=results,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GUARD_S,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    return done.returncode, done.stderr, path.read_text()


@pytest.mark.usefixtures("no_coverage")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_was_written_later_is_not_lost(unbuffered: str, tmp_path: Path) -> None:
    program = 'output.print_result("x" * 50)'
    assert run_in_steps(program, tmp_path, unbuffered) == (0, "", "x" * 50 + "\nend\n")


@pytest.mark.usefixtures("no_coverage")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "program",
    [
        'output.print_result("x" * 50_000)',
        'output.write_result(b"x" * 50_000)',
        'import contextlib\nwith contextlib.suppress(OSError): print("x" * 50_000)',
    ],
)
def test_what_was_lost_is_known_although_others_were_written_later(
    program: str, unbuffered: str, tmp_path: Path
) -> None:
    code, said, written = run_in_steps(program, tmp_path, unbuffered)
    assert (code, said) == (74, "trioecho: the results could not be written: File too large\n")
    assert len(written) < 50_000


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_handler_that_prints_is_as_unbuffered_as_it_was_asked_to_be(
    unbuffered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loud.py").write_text("def loud(message):\n    print(message)\n    return message\n")
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    path = tmp_path / "printed"
    with path.open("wb") as file:
        with server_process(
            f"{tmp_path}/loud.py:loud", "--metrics-interval", "0", stdout=file.fileno()
        ) as server:
            with server.connect() as peer:
                assert echoes(peer, frame(b"hello"))
            assert ("b'hello'\n" in path.read_text()) == bool(unbuffered)
            assert server.stop() == 0
    assert "b'hello'\n" in path.read_text()


@each_result
def test_results_on_a_full_disk_are_exit_74_and_one_line(words: list[str]) -> None:
    with FULL.open("w") as full:
        done = run_to(full, words)
    assert done.returncode == 74
    assert done.stderr.splitlines()[-1] == f"trioecho: the results could not be written: {NO_SPACE}"
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("no_coverage")  # which could not write its files either
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["check", "--list"], ["serve", "--help"]])
def test_what_could_not_be_written_is_known_at_the_end(
    words: list[str], unbuffered: str, tmp_path: Path
) -> None:
    program = shlex.join([sys.executable, "-m", "trioecho", *words])
    with (tmp_path / "results").open("w") as results:
        done = subprocess.run(
            # As on a disk that is full, and unlike /dev/full, a write of no byte succeeds.
            ["sh", "-c", f"ulimit -f 0; exec {program}"],
            stdin=subprocess.DEVNULL,
            stdout=results,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GUARD_S,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert done.returncode == 74
    assert done.stderr == f"trioecho: the results could not be written: {os.strerror(errno.EFBIG)}\n"


def test_a_full_disk_is_no_matter_for_a_command_without_results() -> None:
    with FULL.open("w") as full:
        done = run_to(full, ["serve", "--port", "x"])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        ("client SERVER -n 1", (1,)),
        slow("client SERVER -n 1", (2,)),
        ("client SERVER -n 1", (0, 1, 2)),
        slow("load SERVER --connections 1 --messages 1", (0, 1, 2)),
        ("check SERVER 1.1", (0, 1, 2)),
        slow("report merge RESULT", (0, 1, 2)),
        slow("serve --help", (0, 1, 2)),
    ],
    indirect=["words"],
)
def test_closed_descriptors_change_nothing_else(words: list[str], closed: tuple[int, ...]) -> None:
    done = run_to(subprocess.PIPE, words, preexec_fn=lambda: [os.close(descriptor) for descriptor in closed])
    assert (done.returncode, done.stderr) == (0, done.stderr if 2 not in closed else "")
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) is (1 not in closed)


@each_result
def test_a_reader_that_has_read_enough_is_no_failure(words: list[str]) -> None:
    unread, broken = os.pipe()
    os.close(unread)
    with os.fdopen(broken, "w") as stdout:
        done = run_to(stdout, words)
    assert done.returncode == 0
    assert "written" not in done.stderr


def test_a_verdict_is_worth_more_than_its_unwritten_words(server: ServerProcess) -> None:
    with FULL.open("w") as full:
        done = run_to(full, ["client", f"127.0.0.1:{server.port}", "--format", "u16le", "--timeout", "100ms"])
    assert done.returncode == 1
    assert NO_SPACE in done.stderr


def test_an_error_that_cannot_be_told_keeps_its_exit_code() -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trioecho", "faulty", "no-such-server"],
            stderr=full,
            timeout=GUARD_S,
            check=False,
        )
    assert done.returncode == 2


@contextlib.contextmanager
def full_pipe(*, is_blocking: bool) -> Iterator[tuple[io.BufferedReader, io.BufferedWriter, int]]:
    """Its ends, and how many bytes are in it."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        os.set_blocking(writing, False)
        size = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                size += os.write(writing, bytes(4096))
        os.set_blocking(writing, is_blocking)
        yield reader, writer, size


def test_results_on_a_full_pipe_that_does_not_block_are_all_written() -> None:
    expected = run_command("check", "--list").stdout
    with full_pipe(is_blocking=False) as (reader, writer, size):
        process = subprocess.Popen(
            [sys.executable, "-m", "trioecho", "check", "--list"], stdout=writer, stderr=subprocess.PIPE
        )
        writer.close()
        assert len(reader.read(size)) == size
        assert reader.read().decode() == expected
        assert process.communicate(timeout=GUARD_S) == (None, b"")
        assert process.returncode == 0


# ---- reports of the service ----


@in_one_process_and_slowly_in_two
def test_a_service_whose_reports_go_to_a_full_disk_serves_on_and_says_so(command: tuple[str]) -> None:
    with FULL.open("w") as full:
        with server_process("--metrics-interval", "1h", stdout=full.fileno(), command=command) as server:
            server.send_signal(signal.SIGUSR1)
            assert f"reports cannot be written: {NO_SPACE}; trying again" in server.read_log_line()
            with server.connect() as peer:
                for _ in range(50):
                    assert echoes(peer, frame(b"hello"))
            assert server.stop() == 74
    assert f"the final report could not be written: {NO_SPACE}" in server.log
    assert "trying again" not in server.log  # it was said once


def test_reports_go_on_when_a_disk_that_was_full_has_room_again(tmp_path: Path) -> None:
    path = tmp_path / "reports"

    def allow_one_report_and_a_half() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.RLIM_INFINITY))

    with path.open("wb") as file:
        with server_process(
            "--metrics-interval", "50ms", stdout=file.fileno(), before=allow_one_report_and_a_half
        ) as server:
            assert "reports cannot be written: File too large" in server.read_log_line()
            with server.connect() as peer:
                assert echoes(peer, frame(b"hello") * 3)
            room = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, room)
            assert "reports are written again" in server.read_log_line()
            assert server.stop() == 0
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(report["messages"] for report in reports) == reports[-1]["messages_total"] == 3
    assert reports[-1]["final"] is True


@in_one_process_or_two
def test_a_reader_that_is_slow_gets_the_final_report_and_only_json(command: tuple[str]) -> None:
    with full_pipe(is_blocking=True) as (reader, writer, size):
        with server_process("--metrics-interval", "1ms", stdout=writer.fileno(), command=command) as server:
            writer.close()
            with server.connect() as peer:
                for _ in range(50):
                    assert echoes(peer, frame(b"hello"))
            server.send_signal(signal.SIGTERM)
            assert "draining" in server.read_log_line()
            assert len(reader.read(size)) == size
            reports = [json.loads(line) for line in reader.read().splitlines()]
            assert server.wait() == 0
    assert reports[-1]["final"] is True
    assert reports[-1]["messages_total"] == 50


def test_lines_that_nobody_read_in_time_are_left_out_for_the_last_one() -> None:
    with full_pipe(is_blocking=True) as (reader, pipe, size):
        with os.fdopen(os.dup(pipe.fileno()), "w") as stream:
            writer = NonBlockingWriter(stream, note=lambda lines, why: json.dumps([lines, why]))
            for number in range(10):
                writer.write_line(json.dumps(number))
            assert writer.finish(0) == "nobody has read for 0 s"
            assert len(reader.read(size)) == size
            assert writer.finish(0) == ""
        pipe.close()
        assert [json.loads(line) for line in reader] == [[9, "nobody read them"], 9]


def test_reports_that_are_left_out_are_a_json_object() -> None:
    assert json.loads(_note_as_json(7, 'a "reason"')) == {"reports_left_out": 7, "reason": 'a "reason"'}


def test_a_stream_that_would_block_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.StringIO):
        refusals = 3

        def flush(self) -> None:
            if self.refusals:
                self.refusals -= 1
                raise BlockingIOError

    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    print_result("all of it")
    assert (stream.getvalue(), stream.refusals) == ("all of it\n", 0)
