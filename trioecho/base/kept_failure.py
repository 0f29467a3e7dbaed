"""Raises, in a task, an exception that was kept for it."""

from __future__ import annotations

from typing import Protocol


class KeepsFailure(Protocol):
    """What an exception can be kept in.

    Attributes:
      failure: the exception; None where there is none.
    """

    failure: BaseException | None


def raise_kept_failure(keeper: KeepsFailure) -> None:
    """Raise the failure that is kept there, if there is one, and keep it no longer."""
    failure, keeper.failure = keeper.failure, None
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # or its traceback would keep all of this alive, in a circle
