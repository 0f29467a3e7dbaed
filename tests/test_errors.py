from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable

import pytest

from trioecho import errors
from trioecho.errors import (
    ClockError,
    FrameTimeoutError,
    FrameTooLargeError,
    FrameTooSmallError,
    IdleTimeoutError,
    IncompleteFrameError,
    LocalProtocolError,
    PayloadTooLargeError,
    ProtocolError,
    RemoteProtocolError,
    WriteTimeoutError,
)

# an error, and its numbers by the names of their attributes
ERRORS: list[tuple[Exception, dict[str, object]]] = [
    (PayloadTooLargeError(1234, 567), {"length": 1234, "limit": 567}),
    (FrameTooLargeError(1234, 567), {"length": 1234, "limit": 567, "diagnosis": None}),
    (FrameTooLargeError(1234, 567, "it is TLS"), {"length": 1234, "limit": 567, "diagnosis": "it is TLS"}),
    (FrameTooSmallError(3, 8), {"length": 3, "minimum": 8}),
    (IncompleteFrameError(123, 4567), {"received": 123, "expected": 4567}),
    (ClockError(12.5), {"seconds": 12.5}),
    (IdleTimeoutError(300.0), {"seconds": 300.0}),
    (FrameTimeoutError(0.25), {"seconds": 0.25}),
    (WriteTimeoutError(60), {"seconds": 60}),
]
each_error = pytest.mark.parametrize(
    ("error", "numbers"),
    ERRORS,
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)


def by_pickling(protocol: int) -> Callable[[Exception], Exception]:
    def pickled_and_back(error: Exception) -> Exception:
        loaded = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own data
        assert isinstance(loaded, Exception)
        return loaded

    return pickled_and_back


COPYING = [copy.copy, copy.deepcopy, *map(by_pickling, range(pickle.HIGHEST_PROTOCOL + 1))]


@each_error
def test_numbers_are_attributes(error: Exception, numbers: dict[str, object]) -> None:
    assert vars(error) == numbers


@each_error
def test_numbers_are_in_the_message(error: Exception, numbers: dict[str, object]) -> None:
    for number in numbers.values():
        if number is not None:
            text = number if isinstance(number, str) else f"{number:g}"
            assert re.search(rf"(?<![\d.]){re.escape(text)}(?![\d.]*\d)", str(error))


@each_error
def test_a_message_is_one_line_without_a_gap(error: Exception, numbers: dict[str, object]) -> None:
    assert "\n" not in str(error)
    assert "  " not in str(error)
    assert "None" not in str(error)


def test_messages_tell_the_clocks_apart() -> None:
    assert str(IdleTimeoutError(300.0)) == "no frame began for 300 s (idle timeout)"
    assert str(FrameTimeoutError(0.25)) == "a frame was not complete 0.25 s after it began (frame timeout)"
    assert str(WriteTimeoutError(60.0)) == "the peer read too little, or nothing, for 60 s (write timeout)"


@pytest.mark.parametrize("copied", COPYING)
@each_error
def test_copies_keep_the_numbers(
    error: Exception, numbers: dict[str, object], copied: Callable[[Exception], Exception]
) -> None:
    duplicate = copied(error)
    assert duplicate is not error
    assert type(duplicate) is type(error)
    assert vars(duplicate) == numbers
    assert str(duplicate) == str(error)
    assert duplicate.args == error.args == tuple(numbers.values())


def test_an_error_can_be_caught_by_the_side_that_made_it() -> None:
    assert issubclass(PayloadTooLargeError, LocalProtocolError)
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
    for error in (FrameTooLargeError, FrameTooSmallError, IncompleteFrameError):
        assert issubclass(error, RemoteProtocolError)
    for clock in (IdleTimeoutError, FrameTimeoutError, WriteTimeoutError):
        assert issubclass(clock, ClockError)
    assert not issubclass(ClockError, ProtocolError)


# --- the drawing ------------------------------------------------------------------------------------


def drawn() -> list[tuple[str, str, list[str]]]:
    """(class, parent, attributes) of each line in the drawing at the head of the module."""
    assert errors.__doc__ is not None
    drawing = inspect.cleandoc(errors.__doc__).split("::\n\n")[1].split("\n\n")[0]
    lines = []
    ancestors = {0: "Exception"}
    for line in inspect.cleandoc(drawing).splitlines():
        match = re.fullmatch(r"((?:│   |    |├── |└── )*)(\w+)(.*)", line)
        assert match, line
        branches, name, remark = match.groups()
        depth = len(branches) // 4
        ancestors[depth + 1] = name
        lines.append((name, ancestors[depth], re.findall(r"\.(\w+)", remark)))
    return lines


def test_the_drawing_shows_every_class_below_its_parent() -> None:
    classes = [each for each in vars(errors).values() if inspect.isclass(each)]
    assert len(classes) == 11
    assert {(name, parent) for name, parent, _ in drawn()} == {
        (each.__name__, each.__bases__[0].__name__) for each in classes
    }
    assert len(drawn()) == len(classes)


def test_the_drawing_names_the_attributes() -> None:
    attributes = {type(error).__name__: list(numbers) for error, numbers in ERRORS}
    for name, parent, named in drawn():
        assert named == ([] if parent == "ClockError" else attributes.get(name, []))
