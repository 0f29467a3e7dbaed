"""Random bytes, in any number."""

from __future__ import annotations

import random

# `random.Random.randbytes` makes less than 256 MiB at a time. Pieces of a multiple of
# four bytes are what it would make of the whole.
_MOST_AT_ONCE = 1 << 26


def random_bytes(source: random.Random, count: int) -> bytes:
    """Return what ``source.randbytes(count)`` would, if it could, for any count."""
    if count <= _MOST_AT_ONCE:
        return source.randbytes(count)
    pieces = [source.randbytes(_MOST_AT_ONCE) for _ in range(count // _MOST_AT_ONCE)]
    return b"".join([*pieces, source.randbytes(count % _MOST_AT_ONCE)])
