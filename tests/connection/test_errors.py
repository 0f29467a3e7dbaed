from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable

import pytest
import trio

from trioecho import ConnectionLostError, EndOfMessagesError, RequestTimeoutError, errors
from trioecho.errors import (
    ConnectionEndedError,
    DuplicateKeyError,
    FrameTimeoutError,
    FrameTooLargeError,
    FrameTooSmallError,
    IdleTimeoutError,
    IncompleteFrameError,
    LocalProtocolError,
    MalformedFrameError,
    NoReplyError,
    NotConnectedError,
    PayloadTooLargeError,
    PeerTimeoutError,
    ProtocolError,
    RemoteProtocolError,
    UnexpectedReplyError,
    WriteTimeoutError,
)

# an error, and its numbers by the names of their attributes
ERRORS: list[tuple[Exception, dict[str, object]]] = [
    (PayloadTooLargeError(1234, 567), {"length": 1234, "limit": 567}),
    (FrameTooLargeError(1234, 567), {"length": 1234, "limit": 567, "diagnosis": None}),
    (FrameTooLargeError(1234, 567, "it is TLS"), {"length": 1234, "limit": 567, "diagnosis": "it is TLS"}),
    (FrameTooSmallError(3, 8), {"length": 3, "minimum": 8}),
    (MalformedFrameError("no digit", 3), {"reason": "no digit", "offset": 3, "diagnosis": None}),
    (
        MalformedFrameError("no digit", 3, "it is TLS"),
        {"reason": "no digit", "offset": 3, "diagnosis": "it is TLS"},
    ),
    (IncompleteFrameError(123, 4567), {"received": 123, "expected": 4567, "diagnosis": None}),
    (IncompleteFrameError(1, 2, "it is JSON"), {"received": 1, "expected": 2, "diagnosis": "it is JSON"}),
    (PeerTimeoutError(12.5), {"seconds": 12.5}),
    (IdleTimeoutError(300.0), {"seconds": 300.0}),
    (FrameTimeoutError(0.25), {"seconds": 0.25, "diagnosis": None}),
    (FrameTimeoutError(0.25, "it is JSON"), {"seconds": 0.25, "diagnosis": "it is JSON"}),
    (WriteTimeoutError(60), {"seconds": 60}),
    (UnexpectedReplyError(b"key", 123, 7), {"key": b"key", "length": 123, "in_flight": 7}),
    (UnexpectedReplyError(None, 123, 7), {"key": None, "length": 123, "in_flight": 7}),
    (NoReplyError(123, 4, 7), {"request_bytes": 123, "ahead": 4, "in_flight": 7}),
    (NotConnectedError(5), {"failures": 5}),
    (DuplicateKeyError(12, 7), {"key": 12, "in_flight": 7}),
    (RequestTimeoutError(0.25, 7, True), {"seconds": 0.25, "in_flight": 7, "was_sent": True}),
    (RequestTimeoutError(0.25, 7, False), {"seconds": 0.25, "in_flight": 7, "was_sent": False}),
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
        if number is not None and not isinstance(number, bool):  # which is in words
            text = f"{number:g}" if isinstance(number, int | float) else str(number)
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
    for error in (FrameTooLargeError, FrameTooSmallError, MalformedFrameError, IncompleteFrameError):
        assert issubclass(error, RemoteProtocolError)
    assert issubclass(UnexpectedReplyError, RemoteProtocolError)
    assert issubclass(DuplicateKeyError, LocalProtocolError)
    for clock in (IdleTimeoutError, FrameTimeoutError, WriteTimeoutError):
        assert issubclass(clock, PeerTimeoutError)
    assert not issubclass(PeerTimeoutError, ProtocolError)


def test_a_timeout_of_a_request_says_whether_it_was_sent_and_is_no_end_of_a_connection() -> None:
    assert "may have acted on it" in str(RequestTimeoutError(0.25, 7, was_sent=True))
    assert "nothing of it was sent" in str(RequestTimeoutError(0.25, 7, was_sent=False))
    assert issubclass(RequestTimeoutError, trio.TooSlowError)
    assert not issubclass(RequestTimeoutError, ConnectionEndedError)


def test_every_end_of_a_connection_has_one_base_and_keeps_trio_s_names() -> None:
    ends = (RemoteProtocolError, PeerTimeoutError, ConnectionLostError, EndOfMessagesError)
    for end in (*ends, NoReplyError, NotConnectedError):
        assert issubclass(end, ConnectionEndedError)
    assert issubclass(ConnectionLostError, trio.BrokenResourceError)
    assert issubclass(EndOfMessagesError, trio.EndOfChannel)
    for mistake in (LocalProtocolError, trio.ClosedResourceError, trio.BusyResourceError):
        assert not issubclass(mistake, ConnectionEndedError)


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
    classes = [
        each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__
    ]
    classes += [ConnectionLostError, EndOfMessagesError, RequestTimeoutError]
    assert len(classes) == 20
    assert {(name, parent) for name, parent, _ in drawn()} == {
        # Trio's own errors are not in the drawing.
        (each.__name__, each.__bases__[0].__name__.replace("TooSlowError", "Exception"))
        for each in classes
    }
    assert len(drawn()) == len(classes)


def test_the_drawing_names_the_attributes() -> None:
    attributes = {type(error).__name__: list(numbers) for error, numbers in ERRORS}
    for name, parent, named in drawn():
        inherited = attributes.get(parent, [])
        assert named == [each for each in attributes.get(name, []) if each not in inherited]
