"""What all tests share: the examples of Hypothesis, and the ways to drive or wait for a connection."""

from __future__ import annotations

import gc
import select
import signal
from collections.abc import Iterator

import pytest

import tests.support.examples  # noqa: F401 - for all that hypothesis tries
from tests.support.slow import slow
from trioecho.base.processors import count_processors
from trioecho.load.engine.poller import EpollPoller, PollPoller, SelectPoller

# The commands leave a signal ignored that was ignored at their start, and tests send them some.
# These tests may themselves have been started by nohup, or with a shell's &.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let no garbage collection look at the thousands of tests, each time anew, while they are collected.

    That was a quarter of the time that each worker takes to collect.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Nor while they run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def signals_stay() -> Iterator[None]:
    """Fail a test that leaves a signal handled in another way: what later tests start would inherit that."""
    before = _signal_handlers()
    yield
    assert _signal_handlers() == before


def _signal_handlers() -> dict[signal.Signals, object]:
    # SIGALRM is for pytest-timeout, which may leave it when a test fails.
    return {number: signal.getsignal(number) for number in signal.Signals if number.name != "SIGALRM"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Make three workers for two processors: tests wait for others half as long as they compute."""
    return (3 * count_processors() + 1) // 2


@pytest.fixture(params=["reactor", "tasks"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test that uses it runs once with the reactor, and once as on a platform without one."""
    name: str = request.param
    if name == "tasks":
        monkeypatch.setattr("trioecho.server.serving.open_reactor", lambda: None)
    return name


@pytest.fixture(params=["epoll", slow("poll"), slow("select")])
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every load in this process runs once with each way to wait for sockets."""
    name: str = request.param
    kinds = {"epoll": EpollPoller, "poll": PollPoller, "select": SelectPoller}
    if name != "select" and not hasattr(select, name):
        pytest.skip(f"this system has no {name}")
    monkeypatch.setattr("trioecho.load.processes.local.open_poller", kinds[name])
    return name


@pytest.fixture
def no_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes that the test starts not measure what they cover."""
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
