"""The rules of section 2: frames in a byte stream that TCP cuts and merges."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section
from .sources import BYTE_STREAM, RUBRIC

STREAM = Section(
    2,
    "Byte stream",
    "TCP keeps the order of bytes, but not where one send ended and the next began: the same frames, cut and "
    "merged in every way.",
    (
        Rule(
            "2.1",
            "One byte at a time",
            Level.MUST,
            "Frames that arrive one byte at a time are echoed like any other.",
            "The smallest pieces there can be: every receive gives less than was asked for.",
            f"{BYTE_STREAM}; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.2",
            "Three frames, cut at every offset",
            Level.MUST,
            "Three frames in a row that arrive in two pieces are echoed, wherever the cut is.",
            "A cut may fall into a header, into a payload or between frames, and the network chooses.",
            f"{BYTE_STREAM}; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.3",
            "A header cut in two",
            Level.MUST,
            "A frame whose header arrives in pieces is echoed.",
            "recv(4) may give 1, 2 or 3 bytes.",
            f"{BYTE_STREAM}; recv(2); {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
            is_core=True,
        ),
        Rule(
            "2.4",
            "A payload cut in two",
            Level.MUST,
            "A frame whose header arrives whole, and whose payload arrives in pieces, is echoed.",
            "recv(n) may give fewer than n bytes.",
            f"{BYTE_STREAM}; recv(2); {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
            is_core=True,
        ),
        Rule(
            "2.5",
            "Two frames in one segment",
            Level.MUST,
            "Two frames that arrive together are both echoed, at once, without anything else being sent.",
            "Nagle's algorithm, and every queue on the way, merges small sends; one receive then gives both.",
            f"{BYTE_STREAM}; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
            is_core=True,
        ),
        Rule(
            "2.6",
            "Thousands of frames in one piece",
            Level.MUST,
            "Thousands of small frames that arrive as one piece are all echoed, in order.",
            "A receive is full of frames and ends inside one; the rest must be kept for the next.",
            f"{BYTE_STREAM}; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.7",
            "One frame over thousands of segments",
            Level.MUST,
            "A frame that arrives in thousands of pieces is echoed once, when it is complete.",
            "A server that counts receives instead of bytes loses its place in the stream.",
            f"{BYTE_STREAM}; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.8",
            "A frame with the beginning of the next",
            Level.MUST,
            "When a whole frame arrives together with a part of the next, both are echoed, each once it is "
            "whole.",
            "The part is the beginning of the next frame, not rubbish after the last.",
            f"{BYTE_STREAM}; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.9",
            "Pauses in the middle",
            Level.MUST,
            "A frame is echoed although half a second passes inside its header, and again inside its "
            "payload.",
            "A segment that was lost is sent again after 200 ms (Linux) to 1 s, so such pauses are "
            "everyday life. A server may well have a clock, but not one as short as this.",
            "RFC 6298, 2.4: a retransmission timer of at least 1 s; " + RUBRIC + ": framing robustness",
            Heading.ROBUSTNESS,
        ),
    ),
)
