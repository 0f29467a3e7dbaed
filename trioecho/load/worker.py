"""``python -m trioecho.load.worker``: a part of a load, in a process of its own.

It is told what to do, when to start and when to stop on its standard input, and says
what comes of it on its standard output (see `messages`). When its input ends, it does.
"""

from __future__ import annotations

import math
import os
from typing import Any

import trio

from . import messages
from .errors import CannotConnectError, TooManyConnectionsError
from .local import LocalRun
from .plan import LoadPlan
from .result import Progress


async def work(orders: trio.abc.ReceiveStream, answers: trio.abc.SendStream) -> None:
    """Carry out the part of a load that is ordered."""
    receiver = messages.Receiver(orders)
    order = await receiver.receive()
    if order is None:
        return
    start_at: list[int] = []
    may_start = trio.Event()
    to_writer, to_write = trio.open_memory_channel[dict[str, Any]](math.inf)

    async def when_to_start() -> int:
        to_writer.send_nowait({"event": "ready"})
        await may_start.wait()
        return start_at[0]

    def on_progress(progress: Progress) -> None:
        if progress.phase != "connecting":
            to_writer.send_nowait(messages.progress_as_message(progress))

    run = LocalRun(
        LoadPlan.from_dict(order["plan"]),
        order["first"],
        order["count"],
        on_progress=on_progress,
        progress_interval_s=order["progress_interval_s"],
        when_to_start=when_to_start,
    )

    async def obey() -> None:
        while (order := await receiver.receive()) is not None:
            if order["order"] == "start":
                start_at.append(order["at"])
                may_start.set()
            else:
                run.stop()
        nursery.cancel_scope.cancel()

    async def write() -> None:
        async for message in to_write:
            await messages.send(answers, message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey)
        async with trio.open_nursery() as writing:
            writing.start_soon(write)
            with to_writer:
                to_writer.send_nowait(await _outcome(run))
        nursery.cancel_scope.cancel()


async def _outcome(run: LocalRun) -> dict[str, Any]:
    try:
        return {"event": "result", "json": (await run.run()).to_json(indent=None)}
    except CannotConnectError as error:
        return {"event": "cannot connect", "reason": error.reason}
    except TooManyConnectionsError as error:
        return {"event": "too many connections", "numbers": [error.connections, error.open_files]}


async def _main() -> None:
    async with trio.lowlevel.FdStream(os.dup(0)) as orders, trio.lowlevel.FdStream(os.dup(1)) as answers:
        await work(orders, answers)


if __name__ == "__main__":
    trio.run(_main)
