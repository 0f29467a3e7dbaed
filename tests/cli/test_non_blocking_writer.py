"""Lines for a reader who may be slow or gone."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from tests.support.pipe import Pipe
from trioecho.cli.shared.non_blocking_writer import NonBlockingWriter


def test_lines_are_written_at_once_while_there_is_room() -> None:
    with Pipe() as pipe:
        pipe.writer.write_line("one")
        pipe.writer.write_line("two ✓")
        assert pipe.read_all() == ["one", "two ✓", ""]


def test_of_lines_that_nobody_reads_the_oldest_are_left_out_and_no_line_is_torn() -> None:
    lines = [f"{number:06} {'x' * 300}" for number in range(3000)]
    with Pipe() as pipe:
        for line in lines:
            pipe.writer.write_line(line)
        read = [""]
        while pipe.writer.is_waiting:
            read = _joined(read, pipe.read_all())
            pipe.writer.flush(0)
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
            nursery.start_soon(pipe.writer.run)
            for number in range(900):
                pipe.writer.write_line(f"{number:06} {'x' * 300}")
            assert pipe.writer.is_waiting
            read = [""]
            while pipe.writer.is_waiting:
                read = _joined(read, pipe.read_all())
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        read = _joined(read, pipe.read_all())
    assert [int(line[:6]) for line in read[:-1]] == list(range(900))


def test_a_reader_that_is_gone_is_ignored() -> None:
    with Pipe() as pipe:
        pipe.close_reading()
        for _ in range(3):
            pipe.writer.write_line("lost")
        pipe.writer.flush(1)
        assert not pipe.writer.is_waiting


def test_a_file_takes_everything(tmp_path: Path) -> None:
    path = tmp_path / "reports"
    with path.open("w", encoding="utf-8") as file:
        writer = NonBlockingWriter(file)
        for number in range(5000):
            writer.write_line(str(number))
    assert path.read_text().splitlines() == [str(number) for number in range(5000)]


def test_to_no_stream_nothing_is_written() -> None:
    writer = NonBlockingWriter(None)
    writer.write_line("nowhere")
    writer.flush(1)
