"""The wait for the moment at which all workers start."""

from __future__ import annotations

import time

import pytest
import trio
import trio.testing

from trioecho.load.processes.moment import NEAR_NS, wait_until

AHEAD_NS = 20_000_000


async def test_it_never_ends_before_the_moment_and_does_not_sleep_up_to_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    # Trio's sleep takes no time here: what it leaves is waited for by the clock that counts.
    moment_ns = time.perf_counter_ns() + AHEAD_NS
    await wait_until(moment_ns)
    assert time.perf_counter_ns() >= moment_ns
    assert trio.current_time() * 1e9 <= AHEAD_NS - NEAR_NS


async def test_a_moment_that_has_passed_is_there(autojump_clock: trio.testing.MockClock) -> None:
    await wait_until(time.perf_counter_ns() - AHEAD_NS)
    assert trio.current_time() == 0


@pytest.mark.parametrize("ahead_ns", [NEAR_NS // 2, 3600 * 10**9])
async def test_the_wait_can_be_cancelled(ahead_ns: int) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await wait_until(time.perf_counter_ns() + ahead_ns)
    assert scope.cancelled_caught
