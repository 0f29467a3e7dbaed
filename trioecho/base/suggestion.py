"""Which word the user may have meant who wrote one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .printable import printable_line

_SHOWN_CHARACTERS = 60
_MOST_WORDS = 3


def did_you_mean(word: str, words: Iterable[str], otherwise: str) -> str:
    """Return "did you mean X?" with the word that is nearest, or ``otherwise`` if none is near.

    Of words that begin with what was written, the first few are named.
    """
    known = sorted(words)
    begun = [each for each in known if len(word) > 2 and each.startswith(word)]
    close = begun[:_MOST_WORDS] or difflib.get_close_matches(word[:_SHOWN_CHARACTERS], known, n=1)
    return f"did you mean {' or '.join(close)}?" if close else otherwise


def quoted(text: str) -> str:
    """Return what the user wrote, in quotes, on one line, shortened if it is long."""
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 3] + "..."
    return f"'{printable_line(text)}'"
