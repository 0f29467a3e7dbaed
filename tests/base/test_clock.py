from __future__ import annotations

import time

import trio

from trioecho import PerfCounterClock


def test_the_counter_is_the_time_of_all() -> None:
    async def main() -> float:
        before = time.perf_counter()
        now = trio.current_time()
        assert before <= now <= time.perf_counter()
        with trio.move_on_after(0.01) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        return trio.current_time() - now

    assert trio.run(main, clock=PerfCounterClock()) >= 0.01


def test_how_long_to_sleep() -> None:
    clock = PerfCounterClock()
    assert 0 < clock.deadline_to_sleep_time(clock.current_time() + 1) <= 1
    assert clock.deadline_to_sleep_time(clock.current_time() - 1) < 0
