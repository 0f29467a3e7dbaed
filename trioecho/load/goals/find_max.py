"""The search for the highest rate that meets the objectives.

The rate doubles until a trial fails (or, if the first one fails, halves until
one holds), then the gap between the highest rate that held and the lowest that
failed is bisected, on a logarithmic scale, until it is 5 % wide. What is left is
run three times more, and must hold each time; if it does not, the search backs
off by 5 % and confirms again. A trial that fails in the search is made once more
before it is believed, since a hiccup of the machine is not a limit.

Here is only the decision which rate comes next: what a trial is, the caller says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

TrialPhase = Literal["double", "halve", "bisect", "confirm"]
LimitedBy = Literal["objective", "generator", "connections", "nothing"]

PRECISION = 0.05
CONFIRMATIONS = 3
_MOST_HALVINGS = 12
_MOST_BACK_OFFS = 6
# More than any generator in one process tree can send: the search ends before.
_HIGHEST_RATE = 1e9


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial went.

    Attributes:
      holds: whether every objective was met, the server kept up with the rate,
        and the generator was not saturated.
      saturated: whether the generator was; what failed is then not the server.
      reason: what was measured, or what failed, in a few words.
      p50_ms, p99_ms, max_ms: the latency, from due; None where there was no reply.
    """

    holds: bool
    saturated: bool = False
    reason: str = ""
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


@dataclass(frozen=True)
class Trial:
    """One step of the search.

    Attributes:
      phase: why this rate was tried.
      rate: messages per second.
      outcome: how it went.
    """

    phase: TrialPhase
    rate: float
    outcome: TrialOutcome


@dataclass
class Search:
    """A search, as far as it has come.

    Attributes:
      trials: every step, in order.
      rate: the highest rate that held, in messages/s; None if none has yet.
      confirmed: whether that rate held in every repetition.
      limited_by: what failed just above it; ``connections`` where so much cannot be sent, by the rate of
        new connections and the messages of each; ``nothing`` when nothing did.
      lost: the worker whose loss ended the search before its end, in words; empty if none did.
    """

    trials: list[Trial] = field(default_factory=list)
    rate: float | None = None
    confirmed: bool = False
    limited_by: LimitedBy = "nothing"
    lost: str = ""


async def find_max_rate(
    attempt: Callable[[TrialPhase, float], Awaitable[TrialOutcome]],
    *,
    start_rate: float,
    most_rate: float | None = None,
    search: Search | None = None,
) -> Search:
    """Search for the highest rate that holds.

    Args:
      attempt: makes one trial at a rate in messages/s.
      start_rate: where to begin, in messages/s.
      most_rate: what can be sent at most; above, no trial is made. None for no such limit.
      search: is kept up to date, so that a search that is cancelled shows how far it came.

    Returns:
      The search, with its `rate` None when nothing held, down to 1/4096 of ``start_rate``.
    """
    search = search or Search()

    async def holds(phase: TrialPhase, rate: float, tries: int = 2) -> bool:
        if most_rate is not None and rate > most_rate:
            search.limited_by = "connections"
            return False
        for _ in range(tries):
            outcome = await attempt(phase, rate)
            search.trials.append(Trial(phase, rate, outcome))
            if outcome.holds:
                search.rate = rate  # the highest so far, or, in a back-off, the one to confirm
                return True
        search.limited_by = "generator" if search.trials[-1].outcome.saturated else "objective"
        return False

    bounds = await _bracket(holds, start_rate)
    if bounds is None:
        return search
    low, high = bounds
    while high is not None and high / low > 1 + PRECISION:
        middle = round_rate((low * high) ** 0.5)
        if not low < middle < high:  # too close for the digits that a rate is given with
            break
        if await holds("bisect", middle):
            low = middle
        else:
            high = middle
    for _ in range(_MOST_BACK_OFFS):
        if await _repeats(holds, low):
            search.confirmed = True
            break
        low = round_rate(low / (1 + PRECISION))
    return search


_Holds = Callable[..., Awaitable[bool]]


async def _bracket(holds: _Holds, start_rate: float) -> tuple[float, float | None] | None:
    """Return the highest rate that held, and the lowest that failed, a factor of two apart."""
    rate = start_rate
    if await holds("double", rate):
        while rate < _HIGHEST_RATE:
            if not await holds("double", rate * 2):
                return rate, rate * 2
            rate *= 2
        return rate, None
    for _ in range(_MOST_HALVINGS):
        rate /= 2
        if await holds("halve", rate):
            return rate, rate * 2
    return None


async def _repeats(holds: _Holds, rate: float) -> bool:
    for _ in range(CONFIRMATIONS):
        if not await holds("confirm", rate, tries=1):
            return False
    return True


def round_rate(rate: float) -> float:
    """Return the rate with three significant digits, as people would write it."""
    return float(f"{rate:.3g}")
