"""The rules of section 7: streams from a seeded generator."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section
from .sources import RUBRIC

GARBAGE = Section(
    7,
    "Garbage",
    "Streams from a seeded generator. One that fails is made as short as it still fails.",
    (
        Rule(
            "7.1",
            "Any frames, any cuts",
            Level.MUST,
            "Random frames, cut into random pieces with pauses between, are echoed byte-identical.",
            "Random bytes find what no other rule tries.",
            f"property-based testing, as in QuickCheck and Hypothesis; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "7.2",
            "Garbage after good frames",
            Level.MUST,
            "After good frames come random bytes, an HTTP request, a TLS hello, or a header that is cut off, "
            "and the end of the stream. Only whole frames are echoed, and the server serves on.",
            "Port scanners and misconfigured clients send this to every open port.",
            f"fuzzing; {RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "7.3",
            "A good client among bad ones",
            Level.MUST,
            "While others send garbage, stop in the middle, or reset, a client gets all its echoes, "
            "byte-identical.",
            "Connections are isolated not only in each of these cases, but in all of them at once.",
            f"fuzzing; {RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
    ),
)
