"""Faults of frames, and their random numbers, in short."""

from __future__ import annotations

import random
from typing import Any

from trioecho import FrameFormat
from trioecho.proxy import Faults, FrameFault, FrameRule, NumbersOf


def of_frames(fault: FrameFault | None, *, format: FrameFormat | None = None, **chosen: Any) -> Faults:
    """One fault of the chosen frames."""
    rules = () if fault is None else (FrameRule(fault, **chosen),)
    return Faults(frame_rules=rules, format=format or FrameFormat())


def numbers(seed: int) -> NumbersOf:
    """The same random numbers for each rule."""
    return lambda rule: random.Random(seed)
