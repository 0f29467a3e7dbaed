"""Fault proxies for the tests of other projects: between their client and their server.

`run_proxies` starts a process with proxies, which plain functions command: for tests of any
library. `open_fault_proxy` is a proxy in the test's own process, for tests on Trio. The fixture
``trioecho_proxy`` of pytest is in `trioecho.testing.pytest_plugin`; nothing else here needs pytest.
"""

from __future__ import annotations

from .client import ProxyClient, ProxyCommandError, RemoteProxy
from .in_process import FaultProxy, open_fault_proxy
from .process import ProxyProcessError, run_proxies
from .words import DirectionWord, FaultWord, ProxyCounters, WhenFullWord

__all__ = [
    "DirectionWord",
    "FaultProxy",
    "FaultWord",
    "ProxyClient",
    "ProxyCommandError",
    "ProxyCounters",
    "ProxyProcessError",
    "RemoteProxy",
    "WhenFullWord",
    "open_fault_proxy",
    "run_proxies",
]
