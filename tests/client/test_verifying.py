"""Verify echoes, without a command and without a socket."""

from __future__ import annotations

from typing import cast

import pytest
import trio
import trio.testing

from trioecho import FrameChannel
from trioecho.base.exception_groups import BaseExceptionGroup, leaves
from trioecho.client.verifying import EchoSummary, verify_echoes


class InterruptedWhenEchoed:
    """Echoes, and is interrupted when an echo has been received."""

    def __init__(self) -> None:
        self._to_receive, self._sent = trio.open_memory_channel[bytes](1)

    async def send(self, value: bytes) -> None:
        self._to_receive.send_nowait(value)
        await trio.testing.wait_all_tasks_blocked()
        raise KeyboardInterrupt

    async def receive(self) -> bytes:
        return await self._sent.receive()


# Trio runs tasks in no order: several tries, so that each order occurs.
@pytest.mark.parametrize("attempt", range(20))
async def test_an_exception_of_the_sending_task_is_not_lost(attempt: int) -> None:
    channel = cast("FrameChannel", InterruptedWhenEchoed())
    with pytest.raises(BaseExceptionGroup) as raised:
        await verify_echoes(channel, [b"one", b"two"], summary=EchoSummary())
    assert [type(each) for each in leaves(raised.value)] == [KeyboardInterrupt]
