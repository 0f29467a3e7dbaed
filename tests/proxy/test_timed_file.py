"""The file of what passed and when: its limits, and what happens when it cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from trioecho.base.timed_recording import RecordedPiece, read_recording
from trioecho.proxy import Direction, TimedFileRecording, timed_file


def ticking() -> Iterator[int]:
    yield from range(1_000, 10_000, 10)


def recording(path: Path) -> TimedFileRecording:
    times = ticking()
    return TimedFileRecording(path, target="127.0.0.1:1", format="u32be", clock=lambda: next(times))


def test_each_piece_has_its_time_its_connection_and_its_direction(tmp_path: Path) -> None:
    path = tmp_path / "file"
    kept = recording(path)
    with kept.of_connection(1) as one, kept.of_connection(2) as two:
        one[Direction.TO_SERVER](b"\0\xff")
        two[Direction.TO_CLIENT](memoryview(b"two"))
        # As it comes: a person can look at it while connections last.
        assert path.read_text().count("\n") == 3
        one[Direction.TO_SERVER](b"")
    kept.close()
    kept.close()
    assert list(read_recording(path)) == [
        RecordedPiece(2, 10, 1, "to-server", b"\0\xff"),
        RecordedPiece(3, 20, 2, "to-client", b"two"),
        RecordedPiece(4, 30, 1, "to-server", b""),
    ]
    with kept.of_connection(3) as three:
        three[Direction.TO_SERVER](b"late")
    assert "late" not in path.read_text()


def test_a_file_at_its_limit_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timed_file, "MAX_FILE_BYTES", 400)
    path = tmp_path / "file"
    kept = recording(path)
    with kept.of_connection(1) as one:
        for _ in range(100):
            one[Direction.TO_SERVER](b"hello")
    kept.close()
    assert 3 < len(list(read_recording(path))) < 9
    assert path.read_text().endswith('"end": "full"}\n')
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} has 400 bytes, and records nothing more"
    ]


def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = recording(tmp_path / "file")

    def fail(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with kept.of_connection(1) as one:
        for _ in range(3):
            one[Direction.TO_SERVER](b"hello")
    kept.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"nothing more is recorded in {tmp_path / 'file'}: No space left on device"
    ]


def test_no_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError):
        recording(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
