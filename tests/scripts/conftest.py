"""What the scripts start is measured by themselves, and not by coverage, which would make it slow."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_coverage_here(no_coverage: None) -> None:
    pass
