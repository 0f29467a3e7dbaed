"""Random bytes follow from the seed alone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.base.random_bytes import random_bytes


@given(st.integers(0, 100), st.integers(0, 3))
def test_random_bytes_are_those_of_one_piece(count: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trioecho.base.random_bytes._MOST_AT_ONCE", 8)
        assert random_bytes(Random(seed), count) == Random(seed).randbytes(count)


def test_more_random_bytes_than_the_library_makes_at_once() -> None:
    pieces: list[int] = []

    class Counting(Random):
        def randbytes(self, n: int) -> bytes:
            assert n < 1 << 28  # more it cannot
            pieces.append(n)
            return b""

    random_bytes(Counting(), 3 << 28)
    assert sum(pieces) == 3 << 28
