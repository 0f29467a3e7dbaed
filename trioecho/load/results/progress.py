"""What is known of a load while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from ...base.histogram import Histogram
from .result import LoadResult
from .stage_result import StageResult
from .time_series import LoadInterval

LoadPhase = Literal["connecting", "warming up", "measuring", "draining"]
_PHASES: tuple[LoadPhase, ...] = get_args(LoadPhase)


@dataclass(frozen=True)
class LoadProgress:
    """What is known while a load runs.

    Attributes:
      phase: what it is doing.
      t_s: seconds since the measured part began; negative while warming up.
      interval: what happened since the last progress; in the warm-up all is 0 except the errors.
      sent: messages offered to the kernel in the measured part so far.
      messages: replies to them that were right so far.
      errors: by kind so far; "missing" only where it is certain.
      connections: open now.
      planned: messages of the measured part in all, where that is known beforehand.
      send_lateness_ns: since the last progress; as of `GeneratorHealth`.
      from_send_ns: of the replies since the last progress; open loop only.
      taken_back: those of ``sent`` that count once more, or are unsent; see `ChurnResult`.
      unsent: messages of the measured part that were due, or planned, and will never be sent, so far.
      failed: those of ``sent`` of which it is known so far that they have no right reply.
      stages: what was counted in stages since the last progress, of those in which something was.
      lost: a sentence on each worker that was lost so far; the others go on.
    """

    phase: LoadPhase
    t_s: float
    interval: LoadInterval
    sent: int
    messages: int
    errors: Mapping[str, int]
    connections: int
    planned: int | None
    send_lateness_ns: Histogram = field(default_factory=Histogram)
    from_send_ns: Histogram = field(default_factory=Histogram)
    taken_back: int = 0
    unsent: int = 0
    failed: int = 0
    stages: tuple[StageResult, ...] = ()
    lost: tuple[str, ...] = ()


def at_rest(last: LoadProgress, result: LoadResult | None) -> LoadProgress:
    """Return the progress of a worker that is done or lost, while others are not: nothing new happens.

    Args:
      last: its last one.
      result: of a worker that is done; None of one that is lost.
    """
    resting = replace(
        last,
        phase="draining",
        interval=LoadInterval(last.interval.t_s, last.interval.width_s),
        connections=0,
        send_lateness_ns=Histogram(),
        from_send_ns=Histogram(),
        stages=(),
    )
    if result is None:
        return resting
    taken_back = result.churn.taken_back
    return replace(
        resting,
        sent=result.sent,
        messages=result.messages,
        errors=result.errors,
        taken_back=taken_back,
        unsent=result.unsent,
        failed=result.sent - taken_back - result.messages,
    )


def merge_progress(
    parts: Sequence[LoadProgress], *, planned: int | None, lost: Sequence[str] = ()
) -> LoadProgress:
    """Return the progress of all workers, at the same moment, as one, without that of each stage.

    Args:
      parts: of the workers.
      planned: messages of the measured part in all; None if that is not known.
      lost: as of `LoadProgress`.
    """
    first = min(parts, key=lambda part: _PHASES.index(part.phase))
    interval = LoadInterval(first.interval.t_s, first.interval.width_s)
    lateness, from_send = Histogram(), Histogram()
    errors: Counter[str] = Counter()
    for part in parts:
        interval.add(part.interval)
        lateness.merge(part.send_lateness_ns)
        from_send.merge(part.from_send_ns)
        errors.update(part.errors)
    return LoadProgress(
        first.phase,
        first.t_s,
        interval,
        sum(part.sent for part in parts),
        sum(part.messages for part in parts),
        errors,
        sum(part.connections for part in parts),
        planned,
        lateness,
        from_send,
        taken_back=sum(part.taken_back for part in parts),
        unsent=sum(part.unsent for part in parts),
        failed=sum(part.failed for part in parts),
        lost=tuple(lost),
    )
