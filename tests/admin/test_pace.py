"""What many tasks do together in a second is bounded."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from trioecho.admin.pace import SharedPace


async def test_a_crowd_gets_a_burst_and_then_its_pace(autojump_clock: MockClock) -> None:
    pace = SharedPace(per_second=100, burst=10, fastest=1000)
    await trio.sleep(5)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await pace.wait_for_turn()
            turns += 1

    with trio.move_on_after(3.001):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(take_turns)
    assert 300 <= turns <= 310


async def test_those_of_a_burst_are_apart(autojump_clock: MockClock) -> None:
    pace = SharedPace(per_second=10, burst=5, fastest=100)
    await trio.sleep(5)
    began_at = trio.current_time()
    turns_s: list[float] = []
    for _ in range(7):
        await pace.wait_for_turn()
        turns_s.append(round(trio.current_time() - began_at, 3))
    assert turns_s == [0, 0.01, 0.02, 0.03, 0.04, 0.1, 0.2]


async def test_who_came_first_goes_first(autojump_clock: MockClock) -> None:
    pace = SharedPace(per_second=1, burst=1, fastest=1)
    order: list[int] = []

    async def take_turn(number: int) -> None:
        await pace.wait_for_turn()
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(take_turn, number)
            await trio.testing.wait_all_tasks_blocked()
    assert order == [0, 1, 2, 3, 4]
