"""The rules of section 4: lengths that a server should not believe."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section
from .sources import ERLANG, NETTY, RUBRIC, TOKIO

LIMITS = Section(
    4,
    "Limits",
    "A length comes from a client, which may be wrong or hostile. --max-frame-length gives the server's "
    "limit; without it 1 MiB is tried, and a server may take more than that.",
    (
        Rule(
            "4.1",
            "Over the limit by one",
            Level.MUST,
            "A frame one byte over the server's limit is not echoed, and the connection ends.",
            "The limit is a promise of the server. A frame that cannot be taken cannot be skipped safely "
            "either, so the connection ends.",
            f"{NETTY}: TooLongFrameException; {TOKIO}: frame size too big; {ERLANG} with packet_size",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.2",
            "Refused without its payload",
            Level.SHOULD,
            "A length over the limit is refused when the header is complete: the connection ends although no "
            "byte of the payload was sent.",
            "A server that waits for the payload first can be kept waiting, and has to store it.",
            f"{NETTY}: failFast; {TOKIO}",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.3",
            "The largest signed length",
            Level.SHOULD,
            "The length 0x7fffffff is refused (0x7f.. of the header's width).",
            "These are two gigabytes that a client only announces; a server without a limit waits for them.",
            f"{TOKIO}: 8 MiB by default; {ERLANG}: packet_size; CWE-770",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.4",
            "A length that is negative if signed",
            Level.SHOULD,
            "The length 0x80000000 is refused (0x80.. of the header's width).",
            "Read as a signed number it is negative, and smaller than any limit.",
            f"{NETTY}: CorruptedFrameException, a negative length; CWE-195",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.5",
            "The largest length",
            Level.SHOULD,
            "The length 0xffffffff is refused (all bits of the header's width).",
            "Read as a signed number it is -1; with the header's 4 bytes added it overflows to 3.",
            f"{NETTY}; CWE-190",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.6",
            "Frames before a refused one",
            Level.MUST,
            "Complete frames that arrive together with a length over the limit, before it, are echoed.",
            "They were complete and right; what comes later does not change that.",
            f"{TOKIO}: frames are decoded in order; {RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.7",
            "Refused with FIN, not with RST",
            Level.SHOULD,
            "Echoes sent before a refusal arrive, and then the end of the stream, although the client had "
            "already sent more.",
            "A socket closed with unread bytes in it sends a reset, which destroys the echoes under way: "
            "shut down the sending side and read on for a moment before closing.",
            "RFC 9293, 3.6.1: a close with unread data resets; RFC 9112, 9.6, has the same advice",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.8",
            "Enormous lengths harm nobody else",
            Level.MUST,
            "Whatever length a client announces, it gets no bytes for it, other connections are served as "
            "before, and new ones are accepted.",
            "An error that belongs to one connection must end that one only; four bytes must not end a "
            "server.",
            "CWE-248, CWE-770; " + RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "4.9",
            "No memory for announced lengths",
            Level.SHOULD,
            "When clients announce large frames, and send almost nothing of them, the server's memory does "
            "not grow by what was announced.",
            "A server gives memory for bytes that have come. If four bytes can take a gigabyte, any client "
            "can exhaust the machine.",
            "CWE-789: memory allocation with excessive size value",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
    ),
)
