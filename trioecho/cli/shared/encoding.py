"""Lines in any encoding: a character that the encoding lacks is replaced by plain ones.

An output may be in ASCII or Latin-1, by ``PYTHONIOENCODING=ascii`` or a locale such as
``en_US.ISO-8859-1``. In the C locale Python turns UTF-8 on.
"""

from __future__ import annotations

import codecs
import io
import sys

# The name of the error handler, for `str.encode` and for streams.
PLAIN = "trioecho.plain"

_SUBSTITUTES = {"✓": "+", "✗": "X", "±": "+-", "µ": "u", "–": "-", "—": "-", "…": "...", "×": "x", "█": "#"}


def use_plain_substitutes() -> None:
    """Make stdout and stderr replace characters that their encoding lacks by plain ones, or escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)


def _put_plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = (
        _SUBSTITUTES.get(character) or character.encode("ascii", "backslashreplace").decode()
        for character in lacking
    )
    return "".join(plain), error.end


codecs.register_error(PLAIN, _put_plainly)
