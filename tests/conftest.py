"""What tests of the server and of the load share: they hold whoever drives or waits for a connection."""

from __future__ import annotations

import select

import pytest

from trioecho.load.poller import EpollPoller, PollPoller, SelectPoller


@pytest.fixture(params=["hub", "tasks"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test that uses it runs once with the hub, and once as on a platform without one."""
    name: str = request.param
    if name == "tasks":
        monkeypatch.setattr("trioecho.server.open_hub", lambda: None)
    return name


@pytest.fixture(params=["epoll", "poll", "select"])
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every load in this process runs once with each way to wait for sockets."""
    name: str = request.param
    kinds = {"epoll": EpollPoller, "poll": PollPoller, "select": SelectPoller}
    if name != "select" and not hasattr(select, name):
        pytest.skip(f"this system has no {name}")
    monkeypatch.setattr("trioecho.load.local.open_poller", kinds[name])
    return name
