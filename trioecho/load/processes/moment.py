"""Wait for a moment, more exactly than Trio sleeps."""

from __future__ import annotations

import os
import time

import trio

from ...base.units import NS_PER_S

# Trio waits by epoll_wait(2), in whole milliseconds, rounded up, and the kernel adds its own.
NEAR_NS = 2_000_000

# A nap is a sleep in which no other task has its turn, and which ends within some 60 us of its time.
_NAP_NS = 250_000
_SPIN_NS = 150_000


async def wait_until(moment_ns: int) -> None:
    """Wait until `time.perf_counter_ns` is there; a moment that has passed is there.

    In the last 2 ms other tasks have their turns between short naps, and in the last 150 us, for
    which a processor is used, all the time. It can be cancelled at any time.
    """
    await trio.sleep(max(0.0, (moment_ns - NEAR_NS - time.perf_counter_ns()) / NS_PER_S))
    while (left_ns := moment_ns - time.perf_counter_ns()) > 0:
        _nap(min(_NAP_NS, left_ns - _SPIN_NS))
        await trio.lowlevel.checkpoint()


def give_way() -> None:
    """Let others have this processor, as engines that are to start at the same moment.

    Else the last of three engines on two processors starts when another one has caught up with its
    schedule, which takes a millisecond. Where nobody waits, this takes a microsecond (sched_yield(2)).
    """
    if hasattr(os, "sched_yield"):  # not on Windows
        os.sched_yield()


def _nap(ns: int) -> None:
    if ns > 0:
        time.sleep(ns / NS_PER_S)
