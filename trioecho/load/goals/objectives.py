"""Objectives of a run, as ``p99<5ms``: what they say, and whether a run met them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_MS_OF_UNIT = {
    "ns": Fraction(1, 10**6),
    "us": Fraction(1, 1000),
    "µs": Fraction(1, 1000),
    "ms": Fraction(1),
    "s": Fraction(1000),
}
# Those that every report shows.
SHOWN_PERCENTS = ("50", "75", "90", "95", "99", "99.9", "99.99")
# More digits make no sense, and a number must have an end.
_DECIMAL = r"\d{1,15}(?:\.\d{1,30})?"
_EXAMPLES = "p99<5ms, mean<=800us, max<1s, errors==0, errors<0.1%, rate>1000, p99<5ms@STAGE"


class ObjectiveError(ValueError):
    """A text is no objective, or one that no run can meet or break; the message is one line."""


@dataclass(frozen=True)
class Objective:
    """One condition on a run.

    Attributes:
      text: as it was written, without spaces.
      metric: ``p50``, ``p99.9`` and the like, ``mean`` or ``max`` of the latency;
        ``errors``; or ``rate``.
      comparison: ``<``, ``<=``, ``>``, ``>=`` or ``==``.
      limit: in milliseconds for latencies, messages/s for ``rate``, a number for
        ``errors``, and percent of the messages sent where `is_share`.
      is_share: whether ``errors`` was given in percent.
      stage: which one it is about, as ``steady`` in ``p99<5ms@steady``; empty for the whole run.
    """

    text: str
    metric: str
    comparison: str
    limit: float
    is_share: bool = False
    stage: str = ""

    @property
    def percent(self) -> Fraction | None:
        """99.9, exactly, for ``p99.9``; None for what is not a percentile."""
        return Fraction(self.metric[1:]) if self.metric[0] == "p" else None

    @property
    def is_latency(self) -> bool:
        """True if the limit is a time."""
        return self.metric not in ("errors", "rate")

    @property
    def can_break_under_load(self) -> bool:
        """True if more load can break it, so that a search for the highest load makes sense."""
        return self.metric != "rate" and self.comparison not in (">", ">=")

    def judge(self, measured: float | None) -> ObjectiveResult:
        """Compare with what was measured, in the unit of `limit`; None, nothing measured, meets nothing."""
        holds = measured is not None and _COMPARISONS[self.comparison](measured, self.limit)
        return ObjectiveResult(self, measured, holds)

    def describe(self, measured: float | None) -> str:
        """Return a measured value in words, with its unit."""
        if measured is None:
            return "nothing measured"
        if self.is_latency:
            return f"{measured:.3f} ms"
        if self.is_share:
            return f"{measured:.3g} %"
        return f"{measured:,.0f}" if self.metric == "errors" else f"{measured:,.0f} messages/s"


@dataclass(frozen=True)
class ObjectiveResult:
    """What a run had where an objective asks, and whether it met it.

    Attributes:
      objective: what was asked.
      measured: what the run had, in the unit of the objective's limit; None for nothing.
      holds: whether it was met.
      reason: why it was not, where ``measured`` does not say so.
    """

    objective: Objective
    measured: float | None
    holds: bool
    reason: str = ""

    def __str__(self) -> str:
        because = f"; {self.reason}" if self.reason else ""
        return f"{self.objective.text}: {'held' if self.holds else 'BROKEN'}, {self.describe()}{because}"

    def describe(self) -> str:
        """Return what was measured in words, with its unit."""
        return self.objective.describe(self.measured)


def parse_objective(text: str) -> Objective:
    """Read ``METRIC COMPARISON LIMIT``.

    Raises:
      ObjectiveError: it cannot be read, or no run could ever meet it, or none break it.
    """
    compact = "".join(text.split())
    condition, at, stage = compact.partition("@")
    match = re.fullmatch(rf"(p{_DECIMAL}|[a-z]+)(<=|>=|==|<|>)({_DECIMAL}|\.\d{{1,30}})(\D*)", condition)
    if match is None or (at and not stage):
        raise ObjectiveError(f"{text!r} is not an objective; write one as {_EXAMPLES}")
    metric, comparison, number, unit = match.groups()
    limit, is_share = _limit(metric, Fraction(number), unit, compact)
    objective = Objective(compact, metric, comparison, limit, is_share, stage)
    _refuse_pointless(objective)
    return objective


def shown_percents(objectives: Iterable[Objective]) -> list[str]:
    """Return the percentiles to show: `SHOWN_PERCENTS`, and those that an objective names; upwards."""
    percents = {Fraction(percent): percent for percent in SHOWN_PERCENTS}
    for objective in objectives:
        if objective.percent is not None:
            percents.setdefault(objective.percent, objective.metric[1:])
    return [percents[percent] for percent in sorted(percents)]


def _limit(metric: str, number: Fraction, unit: str, text: str) -> tuple[float, bool]:
    if metric == "errors":
        if unit not in ("", "%"):
            raise ObjectiveError(f"{text!r}: errors are a number, or a share of the messages as 0.1%")
        return float(number), unit == "%"
    if metric == "rate":
        if unit not in ("", "/s"):
            raise ObjectiveError(f"{text!r}: a rate is in messages/s, and is written without a unit")
        return float(number), False
    if metric not in ("mean", "max") and not re.fullmatch(r"p[\d.]+", metric):
        raise ObjectiveError(f"{text!r}: {metric!r} is not measured; write one as {_EXAMPLES}")
    if metric[0] == "p" and not 0 < Fraction(metric[1:]) < 100:
        raise ObjectiveError(f"{text!r}: a percentile is above 0 and below 100; the highest value is max")
    if unit not in _MS_OF_UNIT:
        raise ObjectiveError(f"{text!r}: write the unit of the time: ns, us, ms or s")
    # Rounded once: 1.1us is the float nearest to 0.0011 ms, as a measured 1100 ns is.
    return float(number * _MS_OF_UNIT[unit]), False


def _refuse_pointless(objective: Objective) -> None:
    limit, comparison = objective.limit, objective.comparison
    if comparison == "==" and not (objective.metric == "errors" and limit.is_integer()):
        raise ObjectiveError(f"{objective.text!r}: nothing measured is ever exactly that; write < or >")
    if objective.metric == "errors" and not objective.is_share and not limit.is_integer():
        raise ObjectiveError(
            f"{objective.text!r}: errors are counted in whole numbers; a share is written 0.1%"
        )
    most = 100.0 if objective.is_share else math.inf
    if (
        (comparison == "<" and limit == 0)
        or (comparison == ">" and limit >= most)
        or (comparison in (">=", "==") and limit > most)
        or (comparison == "<=" and limit == 0 and objective.metric != "errors")
    ):
        raise ObjectiveError(f"{objective.text!r} is impossible: no run can meet it")
    if (
        (comparison == ">=" and limit == 0)
        or (comparison == "<=" and limit >= most)
        or (comparison == "<" and limit > most)
    ):
        raise ObjectiveError(f"{objective.text!r} says nothing: every run meets it")
