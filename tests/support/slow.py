"""What only `scripts/test --all` runs: it takes long, and other tests guard the same promise."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """Mark values of `pytest.mark.parametrize` as slow."""
    return pytest.param(*values, marks=pytest.mark.slow)
