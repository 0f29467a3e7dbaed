"""Compare two loads: what differs by more than chance would explain.

The method is sectioning, as simulation studies use it for quantiles (S. Asmussen,
P. W. Glynn, Stochastic Simulation, 2007, III.5a). Each run is cut into up to ten
sections of equal length, one after the other, so that what is slow for a while stays
within a section. With x the value of the whole run (its rate, its p99), and x1 ... xk
those of its sections, the variance of x is estimated by

    sum of (xi - x)^2 / (k - 1) / k

Those of both runs add up. A difference is outside noise when it is larger than the
square root of the sum times Student's t (99 %, two-sided, with the degrees of freedom
of the run that has fewer sections), and, for latencies, larger than the 1.6 % to
which a histogram is exact. It cannot be told with less than five sections, or where a
section has fewer than ten replies above the percentile.

This is the noise within the runs. What changes from one run to the next and then
stays (another machine, a neighbour's load) is not in it: to learn how large that is,
compare two runs of the same thing.

An open loop has the rate that it was asked for, if the server keeps up. Where two plans ask for different
rates, or only one asks for a rate, which of them is higher says nothing of the servers, so there is no
verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from ...base.histogram import Histogram, values_above
from .. import LoadInterval, LoadResult
from ..goals.objectives import parse_objective, shown_percents
from ..results.path_counts import PathCounts
from .load_csv import measured_width_s

ChangeVerdict = Literal["outside noise", "over tolerance", "within noise", "within tolerance", "cannot tell"]

_MOST_SECTIONS = 10
_LEAST_SECTIONS = 5
_LEAST_REPLIES_ABOVE = 10
_HISTOGRAM_ERROR = 1 / 64
_OTHER_RATES = "the plans ask for different rates"
_ONE_RATE = "only one plan asks for a rate"
_CONNECTION_PERCENTS = ("50", "99")
# Student's t for 99 % (two-sided), by degrees of freedom.
_STUDENT_T = {4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.250}


@dataclass(frozen=True)
class Change:
    """How one number differs between two runs.

    Attributes:
      name: what it is, with its unit.
      before, after: its values; None where there is none.
      noise: the largest relative difference that chance explains, as a share of
        ``before``; None where that is not known.
      reason: why not.
      metric: as objectives name it: ``rate``, ``mean``, ``p99``; or ``retransmits``.
      tolerance: a relative difference that does not matter; None if every one does.
      is_comparable: False if the difference was asked for; then there is no verdict.
    """

    name: str
    before: float | None
    after: float | None
    noise: float | None
    reason: str = ""
    metric: str = ""
    tolerance: float | None = None
    is_comparable: bool = True

    @property
    def is_share(self) -> bool:
        """True if the values are percent of something: then a difference is in points."""
        return self.name.endswith("%")

    @property
    def relative(self) -> float | None:
        """The difference as a share of ``before``; of shares, the difference itself."""
        if self.is_share and self.before is not None and self.after is not None:
            return (self.after - self.before) / 100
        if not self.before or self.after is None:
            return None
        return (self.after - self.before) / self.before

    @property
    def verdict(self) -> ChangeVerdict:
        """The word for it: more than chance explains or not, more than is tolerated or not.

        With a tolerance there is one even where the noise is not known.
        """
        if self.relative is None or not self.is_comparable:
            return "cannot tell"
        if self.noise is not None and abs(self.relative) <= self.noise:
            return "within noise"
        if self.tolerance is not None and abs(self.relative) <= self.tolerance:
            return "within tolerance"
        if self.noise is not None:
            return "outside noise"
        return "cannot tell" if self.tolerance is None else "over tolerance"

    @property
    def direction(self) -> Literal["worse", "better", ""]:
        """The word for where it goes: worse is a lower rate, a longer latency; empty for no difference."""
        if self.verdict not in ("outside noise", "over tolerance") or self.relative is None:
            return ""
        return "worse" if (self.relative < 0) == (self.metric == "rate") else "better"


@dataclass(frozen=True)
class RunSection:
    """What was measured in a part of a run, or in the whole."""

    seconds: float
    messages: int
    latency_ns: Histogram
    path: PathCounts | None = None


def compare(
    before: LoadResult, after: LoadResult, tolerances: Mapping[str, float] = MappingProxyType({})
) -> list[Change]:
    """Compare the rate, and mean and percentiles of the latency, of two runs.

    Where segments were sent again, in one of them, also the share of these of all segments with data. Where
    connections are opened again and again, also the times to connect and to the first reply.

    Args:
      before: the one.
      after: the other.
      tolerances: relative differences that do not matter, as 0.1 for 10 %, by `Change.metric`.
    """
    pair = before, after
    wholes = [RunSection(result.length_s, result.messages, result.latency_ns) for result in pair]
    sections = [sections_of(result, result.intervals) for result in pair]
    untold = next((reason for result in pair if (reason := _why_not(result))), "")
    named = [parse_objective(f"{metric}<1s") for metric in tolerances if metric[0] == "p"]
    named += [verdict.objective for result in (before, after) for verdict in result.objective_results]
    changes = [
        change_of(metric, wholes, sections, tolerances, untold)
        for metric in ("rate", "mean", *(f"p{percent}" for percent in shown_percents(named)))
    ]
    if reason := _why_rates_differ(pair):
        changes[0] = without_verdict(changes[0], reason)
    if _retransmits(before) or _retransmits(after) or "retransmits" in tolerances:
        changes.append(_change_of_retransmits(pair, sections, tolerances, untold))
    if any(result.plan.churn.renews for result in pair):
        changes += _changes_of_connections([result.connect_ns for result in pair], "connect")
        changes += _changes_of_connections([result.churn.first_reply_ns for result in pair], "first")
    return changes


def _retransmits(result: LoadResult) -> int:
    return 0 if result.path is None else result.path.counts.retransmits


def _change_of_retransmits(
    pair: Sequence[LoadResult],
    sections: Sequence[list[RunSection]],
    tolerances: Mapping[str, float],
    untold: str,
) -> Change:
    """Return how the share of the segments differs that were sent again."""
    wholes = [
        RunSection(0.0, 0, Histogram(), None if result.path is None else result.path.counts)
        for result in pair
    ]
    before, after = values = [_retransmit_percent(whole) for whole in wholes]
    points, reason = (None, untold) if untold else _noise(_retransmit_percent, values, sections, None)
    noise = None if points is None else points / 100
    metric = "retransmits"
    return Change("sent again, %", before, after, noise, reason, metric, tolerances.get(metric))


def _changes_of_connections(histograms: Sequence[Histogram], name: str) -> Iterator[Change]:
    """Yield how times differ that are kept of all connections of a run together."""
    wholes = [RunSection(0.0, 0, histogram) for histogram in histograms]
    for percent in _CONNECTION_PERCENTS:
        before, after = map(_percentile_ms(percent), wholes)
        yield Change(
            f"{name} p{percent}, ms",
            before,
            after,
            None,
            "noise is not known",
            f"{name}_p{percent}",
        )


def _why_not(result: LoadResult) -> str:
    """Return why the sections of a run say nothing of the whole; nothing if they do."""
    if result.plan.ramp is not None:
        return "cannot tell of a ramp"
    return "cannot tell of stages" if result.plan.stages else ""


def _why_rates_differ(pair: Sequence[LoadResult]) -> str:
    """Return how rates differ that were asked for; nothing if those are the same, or there are none.

    The rates of a search were found, and not asked for.
    """
    one, other = (
        (plan.rate, plan.ramp, [stage[1:] for stage in plan.stages], plan.replay, plan.replay and plan.source)
        for plan in (result.plan for result in pair)
    )
    if one == other or all(result.search is not None for result in pair):
        return ""
    asking = [result for result in pair if _asks_for_rate(result)]
    return _OTHER_RATES if len(asking) == len(pair) else _ONE_RATE if asking else ""


def _asks_for_rate(result: LoadResult) -> bool:
    plan = result.plan
    is_as_fast_as_it_goes = plan.replay is not None and not plan.replay.speed
    return result.search is None and plan.is_open and not is_as_fast_as_it_goes


def without_verdict(rate: Change, reason: str = _OTHER_RATES) -> Change:
    """Return how a rate differs that was asked for, by one of the plans at least."""
    return replace(rate, noise=None, reason=reason, is_comparable=False)


def error_share(result: LoadResult) -> float:
    """Return the errors of a run as a share of the messages that were due."""
    return result.error_count / max(1, result.due)


def change_of(
    metric: str,
    wholes: Sequence[RunSection],
    sections: Sequence[list[RunSection]],
    tolerances: Mapping[str, float],
    untold: str,
) -> Change:
    """Return how one number differs.

    Args:
      metric: which one.
      wholes: what it is taken of, in both runs.
      sections: of these.
      tolerances: as of `compare`.
      untold: why sections do not show noise; empty if they do.
    """
    percent = None
    value_of: Callable[[RunSection], float | None] = _rate
    name = "messages/s"
    if metric == "mean":
        name, value_of = "latency mean, ms", _mean_ms
    elif metric != "rate":
        percent = metric[1:]
        name, value_of = f"latency {metric}, ms", _percentile_ms(percent)
    values = [value_of(whole) for whole in wholes]
    chance, reason = (None, untold) if untold else _noise(value_of, values, sections, percent)
    noise = chance / values[0] if chance is not None and values[0] else None
    if noise is not None and metric != "rate":
        noise = max(noise, _HISTOGRAM_ERROR)
    return Change(name, values[0], values[1], noise, reason, metric, tolerances.get(metric))


def _noise(
    value_of: Callable[[RunSection], float | None],
    wholes: Sequence[float | None],
    sections: Sequence[list[RunSection]],
    percent: str | None,
) -> tuple[float | None, str]:
    """Return the largest difference that chance explains, or why that is not known."""
    if min(map(len, sections)) < _LEAST_SECTIONS:
        return None, "too short a run"
    variance = 0.0
    for whole, parts in zip(wholes, sections, strict=True):
        if percent is not None and any(
            values_above(part.latency_ns.count, percent) < _LEAST_REPLIES_ABOVE for part in parts
        ):
            return None, "too few replies"
        values = [value for part in parts if (value := value_of(part)) is not None]
        if whole is None or len(values) < len(parts):
            return None, "too few replies"
        squares = math.fsum((value - whole) ** 2 for value in values)
        variance += squares / (len(values) - 1) / len(values)
    t = _STUDENT_T[min(map(len, sections)) - 1]
    return t * math.sqrt(variance), ""


def sections_of(result: LoadResult, intervals: Sequence[LoadInterval]) -> list[RunSection]:
    """Return some intervals of a run in sections of equal length, without one that was not measured whole."""
    steps = [step for step in intervals if measured_width_s(result, step) > step.width_s * (1 - 1e-6)]
    count = min(_MOST_SECTIONS, len(steps))
    if not count:
        return []
    length = len(steps) // count
    return [_joined(steps[number * length : (number + 1) * length]) for number in range(count)]


def _joined(steps: Sequence[LoadInterval]) -> RunSection:
    latency = Histogram()
    for step in steps:
        latency.merge(step.latency_ns)
    path = PathCounts()
    for step in steps:
        if step.path is not None:
            path.add(step.path)
    seconds, messages = math.fsum(step.width_s for step in steps), sum(step.messages for step in steps)
    return RunSection(seconds, messages, latency, path)


def _rate(section: RunSection) -> float | None:
    return section.messages / section.seconds if section.seconds else None


def _retransmit_percent(section: RunSection) -> float | None:
    share = None if section.path is None else section.path.retransmit_share
    return None if share is None else 100 * share


def _mean_ms(section: RunSection) -> float | None:
    mean = section.latency_ns.mean
    return None if mean is None else mean / 1e6


def _percentile_ms(percent: str) -> Callable[[RunSection], float | None]:
    def value_of(section: RunSection) -> float | None:
        value = section.latency_ns.percentile(percent)
        return None if value is None else value / 1e6

    return value_of
