"""Wait for a moment, more exactly than Trio sleeps."""

from __future__ import annotations

import time

import trio

from ...base.units import NS_PER_S

# Trio waits by epoll_wait(2), in whole milliseconds, rounded up, and the kernel adds its own.
NEAR_NS = 2_000_000


async def wait_until(moment_ns: int) -> None:
    """Wait until `time.perf_counter_ns` is there; a moment that has passed is there.

    It uses a processor for the last 2 ms, in which other tasks have their turns. It can be
    cancelled at any time.
    """
    await trio.sleep(max(0.0, (moment_ns - NEAR_NS - time.perf_counter_ns()) / NS_PER_S))
    while time.perf_counter_ns() < moment_ns:
        await trio.lowlevel.checkpoint()
