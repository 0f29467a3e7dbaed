"""Parts of the command line that no whole command shows: what values mean, what an outlet does."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.support import GUARD_S
from trioecho.cli import load_values, values
from trioecho.cli.outlet import Outlet, OutletLogHandler


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("65536", 65536),
        ("64KiB", 65536),
        ("64 kib", 65536),
        ("1MiB", 1 << 20),
        ("3GiB", 3 << 30),
        ("2kB", 2000),
        ("1MB", 10**6),
        ("7B", 7),
        ("4294967295", (1 << 32) - 1),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("u32be", "00 00 00 05"),
        ("u32le", "05 00 00 00"),
        ("U16BE", "00 05"),
        ("u8", "05"),
        ("u64le", "05 00 00 00 00 00 00 00"),
        ("u16be+header", "00 07"),
        ("u8+header", "06"),
    ],
)
def test_formats(text: str, header: str) -> None:
    assert values.frame_format(text).encode_header(5).hex(" ") == header


@pytest.mark.parametrize("text", ["", "u32", "u24be", "32be", "u8be", "u32be+", "u32be +header", "u32bele"])
def test_what_is_not_a_format_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write u32be"):
        values.frame_format(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("10s", 10),
        ("500ms", 0.5),
        ("0", 0),
        ("1.5s", 1.5),
        (".5", 0.5),
        ("2m", 120),
        ("1h", 3600),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:1", "127.0.0.1", 1), ("[::1]:65535", "::1", 65535), ("example.org:80", "example.org", 80)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    address = values.address(text)
    assert address == (host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "rate"),
    [("5000", 5000), ("20k", 20_000), ("1.5M", 1_500_000), ("0.5", 0.5), ("10/s", 10), ("0", 0)],
)
def test_rates(text: str, rate: float) -> None:
    assert load_values.rate(text) == rate


def test_ramps() -> None:
    assert load_values.ramp("0:5000/30s") == (0, 5000, 30)
    assert load_values.ramp("2k:1k/500ms") == (2000, 1000, 0.5)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("64", [(64, 64, 1)]),
        ("0-4KiB", [(0, 4096, 1)]),
        ("64:9,64KiB:1", [(64, 64, 9), (65536, 65536, 1)]),
        ("1-2:0.5,3", [(1, 2, 0.5), (3, 3, 1)]),
    ],
)
def test_sizes_with_weights(text: str, ranges: list[tuple[int, int, float]]) -> None:
    assert list(load_values.sizes(text).ranges) == ranges


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (load_values.rate, ""),
        (load_values.rate, "-1"),
        (load_values.rate, "1e3"),
        (load_values.rate, "9" * 400),
        (load_values.rate, "5000ms"),
        (load_values.positive_rate, "0"),
        (load_values.ramp, "5"),
        (load_values.ramp, "0:5"),
        (load_values.ramp, "0:5/"),
        (load_values.ramp, "0:5:6/1s"),
        (load_values.sizes, ""),
        (load_values.sizes, "64,"),
        (load_values.sizes, "64:"),
        (load_values.sizes, "64:0"),
        (load_values.sizes, "64:-1"),
        (load_values.sizes, "2-1:5"),
        (load_values.objective, "p99"),
        (values.size, ""),
        (values.size, "-1"),
        (values.size, "1.5MiB"),
        (values.size, "1e3"),
        (values.size, "٣"),
        (values.size, "9" * 5000),
        (values.duration, ""),
        (values.duration, "s"),
        (values.duration, "-1s"),
        (values.duration, "1e3"),
        (values.duration, "9" * 400),
        (values.count, "-1"),
        (values.count, "1.0"),
        (values.count, "9" * 10),
        (values.port, "65536"),
        (values.port, "+1"),
        (values.host, "a..b"),
        (values.host, "x" * 64),
        (values.host, "user@host"),
        (values.host, "http://host"),
        (values.address, "[::1"),
        (values.address, "host:"),
    ],
)
def test_what_is_not_a_value_is_refused_with_a_reason(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"\w"):
        parse(text)


class Pipe:
    """A pipe whose writing end is an outlet's."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "w", encoding="utf-8")
        self.outlet = Outlet(self.stream)

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stream.close()
        if self.reading >= 0:
            os.close(self.reading)

    def close_reading(self) -> None:
        os.close(self.reading)
        self.reading = -1

    def read_all(self) -> list[str]:
        os.set_blocking(self.reading, False)
        data = b""
        try:
            while piece := os.read(self.reading, 1 << 16):
                data += piece
        except BlockingIOError:
            pass
        return data.decode().split("\n")


def test_lines_are_written_at_once_while_there_is_room() -> None:
    with Pipe() as pipe:
        pipe.outlet.write_line("one")
        pipe.outlet.write_line("two ✓")
        assert pipe.read_all() == ["one", "two ✓", ""]


def test_of_lines_that_nobody_reads_the_oldest_are_left_out_and_no_line_is_torn() -> None:
    lines = [f"{number:06} {'x' * 300}" for number in range(3000)]
    with Pipe() as pipe:
        for line in lines:
            pipe.outlet.write_line(line)
        read = [""]
        while pipe.outlet.is_waiting:
            read = _joined(read, pipe.read_all())
            pipe.outlet.flush(0)
        read = _joined(read, pipe.read_all())
    assert read.pop() == ""
    [note] = [line for line in read if line.startswith("(")]
    rest = [line for line in read if line != note]
    left_out = len(lines) - len(rest)
    assert note == f"({left_out} lines were left out: nobody read them)"
    assert left_out > 1000
    assert [line for line in lines if line in set(rest)] == rest
    assert rest[-1] == lines[-1]


def _joined(lines: list[str], more: list[str]) -> list[str]:
    """Lines and more lines, of which the first goes on with the last one before."""
    return [*lines[:-1], lines[-1] + more[0], *more[1:]]


async def test_lines_that_wait_are_written_when_the_reader_makes_room() -> None:
    with Pipe() as pipe:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.outlet.run)
            for number in range(900):
                pipe.outlet.write_line(f"{number:06} {'x' * 300}")
            assert pipe.outlet.is_waiting
            read = [""]
            while pipe.outlet.is_waiting:
                read = _joined(read, pipe.read_all())
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        read = _joined(read, pipe.read_all())
    assert [int(line[:6]) for line in read[:-1]] == list(range(900))


def test_a_reader_that_is_gone_is_ignored() -> None:
    with Pipe() as pipe:
        pipe.close_reading()
        for _ in range(3):
            pipe.outlet.write_line("lost")
        pipe.outlet.flush(1)
        assert not pipe.outlet.is_waiting


def test_a_file_takes_everything(tmp_path: Path) -> None:
    path = tmp_path / "reports"
    with path.open("w", encoding="utf-8") as file:
        outlet = Outlet(file)
        for number in range(5000):
            outlet.write_line(str(number))
    assert path.read_text().splitlines() == [str(number) for number in range(5000)]


def test_no_stream_is_an_outlet_that_writes_nothing() -> None:
    outlet = Outlet(None)
    outlet.write_line("nowhere")
    outlet.flush(1)


def test_log_records_are_one_line_with_time_and_without_traceback() -> None:
    with Pipe() as pipe:
        handler = OutletLogHandler(pipe.outlet)
        try:
            raise ValueError("two\nlines")
        except ValueError as error:
            record = logging.LogRecord(
                "x",
                logging.ERROR,
                __file__,
                1,
                "it %s",
                ("failed",),
                (ValueError, error, error.__traceback__),
            )
        handler.emit(record)
        [line, end] = pipe.read_all()
    assert end == ""
    assert line[2] == line[5] == ":"
    assert "it failed: ValueError: two lines (test_cli_parts.py:" in line


# ---- commands ----


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GUARD_S, check=False
    )


def test_a_command_imports_no_other() -> None:
    done = run_python(
        "import atexit, sys, trioecho.cli\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "trioecho.cli.main(['serve', '--help'])"
    )
    assert done.returncode == 0
    imported = done.stderr.split()
    assert "trioecho.cli.serve" in imported
    others = {f"trioecho.cli.{name}" for name in ("client", "demo", "load", "check", "proxy", "faulty")}
    others |= {f"trioecho.{room}" for room in ("load", "demo", "check", "proxy", "zoo")}
    assert not others.intersection(imported)


@pytest.mark.parametrize("command", ["serve", "client", "demo", "load", "report", "check", "proxy", "faulty"])
def test_an_interrupt_while_a_command_is_imported_is_130_and_no_traceback(command: str) -> None:
    done = run_python(
        "import sys, trioecho.cli\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name == 'trioecho.cli.{command}': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"sys.exit(trioecho.cli.main(['{command}', '--help']))"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
