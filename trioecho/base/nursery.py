"""Tasks that last as long as a block, whose errors come out of it as they are."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import trio


@contextlib.asynccontextmanager
async def open_background_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery for tasks in the background of a block; they are cancelled at its end.

    What the block raises is raised again behind the nursery, so that the caller can
    catch it by its type. A nursery would raise it in a group. What a task raises
    cancels the block, and does come in a group.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as error:  # noqa: BLE001 - every one is raised again, below
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
