"""The file of what passed and when: what is written is read, and what is no such file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from trioecho.base import timed_recording
from trioecho.base.timed_recording import (
    RecordedPiece,
    TimedRecordingError,
    closed_line,
    first_line,
    last_line,
    piece_line,
    read_recorded_format,
    read_recording,
)

FIRST = first_line(began="2026-01-31T12:00:00Z", target="127.0.0.1:26066", format="u16le")
PIECE = piece_line(5, 1, "to-server", b"\0\xff")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    lines = [FIRST, PIECE, piece_line(5, 2, "to-client", memoryview(b"x")), closed_line(7, 1)]
    path.write_bytes(b"".join(lines) + last_line(9, is_full=True))
    assert list(read_recording(path)) == [
        RecordedPiece(2, 5, 1, "to-server", b"\0\xff"),
        RecordedPiece(3, 5, 2, "to-client", b"x"),
    ]
    assert read_recorded_format(path) == "u16le"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "file: it is empty; trioecho proxy --record writes recordings"),
        (b"\0\0\0\5hello", "file: line 1: it is no recording of trioecho proxy --record"),
        (b'{"value": 1}\n', "file: line 1: it is no recording of trioecho proxy --record, version 1"),
        (b"[]\n", "file: line 1: it is no recording of trioecho proxy --record, version 1"),
        (b'{"trioecho-recording": 2}\n', "file: line 1: it is no recording"),
        (FIRST, "file: line 1: the file ends here without its last record"),
        (FIRST + PIECE, "file: line 2: the file ends here without its last record"),
        (FIRST + PIECE[:-5], "file: line 2: it breaks off: the recording is not whole"),
        (FIRST + b"nonsense\n", "file: line 2: it is no object of JSON"),
        (FIRST + b"[" * 100_000 + b"\n", "file: line 2: it is no object of JSON"),
        (FIRST + PIECE + b'{"t": 4, "c": 1}\n', 'file: line 3: its "t" is not a number of ns from 5 on'),
        (FIRST + b'{"t": true, "c": 1}\n', 'file: line 2: its "t" is not a number of ns from 0 on'),
        (FIRST + b'{"t": 4, "c": 0}\n', 'file: line 2: its "c" is not the number of a connection'),
        (FIRST + b'{"t": 4, "c": 1}\n', 'file: line 2: it has neither "to-server" nor "to-client"'),
        (FIRST + b'{"t": 4, "c": 1, "up": ""}\n', 'line 2: it has neither "to-server" nor "to-client"'),
        (FIRST + b'{"t": 4, "c": 1, "to-client": "?"}\n', 'file: line 2: its "to-client" is no Base64'),
        (FIRST + b'{"t": 4, "c": 1, "to-client": 7}\n', 'file: line 2: its "to-client" is no Base64'),
    ],
)
def test_what_is_no_recording_is_one_line_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(content)
    with pytest.raises(TimedRecordingError) as refused:
        list(read_recording("file"))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_line_without_an_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_recording, "_MOST_LINE_BYTES", 1 << 20)
    path = tmp_path / "file"
    path.write_bytes(FIRST + b" " * (3 << 20))
    with pytest.raises(TimedRecordingError, match="line 2: it has more than 1 MiB"):
        list(read_recording(path))


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path, "a\0b"):
        with pytest.raises(TimedRecordingError, match="it cannot be read: "):
            list(read_recording(path))
    with pytest.raises(TimedRecordingError, match="it cannot be read: "):
        read_recorded_format(tmp_path)
