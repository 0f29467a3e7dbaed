"""What one run of the client came to, and what follows from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...base.quantities import plural
from ..book.rule import Level
from ..client.finding import Deviation, InconclusiveError, Kind
from ..spawned.spawned_process import in_words_of
from .served import Served

_MIB = 1 << 20


@dataclass(frozen=True)
class ClientRun:
    """What one run of the client came to.

    Attributes:
      exit_code: how it ended, as `subprocess` has it; None if it had to be ended.
      fault: what the server did wrong, as the end of a sentence; empty if nothing.
      connections: those that it opened, in order.
      frames: how many came over all of them.
      elapsed_s: from its start to its end.
      silence_s: longest time in which nothing came from it, before anything was wrong.
      waited_s: how long it could do nothing before it was ended.
      lines: what it has written last.
      grown_bytes: how much memory it has taken since the fault, or in all if it was ended for that; None
        where that is not known.
      was_large: whether it was ended because it took so much.
    """

    exit_code: int | None
    fault: str
    connections: Sequence[Served]
    frames: int
    elapsed_s: float
    silence_s: float
    waited_s: float
    lines: tuple[str, ...] = ()
    grown_bytes: int | None = None
    was_large: bool = False

    @property
    def in_words(self) -> str:
        """How it ended."""
        if self.was_large:
            return f"the client took {(self.grown_bytes or 0) // _MIB:,} MiB of memory, and was ended"
        if self.exit_code is None:
            return f"the client had not ended {self.waited_s:.3g} s later"
        return f"the client ended {in_words_of(self.exit_code)}"

    def must_succeed(self, when: str, cause_id: str | None) -> None:
        """Require exit code 0.

        Raises:
          Deviation: it ended otherwise, or not.
        """
        if self.exit_code == 0:
            return
        if self.was_large:
            kind, cause_id = Kind.OTHER, "takes-all-memory"
        else:
            kind = Kind.SILENCE if self.exit_code is None else Kind.END
        raise Deviation(
            kind,
            f"exit code 0, as every reply is right {when}".rstrip(),
            f"{self.in_words}, after {plural(self.frames, 'message')}",
            cause_id=cause_id,
            # A client that gives up early may have been a victim of a busy machine.
            is_uncertain=not self.was_large,
        )

    def must_notice(
        self,
        cause_id: str,
        *,
        level: Level | None = None,
        in_time: Level | None = None,
        cause_of_waiting: str = "waits-without-end",
    ) -> None:
        """Require that it has ended, and with another exit code than 0.

        Args:
          cause_id: the likely cause of an exit code of 0.
          level: of an exit code of 0, if it is not the rule's own.
          in_time: of not ending, if it is not the rule's own.
          cause_of_waiting: the likely cause of not ending.

        Raises:
          Deviation: it has not.
          InconclusiveError: nothing was wrong, as the client has ended before.
        """
        if not self.fault and self.was_large:
            raise InconclusiveError(f"{self.in_words} before anything was wrong")
        if not self.fault:
            raise InconclusiveError(
                f"the client sent only {plural(self.frames, 'message')} this time, so nothing was wrong yet"
            )
        expected = f"the client to end, with an exit code that is not 0, after {self.fault}"
        if self.exit_code is None:
            cause = "trusts-reply-length" if self.was_large else cause_of_waiting
            kind = Kind.OTHER if self.was_large else Kind.SILENCE
            raise Deviation(kind, expected, self.in_words, cause_id=cause, level=in_time)
        if self.exit_code == 0:
            raise Deviation(Kind.WRONG, expected, self.in_words, cause_id=cause_id, level=level)
        if self.exit_code < 0:
            raise Deviation(Kind.OTHER, expected, self.in_words, cause_id="crashes-on-reply")
