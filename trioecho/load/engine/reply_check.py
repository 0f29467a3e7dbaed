"""Judge one reply by less than its whole content: by its length, or by a function of the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...base.describe import describe_with_place
from ...base.functions_by_name import FunctionReference, find_plain_function
from ...base.printable import printable_line
from ...base.quantities import plural
from ..reply_rule import ReplyRule

_SHOWN_BYTES = 24


class ReplyVerdict(NamedTuple):
    """What a reply is.

    Attributes:
      kind: "right", or a kind of error: "wrong", "unchecked"; or "more", if it is not the last one to
        its message.
      detail: why, in words.
    """

    kind: str
    detail: str = ""


ReplyCheck = Callable[[bytes, bytes], ReplyVerdict]

RIGHT = ReplyVerdict("right")
MORE = ReplyVerdict("more")


def check_of(rule: ReplyRule, folder: str) -> ReplyCheck | None:
    """Return what judges a message and its reply; None if frames are only counted.

    Args:
      rule: how replies are verified; not one that is compared.
      folder: where a module may be that is not installed.

    Raises:
      FunctionNotFoundError: there is no such function, or it is of no use.
    """
    if rule.word == "count":
        return None
    if rule.word == "same-length":
        return _same_length
    reference = FunctionReference(rule.text, folder)
    function = find_plain_function(reference, b"message", b"reply", takes="a message and its reply")
    return _UserCheck(rule.text, function)


def _same_length(message: bytes, reply: bytes) -> ReplyVerdict:
    if len(message) == len(reply):
        return RIGHT
    return ReplyVerdict("wrong", f"{plural(len(reply), 'byte')} instead of {len(message):,}")


class _UserCheck:
    """Gives message and reply to a function of the user.

    True and None are right, and False is wrong. What the function raises, or any other value, is
    counted (unchecked), and ends nothing.
    """

    def __init__(self, name: str, function: Callable[[bytes, bytes], object]) -> None:
        self._name = name
        self._function = function

    def __call__(self, message: bytes, reply: bytes) -> ReplyVerdict:
        try:
            verdict = self._function(message, reply)
        except Exception as error:  # noqa: BLE001 - a function of the user may raise anything, and ends nothing
            return ReplyVerdict(
                "unchecked", f"{self._name} raised {printable_line(describe_with_place(error))}"
            )
        return verdict_of(self._name, verdict, reply)


def verdict_of(name: str, returned: object, reply: bytes) -> ReplyVerdict:
    """Return what a reply is, by what a function of the user returned for it."""
    if returned is True or returned is None:
        return RIGHT
    if returned is False:
        return ReplyVerdict("wrong", f"{name} returned False for {_shown(reply)}")
    found = printable_line(type(returned).__name__)
    return ReplyVerdict("unchecked", f"{name} returned neither True nor False nor None, but {found}")


def _shown(data: bytes) -> str:
    more = f"... ({len(data):,} bytes)" if len(data) > _SHOWN_BYTES else ""
    return f"{data[:_SHOWN_BYTES]!r}{more}"
