"""How Hypothesis tries examples: the same ones each time, however long one takes on a busy machine."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings


def examples(most: int, **others: Any) -> settings:
    """Return settings for that many examples, and for a sixth of them where slow tests are left out."""
    tries_all = os.environ.get("TRIOECHO_TESTS") == "all"  # as `scripts/test --all` says it
    return settings(max_examples=most if tries_all else max(10, most // 6), **others)


settings.register_profile(
    "trioecho",
    examples(100),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("trioecho")
