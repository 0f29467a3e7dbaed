"""What is inside an exception group. Nurseries raise groups; people want to read the causes."""

from __future__ import annotations

import sys
from collections.abc import Iterator

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup  # Trio depends on it there
else:
    from builtins import BaseExceptionGroup

__all__ = ["BaseExceptionGroup", "leaves"]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group, at any depth; an exception itself, if it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
