"""What tests of connections share."""

from __future__ import annotations

import pytest


@pytest.fixture
def endless_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn ends where it has a reason, and not because the machine is busy with something else."""
    for module in ("reactor", "calls"):
        monkeypatch.setattr(f"trioecho.connection.{module}.TURN_S", 1e9)
