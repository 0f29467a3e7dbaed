"""The rules of section 1: one frame at a time."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section
from .sources import ERLANG, NETTY, RUBRIC, TOKIO

FRAMING = Section(
    1,
    "Framing",
    "One frame at a time, and each echo is read before the next frame is sent: what a frame is.",
    (
        Rule(
            "1.1",
            "A frame without payload",
            Level.MUST,
            "A frame of length 0 is echoed as a frame of length 0, and the connection goes on.",
            "An empty message is a message. Code that takes an empty receive for the end of the stream often "
            "takes an empty payload for it, too.",
            f"{ERLANG} and {TOKIO} deliver empty packets; {RUBRIC}: edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "1.2",
            "A frame of one byte",
            Level.MUST,
            "A frame of 1 byte is echoed, byte-identical.",
            "The shortest payload there is; what is wrong here is wrong everywhere.",
            f"{ERLANG}; {RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "1.3",
            "A frame of 255 bytes",
            Level.MUST,
            "A frame of 255 bytes is echoed, byte-identical.",
            "The largest length whose header has one byte that is not zero, 0xff; read as a signed byte it "
            "is -1.",
            f"{ERLANG}: an unsigned integer; {RUBRIC}: correctness",
            Heading.CORRECTNESS,
        ),
        Rule(
            "1.4",
            "A frame of 256 bytes",
            Level.MUST,
            "A frame of 256 bytes is echoed, byte-identical.",
            "The first length that needs the header's second byte, so that the byte order shows.",
            f"{ERLANG}: big-endian byte order; {RUBRIC}: correctness",
            Heading.CORRECTNESS,
        ),
        Rule(
            "1.5",
            "A frame of 65,535 bytes",
            Level.MUST,
            "A frame of 65,535 bytes is echoed, byte-identical.",
            "One receive commonly gives fewer bytes: code that takes recv(n) for n bytes loses the rest.",
            "recv(2): a receive gives up to the amount asked for; " + RUBRIC + ": framing robustness",
            Heading.CORRECTNESS,
        ),
        Rule(
            "1.6",
            "A frame of 65,536 bytes",
            Level.MUST,
            "A frame of 65,536 bytes is echoed, byte-identical.",
            "The first length that does not fit into 16 bits, and one more than many a fixed buffer takes.",
            f"{ERLANG}: the header has 4 bytes; {RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "1.7",
            "The largest frame",
            Level.MUST,
            "A frame exactly at the server's limit is echoed. If the limit is not given, a frame of 1 MiB "
            "SHOULD be.",
            "A limit includes its last byte; one that is off by one shows only here. The receive buffers of "
            "both sides are full several times over before the frame is complete.",
            f"{TOKIO}: max_frame_length, 8 MiB by default; {NETTY}: maxFrameLength; {RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "1.8",
            "Every byte value",
            Level.MUST,
            "Payloads of each of the 256 byte values, alone and together, come back byte-identical.",
            "A payload is bytes, not text: no value ends it, and no value may be removed as a blank.",
            f"{RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "1.9",
            "Payloads that look like headers",
            Level.MUST,
            "A payload that has the bytes of headers or whole frames in it is echoed as what it is, payload.",
            "A server that loses count, or searches for a frame's beginning, finds one in the wrong place.",
            f"{RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "1.10",
            "Nothing trimmed, nothing decoded",
            Level.MUST,
            "Blanks, line ends and zero bytes at either end of a payload come back, and so do bytes that are "
            "no UTF-8, and words such as quit.",
            "strip(), decode() and a word that ends the session are habits from line protocols; in a frame "
            "they change the message, and then its length is wrong as well.",
            f"{RUBRIC}: correctness",
            Heading.CORRECTNESS,
        ),
        Rule(
            "1.11",
            "One frame after another",
            Level.MUST,
            "A connection serves any number of frames: each is sent when the echo of the one before has "
            "come, and is echoed.",
            "A client keeps its connection for many messages. A server that replies to one frame and ends "
            "the connection serves clients that connect for each, which costs several round trips a message.",
            f"{ERLANG}: a socket gives packet after packet; {RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "1.12",
            "The beginning of a header",
            Level.MUST,
            "The first bytes of a header are not sent back as they come.",
            "The length is not known yet. A server that sends back whatever comes reads no frames; "
            "the rules about cuts and merges then hold without any framing.",
            f"{ERLANG}: a packet is delivered whole; {RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
    ),
)
