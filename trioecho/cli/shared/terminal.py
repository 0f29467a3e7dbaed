"""How wide a text for people may be."""

from __future__ import annotations

import os
import sys
from typing import TextIO

# Below the first, words do not fit; above the second, lines are hard to read.
NARROWEST, WIDEST = 50, 120
_WITHOUT_TERMINAL = 80


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Return the columns of the terminal of a stream, from 50 to 120; None if it is no terminal.

    ``COLUMNS`` in the environment overrides the width of a terminal. The terminal is asked
    each time, because the user may resize it.

    Args:
      stream: stdout by default.
    """
    stream = stream or sys.stdout
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream is not None else 0
    except (OSError, ValueError):  # it is no terminal, has no descriptor, or is closed
        return None
    preferred = os.environ.get("COLUMNS", "")
    if preferred.isascii() and preferred.isdigit():
        columns = int(preferred) or columns
    # A terminal that does not know its size says 0.
    return max(NARROWEST, min(WIDEST, columns)) if columns else None


def text_width(stream: TextIO | None = None) -> int:
    """Return how many columns a text for people may have, from 50 to 120; 80 without a terminal.

    Args:
      stream: where it is written; stdout by default.
    """
    return terminal_width(stream) or _WITHOUT_TERMINAL
