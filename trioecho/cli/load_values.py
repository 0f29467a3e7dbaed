"""Read what people type after an option of a load: rates, objectives, sizes with weights."""

from __future__ import annotations

import argparse
import re

from ..load import Ramp, SizeRange, Sizes
from ..load.goals.objectives import Objective, ObjectiveError, parse_objective
from .shared.values import refusal, seconds, size_range


def sizes(text: str) -> Sizes:
    """Read a size, a range, or several with weights: ``64``, ``64-4096``, ``64:9,64KiB:1``."""
    ranges = []
    for part in text.split(","):
        span, colon, weight = part.partition(":")
        least, most = size_range(span)
        if colon and not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", weight.strip(), re.ASCII):
            raise refusal(weight, "is not a weight; write sizes as 64:9,4096:1")
        ranges.append(SizeRange(least, most, float(weight) if colon else 1.0))
    try:
        return Sizes(tuple(ranges))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_RATE = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})([kM]?)(?:/s)?", re.ASCII)


def rate(text: str) -> float:
    """Read messages per second: ``5000``, ``20k``, ``0.5``."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise refusal(text, "is not a rate; write messages per second as 5000 or 20k")
    return _number_of(match)


def _number_of(match: re.Match[str]) -> float:
    return float(match[1]) * {"": 1, "k": 1000, "M": 1_000_000}[match[2]]


def positive_rate(text: str) -> float:
    """Read a rate above 0."""
    value = rate(text)
    if not value:
        raise argparse.ArgumentTypeError(f"a rate of {text} sends nothing; write messages per second as 5000")
    return value


def connect_rate(text: str) -> float:
    """Read new connections per second, above 0."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise refusal(text, "is not a rate; write new connections per second as 50 or 2k")
    value = _number_of(match)
    if not value:
        raise argparse.ArgumentTypeError(
            f"a rate of {text} opens none; write new connections per second as 50"
        )
    return value


def ramp(text: str) -> Ramp:
    """Read a rate that grows: ``0:5000/30s`` goes from 0 to 5000 messages/s in 30 s."""
    match = re.fullmatch(r"([^:/]+):([^:/]+)/([^:/]+)", text.strip())
    if match is None:
        raise refusal(text, "is not a ramp; write FROM:TO/TIME, as 0:5000/30s")
    return Ramp(rate(match[1]), rate(match[2]), seconds(match[3]))


def objective(text: str) -> Objective:
    """Read what a run has to meet: ``p99<5ms``, ``errors==0``."""
    try:
        return parse_objective(text)
    except ObjectiveError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
