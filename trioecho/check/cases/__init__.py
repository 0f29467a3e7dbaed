"""The cases: for every rule of the book a function that tries it."""

from __future__ import annotations

# Importing them is what registers them.
from . import ending, framing, garbage, late_reader, lifecycle, limits, order, stream
from .registry import CASES, Case

__all__ = [
    "CASES",
    "Case",
    "ending",
    "framing",
    "garbage",
    "late_reader",
    "lifecycle",
    "limits",
    "order",
    "stream",
]
