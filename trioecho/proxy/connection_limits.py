"""How many clients a proxy takes, at a time and in all, and what becomes of those beyond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..base.written_values import read_count
from .named_fault import ProxyRequestError

WAIT, RESET = "wait", "reset"
WHEN_FULL: tuple[str, str] = (WAIT, RESET)
LIMIT_KEYS = ("max_connections", "when_full", "total_connections")


@dataclass(frozen=True)
class ConnectionLimits:
    """How many clients a proxy takes.

    Attributes:
      max_connections: at a time; 0 for any number.
      when_full: what happens to one more: ``wait``, in the kernel, until another ends; or ``reset``.
      total_connections: in all, since the proxy was added; later ones are reset. 0 for any number.
    """

    max_connections: int = 0
    when_full: str = WAIT
    total_connections: int = 0

    def as_object(self) -> dict[str, Any]:
        """Return them as JSON has them."""
        return {key: getattr(self, key) for key in LIMIT_KEYS}

    def is_used_up(self, connections: int) -> bool:
        """Return whether all clients that are taken in all have come."""
        return bool(self.total_connections) and connections >= self.total_connections

    def why_reset(self, *, open_connections: int, connections: int) -> str | None:
        """Return why the next client is reset, in words; None if it is not.

        Args:
          open_connections: clients that are connected now.
          connections: clients in all.
        """
        if self.is_used_up(connections):
            return f"{connections} have come in all"
        most = self.max_connections
        if self.when_full == RESET and most and open_connections >= most:
            return f"{open_connections} are connected"
        return None


# Any number of clients.
UNLIMITED: ConnectionLimits = ConnectionLimits()


def read_limits(given: Mapping[str, Any], before: ConnectionLimits) -> ConnectionLimits:
    """Return the limits with what an object has of them.

    Raises:
      ProxyRequestError: it makes no sense.
    """
    read: dict[str, Any] = {}
    for key in ("max_connections", "total_connections"):
        if key in given:
            try:
                read[key] = read_count(str(given[key]))
            except ValueError as error:
                raise ProxyRequestError(f"{key}: {error}") from None
    if "when_full" in given:
        if given["when_full"] not in WHEN_FULL:
            raise ProxyRequestError(f"when_full is one of {', '.join(WHEN_FULL)}")
        read["when_full"] = given["when_full"]
    return replace(before, **read)
