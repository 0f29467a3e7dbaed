"""The task driver alone: what ends its waits, and what it forgets after them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from trioecho import FrameFormat, Limits
from trioecho.connection.exchange import Exchange
from trioecho.connection.task_driver import TaskDriver
from trioecho.connection.transport import open_transport


@pytest.mark.parametrize("ends_with", ["bytes", "the deadline", "wake"])
async def test_a_wait_ends_with_bytes_at_its_deadline_or_when_woken_and_nothing_of_it_stays(
    ends_with: str, autojump_clock: MockClock
) -> None:
    stream, peer = memory_stream_pair()
    transport = open_transport(stream)
    exchange = Exchange(
        format=FrameFormat(), limits=Limits(), receive_capacity=transport.receive_capacity, now=0.0
    )
    driver = TaskDriver(exchange, transport)
    wake = driver.wake

    async def end_it() -> None:
        await trio.sleep(3)
        if ends_with == "bytes":
            await peer.send_all(b"some")
        elif ends_with == "wake":
            driver.wake()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_it)
        data = await driver.receive_until(trio.current_time() + 10)
    assert data == (b"some" if ends_with == "bytes" else None)
    assert trio.current_time() == (10 if ends_with == "the deadline" else 3)
    assert driver.wake is wake  # it would hold the scope of the wait
