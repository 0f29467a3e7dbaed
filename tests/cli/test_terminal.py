"""How wide texts for people may be: as the terminal says, within bounds."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import struct
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from trioecho.cli.shared.terminal import terminal_width, text_width


@pytest.fixture(autouse=True)
def no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@contextlib.contextmanager
def terminal(columns: int) -> Iterator[TextIO]:
    ours, theirs = os.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as stream:
        resize(stream, columns)
        yield stream


def resize(stream: TextIO, columns: int) -> None:
    fcntl.ioctl(stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@pytest.mark.parametrize(
    ("columns", "width"), [(1, 50), (49, 50), (50, 50), (80, 80), (120, 120), (121, 120), (999, 120)]
)
def test_a_text_is_as_wide_as_its_terminal_from_50_to_120(columns: int, width: int) -> None:
    with terminal(columns) as stream:
        assert terminal_width(stream) == text_width(stream) == width


def test_a_terminal_is_asked_each_time_since_it_may_be_resized() -> None:
    with terminal(100) as stream:
        assert text_width(stream) == 100
        resize(stream, 60)
        assert text_width(stream) == 60


def test_what_is_no_terminal_or_does_not_know_its_size_has_80_columns() -> None:
    with terminal(0) as stream, open(os.devnull, "w") as file:  # noqa: PTH123 - the null device
        for each in (stream, file, io.StringIO()):
            assert (terminal_width(each), text_width(each)) == (None, 80)


@pytest.mark.parametrize(
    ("columns", "width"), [("90", 90), ("9", 50), ("1000", 120), ("", 70), ("0", 70), ("x", 70), ("²", 70)]
)
def test_columns_in_the_environment_come_first_at_a_terminal(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with terminal(70) as stream:
        assert text_width(stream) == width
    assert text_width(io.StringIO()) == 80
