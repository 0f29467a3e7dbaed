"""Which server of a class is checked by which worker of a cluster, and by which one again."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trioecho.cli.check_queue import CheckQueue, Loss, Waiting
from trioecho.cluster.choice import ClusterMachine

A, B, C = (ClusterMachine(number, name, "h", "") for number, name in enumerate("abc"))


def queue(count: int, *machines: ClusterMachine, most: int = 3) -> CheckQueue:
    return CheckQueue(count, machines, {"h": most, "other": most})


async def taken(by: ClusterMachine, of: CheckQueue) -> Waiting:
    with trio.fail_after(5):
        item = await of.take(by)
    assert item is not None
    return item


def numbers(items: list[Waiting]) -> list[int]:
    return [item.number for item in items]


async def test_servers_are_given_out_in_their_order_and_all_are_told_when_all_is_done() -> None:
    waiting = queue(3, A, B)
    first, second = await taken(A, waiting), await taken(B, waiting)
    waiting.finish(B, second)
    third = await taken(B, waiting)
    assert numbers([first, second, third]) == [0, 1, 2]
    ends: list[Waiting | None] = []

    async def take_more() -> None:
        ends.append(await waiting.take(B))

    waiting.finish(B, third)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_more)
        await wait_all_tasks_blocked()
        assert ends == []  # the first one may come back
        waiting.finish(A, first)
    assert ends == [None]
    assert await waiting.take(A) is None


async def test_a_machine_has_no_more_at_a_time_than_it_may() -> None:
    other = ClusterMachine(3, "d", "other", "")
    waiting = queue(4, A, B, other, most=1)
    first = await taken(A, waiting)
    assert (await taken(other, waiting)).number == 1
    with trio.move_on_after(0.01) as scope:
        await waiting.take(B)
    assert scope.cancelled_caught
    waiting.finish(A, first)
    assert (await taken(B, waiting)).number == 2


async def test_what_was_lost_is_given_to_another_worker_once_before_all_else() -> None:
    waiting = queue(3, A, B, C)
    first = await taken(A, waiting)
    assert waiting.lose(first, Loss(A, "is gone", has_begun=True), is_gone=True) == []
    assert await taken(B, waiting) is first
    assert waiting.lose(first, Loss(B, "is gone", has_begun=True), is_gone=True) == [first]
    assert [str(loss) for loss in first.losses] == ["worker a on h is gone", "worker b on h is gone"]
    assert [loss.machine for loss in waiting.lost] == [A, B]
    assert numbers([await taken(C, waiting)]) == [1]


async def test_a_worker_that_was_gone_before_it_began_does_not_count() -> None:
    waiting = queue(1, A, B, C)
    item = await taken(A, waiting)
    assert waiting.lose(item, Loss(A, "is gone", has_begun=False), is_gone=True) == []
    assert await taken(B, waiting) is item
    assert waiting.lose(item, Loss(B, "is gone", has_begun=True), is_gone=True) == []
    assert await taken(C, waiting) is item
    assert waiting.lose(item, Loss(C, "is gone", has_begun=True), is_gone=True) == [item]
    assert await waiting.take(A) is None


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_worker_is_not_given_what_it_was_lost_with(is_gone: bool) -> None:
    waiting = queue(2, A, B)
    item = await taken(A, waiting)
    assert waiting.lose(item, Loss(A, "failed", has_begun=True), is_gone=is_gone) == []
    if not is_gone:
        assert (await taken(A, waiting)).number == 1
    assert await taken(B, waiting) is item


async def test_without_a_worker_all_that_waits_is_given_back() -> None:
    waiting = queue(4, A, B)
    first, second = await taken(A, waiting), await taken(B, waiting)
    assert waiting.lose(first, Loss(A, "is gone", has_begun=True), is_gone=True) == []
    hopeless = waiting.lose(second, Loss(B, "is gone", has_begun=True), is_gone=True)
    assert numbers(hopeless) == [1, 0, 2, 3]
    assert await waiting.take(A) is None
