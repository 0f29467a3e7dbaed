"""How the rate of an open loop changes: in a ramp, or in stages, one after the other."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..base.quantities import in_full

MAX_RATE_PER_S = 1e9
# Each has a histogram of its own, and a row in every report.
MAX_STAGES = 100
MAX_NAME_LENGTH = 40
# A name stands in tables, in CSV and in objectives, behind an @: what would end it there is not in it.
_NAME = re.compile(r"[^\s,;=@\"'\x00-\x1f\x7f]+")


class Ramp(NamedTuple):
    """A rate that grows, or falls, in a straight line, and then stays.

    Attributes:
      from_rate: messages/s at the start of the measured part.
      to_rate: messages/s at the end of the ramp, and from then on.
      over_s: how long it takes.
    """

    from_rate: float
    to_rate: float
    over_s: float


class Stage(NamedTuple):
    """A part of a schedule: a rate that is constant, or goes from one value to another in a straight line.

    Attributes:
      name: what reports call it.
      from_rate: messages/s when it begins.
      to_rate: messages/s when it ends; the same for a constant rate.
      length_s: how long it takes, in seconds.
    """

    name: str
    from_rate: float
    to_rate: float
    length_s: float


def stage_in_words(stage: Stage) -> str:
    """Return a stage in a phrase, as ``0 to 5,000/s in 10 s`` or ``steady: 5,000/s for 60 s``."""
    name, begin, end, length_s = stage
    rate = f"{in_full(begin)}/s for" if begin == end else f"{in_full(begin)} to {in_full(end)}/s in"
    called = "" if name == stage_text(begin, end, length_s) else f"{name}: "
    return f"{called}{rate} {in_full(length_s)} s"


def stage_text(from_rate: float, to_rate: float, length_s: float) -> str:
    """Return a stage as people write it: ``0:5k/10s``, ``5k/1m``."""
    rates = dict.fromkeys(
        f"{rate / 1000:.12g}k" if rate >= 1000 else f"{rate:.12g}" for rate in (from_rate, to_rate)
    )
    length = f"{length_s:.12g}s" if length_s % 60 else f"{length_s / 60:.12g}m"
    return f"{':'.join(rates)}/{length}"


def check_ramp(ramp: Ramp) -> None:
    """Refuse a ramp that no load can follow.

    Raises:
      ValueError: its rates or its length are impossible.
    """
    begin, end, over_s = ramp
    if not (_is_rate(begin) and _is_rate(end) and begin + end > 0):
        raise ValueError(f"a ramp from {begin:g} to {end:g} messages/s is impossible")
    if not (math.isfinite(over_s) and over_s > 0):
        raise ValueError(f"a ramp must take more than {over_s:g} s")


def check_stages(stages: Sequence[Stage]) -> None:
    """Refuse stages that no load can follow, or no report tell apart.

    Raises:
      ValueError: which stage, and why.
    """
    if len(stages) > MAX_STAGES:
        raise ValueError(f"{len(stages)} stages are too many; {MAX_STAGES} at most")
    for number, (name, begin, end, length_s) in enumerate(stages, 1):
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
            raise ValueError(
                f"the name of stage {number} needs from 1 to {MAX_NAME_LENGTH} characters, without spaces, "
                "quotes and any of , ; = @"
            )
        if not (_is_rate(begin) and _is_rate(end)):
            raise ValueError(f"stage {number}, from {begin:g} to {end:g} messages/s, is impossible")
        if not (math.isfinite(length_s) and length_s >= 1e-9):
            raise ValueError(f"stage {number} must take more than {length_s:g} s")
    if stages and not any(stage.from_rate + stage.to_rate for stage in stages):
        raise ValueError("in none of the stages is any message due: all their rates are 0")
    for name, count in Counter(stage.name for stage in stages).items():
        if count > 1:
            raise ValueError(f"{count} stages have the name {name}; each needs one of its own")


def _is_rate(rate: float) -> bool:
    return 0 <= rate <= MAX_RATE_PER_S
