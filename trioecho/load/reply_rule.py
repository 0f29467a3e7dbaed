"""How replies are verified: compared with an echo or a recorded reply, or by less; and that in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ReplyWord = Literal["echo", "count", "same-length", "recorded"]
_WORDS: dict[str, ReplyWord] = {word: word for word in ("echo", "count", "same-length", "recorded")}
# Whether there is such a module or file, and such a function in it, is seen when it is looked for.
_FUNCTION = re.compile(r".+:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class ReplyRule:
    """What has to be true of a reply.

    Attributes:
      text: as a user writes it: ``echo``, ``count``, ``same-length``, ``recorded``, ``MODULE:FUNCTION`` or
        ``FILE.py:FUNCTION``.

    Raises:
      ValueError: it is none of these.
    """

    text: str = "echo"

    def __post_init__(self) -> None:
        if self.word is None and not _FUNCTION.fullmatch(self.text):
            raise ValueError(f"{self.text!r} is none of {', '.join(_WORDS)}, and no MODULE:FUNCTION")

    @property
    def word(self) -> ReplyWord | None:
        """The word; None for a function."""
        return _WORDS.get(self.text)

    @property
    def is_compared(self) -> bool:
        """True if each reply is known beforehand, so that it shows whose reply it is."""
        return self.word in ("echo", "recorded")

    @property
    def in_words(self) -> str:
        """What was done with replies, a sentence without its end, which every report has."""
        return {
            "echo": "every reply was compared with its message, in content and order",
            "recorded": "every reply was compared with the one in the file, in content and order",
            "count": "replies were counted, not compared",
            "same-length": "replies were compared with their messages in length, not in content",
        }.get(self.text, f"every reply was given to {self.text}, with the message in its place")

    def __str__(self) -> str:
        return self.text
