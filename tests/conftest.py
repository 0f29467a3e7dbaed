"""What tests of the server share: they hold whoever drives a connection."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["hub", "tasks"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test that uses it runs once with the hub, and once as on a platform without one."""
    name: str = request.param
    if name == "tasks":
        monkeypatch.setattr("trioecho.server.open_hub", lambda: None)
    return name
