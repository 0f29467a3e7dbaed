"""The rules of section 5: how connections end."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section
from .sources import RUBRIC, TOKIO

ENDING = Section(
    5,
    "Ending",
    "How connections end: in order, in the middle of a frame, by reset, and by the hundred.",
    (
        Rule(
            "5.1",
            "Half-close after frames",
            Level.MUST,
            "When the client ends its sending side, every frame that it sent is still echoed, then the "
            "server ends its side, too.",
            "The end of the client's stream says that it sends no more, not that it reads no more.",
            "RFC 9293, 3.6: who has closed may go on receiving; " + RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "5.2",
            "Half-close at once",
            Level.MUST,
            "When the client ends its sending side at a frame's end, or without any, the server sends "
            "nothing more and ends its side.",
            "A server that does not notice the end keeps the connection, its memory and its thread for ever.",
            "RFC 9293, 3.6; recv(2): 0 bytes is the end of the stream",
            Heading.EDGE_CASES,
        ),
        Rule(
            "5.3",
            "Truncated at every offset",
            Level.MUST,
            "A frame that the end of the stream cuts off is not echoed, not in part, wherever the cut is. "
            "The frame before it is echoed.",
            "Half a message is no message; a server that echoes it cannot distinguish data from its loss.",
            f"{TOKIO}: bytes remaining on stream; {RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "5.4",
            "Reset in the middle of a frame",
            Level.MUST,
            "After connections were reset in the middle of frames, others go on and new ones are accepted.",
            "ECONNRESET is raised in the middle of a receive; it belongs to one connection.",
            "RFC 9293, 3.10.7.4: reset processing; " + RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "5.5",
            "Gone without reading",
            Level.MUST,
            "After clients have sent frames and gone without reading the echoes, others go on and new ones "
            "are accepted.",
            "Then the server's send fails, with EPIPE, ECONNRESET or the signal SIGPIPE, which by default "
            "ends the whole process.",
            "send(2): EPIPE and SIGPIPE; " + RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "5.6",
            "Hundreds of connects and closes",
            Level.MUST,
            "After hundreds of connections were opened and closed, most of them without a byte, the server "
            "serves as before.",
            "Health checks and port scans do this all day. Places that are not released run out.",
            f"{RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "5.7",
            "No descriptors left behind",
            Level.MUST,
            "After hundreds of connections have ended, by close, half-close and reset, the server has no "
            "more open files than before.",
            "Each file left open is missing later: at about a thousand no connection can be accepted.",
            "accept(2): EMFILE; CWE-772",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
    ),
)
