"""Two loads compared: what differs by more than chance would explain.

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
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..histogram import Histogram
from ..load import Interval, LoadResult
from . import words
from .load_csv import measured_width_s
from .units import in_ms, wrapped

Verdict = Literal["outside noise", "within noise", "cannot tell"]

_MOST_SECTIONS = 10
_LEAST_SECTIONS = 5
_LEAST_REPLIES_ABOVE = 10
_HISTOGRAM_ERROR = 1 / 64
# Student's t for 99 % (two-sided), by degrees of freedom.
_STUDENT_T = {4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.250}


@dataclass(frozen=True)
class Change:
    """How one number differs between two runs.

    Attributes:
      name: what it is, with its unit.
      before, after: its values; None where there is none.
      noise: the largest relative difference that chance explains, as a share of
        ``before``; None where that cannot be told.
      reason: why not.
    """

    name: str
    before: float | None
    after: float | None
    noise: float | None
    reason: str = ""

    @property
    def relative(self) -> float | None:
        """The difference as a share of ``before``."""
        if not self.before or self.after is None:
            return None
        return (self.after - self.before) / self.before

    @property
    def verdict(self) -> Verdict:
        """Whether the difference is more than chance explains."""
        if self.noise is None or self.relative is None:
            return "cannot tell"
        return "outside noise" if abs(self.relative) > self.noise else "within noise"


@dataclass(frozen=True)
class _Section:
    seconds: float
    messages: int
    latency_ns: Histogram


def compare(before: LoadResult, after: LoadResult) -> list[Change]:
    """The rate, and mean and percentiles of the latency, of two runs."""
    sections = (_sections(before), _sections(after))
    changes = [_change("messages/s", _rate, (before, after), sections)]
    changes.append(_change("latency mean, ms", _mean_ms, (before, after), sections))
    for percent in words.PERCENTS:
        changes.append(
            _change(f"latency p{percent:g}, ms", _percentile_ms(percent), (before, after), sections, percent)
        )
    return changes


def comparison_as_text(before: LoadResult, after: LoadResult, changes: Sequence[Change]) -> str:
    """The comparison as lines of at most 80 columns."""
    lines = [f"{'':<17}{'A':>11}{'B':>11}{'change':>9}{'noise':>9}"]
    for change in changes:
        verdict = change.reason or change.verdict
        lines.append(
            f"{change.name:<17}{_value(change, change.before):>11}{_value(change, change.after):>11}"
            f"{_percent(change.relative, '+'):>9}{_percent(change.noise, '±'):>9}  {verdict}".rstrip()
        )
    lines.append(f"{'errors':<17}{before.error_count:>11,}{after.error_count:>11,}")
    remarks = list(_remarks(before, after))
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def _remarks(before: LoadResult, after: LoadResult) -> list[str]:
    remarks = [
        f"{name}: {words.SATURATED}" for name, result in (("A", before), ("B", after)) if result.saturated
    ]
    plans = before.plan.to_dict(), after.plan.to_dict()
    # What a comparison is usually for, and what only says how it was carried out.
    ignored = {"host", "port", "seed"}
    differing = [name for name in plans[0] if name not in ignored and plans[0][name] != plans[1][name]]
    if differing:
        remarks.append(f"the plans differ in {', '.join(differing)}:")
        for name, plan in (("A", before.plan), ("B", after.plan)):
            remarks += wrapped(f"{name}: {words.plan_in_words(plan)}", "  ")
    return remarks


def _change(
    name: str,
    value_of: Callable[[_Section], float | None],
    results: tuple[LoadResult, LoadResult],
    sections: tuple[list[_Section], list[_Section]],
    percent: float | None = None,
) -> Change:
    wholes = [value_of(_Section(result.elapsed_s, result.messages, result.latency_ns)) for result in results]
    noise, reason = _noise(value_of, wholes, results, sections, percent)
    if noise is not None and value_of is not _rate:
        noise = max(noise, _HISTOGRAM_ERROR)
    return Change(name, wholes[0], wholes[1], noise, reason)


def _noise(
    value_of: Callable[[_Section], float | None],
    wholes: Sequence[float | None],
    results: Sequence[LoadResult],
    sections: Sequence[list[_Section]],
    percent: float | None,
) -> tuple[float | None, str]:
    if any(result.plan.ramp is not None for result in results):
        return None, "cannot tell of a ramp"
    if min(map(len, sections)) < _LEAST_SECTIONS:
        return None, "too short a run"
    variance = 0.0
    for whole, parts in zip(wholes, sections, strict=True):
        if percent is not None and any(
            words.samples_above(part.latency_ns.count, percent) < _LEAST_REPLIES_ABOVE for part in parts
        ):
            return None, "too few replies"
        values = [value for part in parts if (value := value_of(part)) is not None]
        if whole is None or len(values) < len(parts):
            return None, "too few replies"
        squares = math.fsum((value - whole) ** 2 for value in values)
        variance += squares / (len(values) - 1) / len(values)
    t = _STUDENT_T[min(map(len, sections)) - 1]
    return (t * math.sqrt(variance) / wholes[0] if wholes[0] else None), ""


def _sections(result: LoadResult) -> list[_Section]:
    """The run in pieces of equal length; a last interval that was not measured whole is left out."""
    steps = [step for step in result.intervals if measured_width_s(result, step) > step.width_s * (1 - 1e-6)]
    count = min(_MOST_SECTIONS, len(steps))
    if not count:
        return []
    length = len(steps) // count
    return [_joined(steps[number * length : (number + 1) * length]) for number in range(count)]


def _joined(steps: Sequence[Interval]) -> _Section:
    latency = Histogram()
    for step in steps:
        latency.merge(step.latency_ns)
    return _Section(math.fsum(step.width_s for step in steps), sum(step.messages for step in steps), latency)


def _rate(section: _Section) -> float | None:
    return section.messages / section.seconds if section.seconds else None


def _mean_ms(section: _Section) -> float | None:
    mean = section.latency_ns.mean
    return None if mean is None else mean / 1e6


def _percentile_ms(percent: float) -> Callable[[_Section], float | None]:
    def value_of(section: _Section) -> float | None:
        value = section.latency_ns.percentile(percent)
        return None if value is None else value / 1e6

    return value_of


def _value(change: Change, value: float | None) -> str:
    if value is None:
        return "-"
    return in_ms(value) if change.name.endswith("ms") else f"{value:,.0f}"


def _percent(share: float | None, sign: Literal["+", "±"]) -> str:
    if share is None:
        return "-"
    digits = 1 if abs(share) < 0.1 else 0
    return f"{100 * share:+.{digits}f} %" if sign == "+" else f"±{100 * share:.{digits}f} %"
