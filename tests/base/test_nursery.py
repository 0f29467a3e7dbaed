"""A nursery for tasks in the background: they end with the block, whose errors stay as they are."""

from __future__ import annotations

import pytest
import trio

from trioecho.base.exception_groups import BaseExceptionGroup, leaves
from trioecho.base.nursery import open_background_nursery


async def test_the_tasks_end_with_the_block() -> None:
    events: list[str] = []
    async with open_background_nursery() as nursery:
        await nursery.start(note_the_end, events)
        events.append("block")
    assert events == ["block", "task"]


async def test_what_the_block_raises_comes_as_it_is_when_the_tasks_have_ended() -> None:
    events: list[str] = []
    mistake = ValueError("a mistake")

    async def block() -> None:
        async with open_background_nursery() as nursery:
            await nursery.start(note_the_end, events)
            raise mistake

    with pytest.raises(ValueError, match="a mistake") as caught:
        await block()
    assert caught.value is mistake
    assert events == ["task"]


async def note_the_end(events: list[str], task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    try:
        await trio.sleep_forever()
    finally:
        events.append("task")


async def test_what_a_task_raises_cancels_the_block_and_comes_in_a_group() -> None:
    async def fail() -> None:
        raise ValueError("a mistake")

    async def block() -> None:
        async with open_background_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await block()
    assert [type(error) for error in leaves(caught.value)] == [ValueError]


async def test_a_cancelled_block_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with open_background_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
