"""Conversations: a generator function of the user makes the messages of a connection, and gets the replies.

::

    def buy(connection):                       # the number of the connection; it may be left out
        reply = yield b"LOGIN user%d" % connection
        if not reply.startswith(b"OK"):
            return False                       # this reply is wrong
        token = reply.split()[1]
        for _ in range(10):
            reply = yield b"BUY " + token
            assert reply == b"SOLD"            # or it is unchecked, with the place of this line

When it returns, the connection begins another one. It may yield a `Frame` with a header of its own, and
where headers are more than a length, a reply has its `header` as an attribute. When it yields None, nothing
is sent, and the next reply is awaited: a message that has several is answered when the last one is here.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Collection, Generator
from typing import Any

from ...base.describe import describe, describe_with_place
from ...base.functions_by_name import FunctionNotFoundError, FunctionReference, find_function, place_of
from ...base.printable import printable_line
from ...errors import PayloadTooLargeError
from ...framing import Frame, FrameFormat, encode_frame
from ..reply_rule import ReplyRule
from .reply_check import MORE, RIGHT, ReplyVerdict, verdict_of

_Talk = Generator["bytes | Frame | None", bytes, object]


class NoMessageError(Exception):
    """A conversation has no message to send; the message is one line that says why."""


def is_conversation(rule: ReplyRule, folder: str) -> bool:
    """Return whether the function of a rule is a generator function.

    Args:
      rule: how replies are verified.
      folder: where a module may be that is not installed.

    Raises:
      FunctionNotFoundError: there is no such function.
    """
    if rule.word is not None:
        return False
    return inspect.isgeneratorfunction(find_function(FunctionReference(rule.text, folder)))


def conversations_of(rule: ReplyRule, folder: str) -> Callable[[int], _Talk]:
    """Return what begins a conversation on a connection, of which it gets the number.

    Raises:
      FunctionNotFoundError: there is no such generator function, or it takes other arguments.
    """
    reference = FunctionReference(rule.text, folder)
    function = find_function(reference)
    name = f"{rule.text}{place_of(function)}"
    if not inspect.isgeneratorfunction(function):
        raise FunctionNotFoundError(f"{name} is no conversation: it has no yield in it")
    signature = inspect.signature(function)
    begin: Callable[..., _Talk] = function
    with contextlib.suppress(TypeError):
        signature.bind(0)
        return begin
    try:
        signature.bind()
    except TypeError as error:
        reason = f"{name} has to take the number of its connection, or nothing: {describe(error)}"
        raise FunctionNotFoundError(reason) from None
    return lambda connection: begin()


class UserConversation:
    """What a connection sends, one message for each reply; as `RenderedRing`.

    Args:
      name: of the function, as the user gave it.
      begin: begins a conversation.
      connection: on which it is.
      format: of frames.
    """

    def __init__(
        self, name: str, begin: Callable[[int], _Talk], connection: int, format: FrameFormat
    ) -> None:
        self.frames: int = 1
        self.size: int = 0
        self.starts: list[int] = [0, 0]
        self.ends: list[int] = [0]
        self.is_stamped: bool = False
        self._name = name
        self._begin = begin
        self._connection = connection
        self._format = format
        self._talk: _Talk | None = None
        self._next: Any = None
        self._sent = b""
        self._header: bytes | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it has a message to send before it ends."""
        return self._talk is not None

    def round(self, number: int) -> bytes:
        """Return nothing: no message is known before it is sent."""
        return b""

    def render(self, message: int) -> bytes:
        """Return the frame of the next message, and begin a conversation if there is none.

        Raises:
          NoMessageError: there is none to send: the function raised, ended or yielded something else.
        """
        if self._talk is None:
            self._next = self._first_message()
        payload, self._next = self._next, None
        if payload is None:
            raise NoMessageError(f"{self._name} yielded None, to await another reply, and had sent nothing")
        self._header = None
        header = None
        if isinstance(payload, Frame):
            header, payload = payload.header, payload.payload
        for part in (payload, b"" if header is None else header):
            if not isinstance(part, bytes | bytearray | memoryview):
                raise NoMessageError(f"{self._name} yielded {_type_of(part)}, and no bytes")
        self._sent = bytes(payload)
        try:
            if header is not None:
                self._header = self._format.encode_header(len(self._sent), like=bytes(header))
            return encode_frame(self._sent, format=self._format, header=self._header)
        except PayloadTooLargeError as error:
            raise NoMessageError(f"{self._name} yielded a message that is too long: {error}") from None
        except ValueError as error:
            raise NoMessageError(f"{self._name} yielded a frame that cannot be: {error}") from None

    def _first_message(self) -> object:
        try:
            self._talk = self._begin(self._connection)
            return next(self._talk)
        except StopIteration:
            raise NoMessageError(f"{self._name} ended without a message") from None
        except Exception as error:  # noqa: BLE001 - a function of the user may raise anything
            raise NoMessageError(self._raised(error)) from None

    def take_reply(self, message: bytes, reply: bytes) -> ReplyVerdict:
        """Give a reply to the conversation, and return what that makes of it. As `ReplyCheck`.

        What it returns is as with a function that checks replies; while it goes on, a reply is right,
        unless it awaits another one to the same message.
        """
        talk = self._talk
        if talk is None:
            raise TypeError("no conversation waits for a reply")
        try:
            self._next = talk.send(reply)
        except StopIteration as end:
            self._talk = None
            return verdict_of(self._name, end.value, reply)
        except Exception as error:  # noqa: BLE001 - a function of the user may raise anything, and ends nothing
            self._talk = None
            return ReplyVerdict("unchecked", self._raised(error))
        return MORE if self._next is None else RIGHT

    def close(self) -> None:
        """End the conversation, as the connection has ended; it is too late for what that raises."""
        talk, self._talk = self._talk, None
        if talk is not None:
            with contextlib.suppress(Exception):
                talk.close()

    def payload(self, message: int) -> bytes:
        """Return the payload of the message that was sent last: there is no other in flight."""
        return self._sent

    def length(self, message: int) -> int:
        """Return how many bytes that has."""
        return len(self._sent)

    def candidate(self, connection: int, payload: bytes) -> int | None:
        """Return None: these payloads have no stamp."""
        return None

    def header(self, message: int) -> bytes | None:
        """Return the header of the message that was sent last; None if it was not given."""
        return self._header

    def forget(self, before: int, overdue: Collection[int]) -> None:
        """Do nothing: only one message is kept."""

    def _raised(self, error: Exception) -> str:
        return f"{self._name} raised {printable_line(describe_with_place(error))}"


def _type_of(value: object) -> str:
    return printable_line(type(value).__name__)
