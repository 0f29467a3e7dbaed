"""Errors in words, which are never empty."""

from __future__ import annotations

import functools
import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1])
# How Python words what OpenSSL reports: "[SSL: HTTP_REQUEST] http request (_ssl.c:1006)".
_OPENSSL = re.compile(r"(?:\[SSL(?:: \w+)?\] )?(.*?) \(_ssl\.c:\d+\)")


def describe(error: BaseException) -> str:
    """Return what went wrong, in one line of words.

    Of an error without words its cause is described, or what was being handled when
    it was raised; of a group its first error. If none of them has words, the type's name is all.
    """
    chain = list(_chain(error))
    return next(filter(None, map(_words_of, chain)), type(chain[0]).__name__)


def describe_with_place(error: BaseException) -> str:
    """Return an unexpected error in one line: its type, its words and a place in the code.

    The place is the innermost one at which somebody can change something: of a user's code, else of
    this package, else of an installed package or the standard library.
    """
    name, words = type(error).__name__, describe(error)
    place = "" if isinstance(error, SyntaxError) else _place_of(error)  # whose words have it
    return f"{name}{place}" if words == name else f"{name}: {words}{place}"


def _place_of(error: BaseException) -> str:
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return ""
    file, line = min(reversed(frames), key=lambda place: _distance(place[0]))
    return f" ({Path(file).name}:{line})"


def is_of_user(file: str) -> bool:
    """Return whether a file of Python code is neither of this package, nor installed, nor Python's own."""
    return _distance(file) == 0


def _distance(file: str) -> int:
    """Return how far the code of a file is from a user's."""
    if file.startswith((_PACKAGE, "trioecho/")):  # the latter where it is compiled
        return 1
    return 2 if file.startswith(_foreign_folders()) else 0


@functools.cache  # it takes long, and is asked for every module that is imported
def _foreign_folders() -> tuple[str, ...]:
    return sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "<frozen"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, and those behind it, the nearest first."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        parts = getattr(behind, "exceptions", ())  # of a group, whose own words explain nothing
        if not parts:
            yield behind
            parts = (behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__),)
        behind = parts[0]


def _words_of(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    if not isinstance(text, str):
        text = str(error)
    words = " ".join(text.split())
    openssl = _OPENSSL.fullmatch(words)
    return f"TLS: {openssl[1]}" if openssl else words
