"""A server that serves its first connection, and no other."""

from __future__ import annotations

from dataclasses import dataclass

from .spawned_process import in_words_of

# A process that ends with its only connection takes no longer, on a busy machine either: one whose
# exit code came later would be taken for one that has crashed in every case.
MOST_EXIT_S = 3.0


@dataclass(frozen=True)
class OnlyFirst:
    """A server that serves its first connection, and no other.

    Attributes:
      exit_code: what its process ends with when that connection has ended; None if it runs on.
      last_line: what it has written then; empty if nothing.
    """

    exit_code: int | None
    last_line: str = ""

    @property
    def cause_id(self) -> str:
        """Why no other is served."""
        return "error-ends-server" if self.exit_code else "only-first-connection"

    @property
    def in_words(self) -> str:
        """What is to be said of the whole run."""
        if not self.exit_code:
            return "the server serves its first connection, and no other; so each had a fresh server"
        wrote = f" (it wrote: {self.last_line})" if self.last_line else ""
        return (
            f"the server ended {in_words_of(self.exit_code)} when its first connection had ended{wrote}; "
            "so each had a fresh server"
        )
