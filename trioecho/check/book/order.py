"""The rules of section 3: many frames, many connections, and neighbours that misbehave."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section
from .sources import RUBRIC

ORDER = Section(
    3,
    "Order and concurrency",
    "Many frames under way, many connections, and neighbours that misbehave.",
    (
        Rule(
            "3.1",
            "Pipelining",
            Level.MUST,
            "A thousand frames of different sizes, sent without waiting for echoes, come back once each, in "
            "order. Where frames have identifiers (--correlate), each comes back once, in any order.",
            "A frame has no number: its place in the stream is all that says which echo belongs to it.",
            "RFC 9293, 2.2: in order; " + RUBRIC + ": correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "3.2",
            "A hundred connections",
            Level.MUST,
            "A hundred connections that are open together each get their own echoes.",
            "Buffers, counters and locks that belong to one connection must not be shared.",
            f"{RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "3.3",
            "A stalled connection",
            Level.MUST,
            "While one client has stopped in the middle of a frame, others are served.",
            "Otherwise one client, broken or hostile, ends the service for all.",
            "CWE-400; " + RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.4",
            "A connection that does not read",
            Level.MUST,
            "While one client sends and never reads its echoes, others are served.",
            "A send blocks when the other side does not read; it may block its own connection, and no other.",
            "RFC 9293, 3.8.6: the window closes; CWE-400",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.5",
            "64 MiB before the first read",
            Level.MUST,
            "A client sends 64 MiB of frames and begins to read only when it cannot send any more, or has "
            "sent all. Then every echo comes. The server may take all of it at once, or stop reading until "
            "the client reads (backpressure): then the client is blocked meanwhile, and that is allowed.",
            "A send that takes only a part of the bytes must be finished, and one that would block must be "
            "waited for; a server that drops the rest, or gives up, loses echoes.",
            "send(2): a send may take fewer bytes than it was given; RFC 9293, 3.8.6",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.6",
            "A busy connection",
            Level.SHOULD,
            "While one client sends frames as fast as it can, and reads their echoes, another gets its "
            "echoes in time.",
            "One client with endless ready input must not keep a loop busy for ever.",
            "the fairness of event loops, as in libuv and Netty (maxMessagesPerRead)",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.7",
            "Memory, when a client does not read",
            Level.SHOULD,
            "When a client sends and never reads, the server stops reading from it: its memory does not grow "
            "with what it has received.",
            "Otherwise one client can fill the server's memory.",
            "RFC 9293, 3.8.6: flow control is there for this; CWE-770",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "3.8",
            "No wait for a delayed acknowledgement",
            Level.SHOULD,
            "The echo of a small frame does not take 40 ms on a connection whose round trip is much shorter.",
            "A header and a payload that are sent by two calls meet Nagle's algorithm: the second one waits "
            "until the first is acknowledged, and that may be delayed. Send both in one call, or set "
            "TCP_NODELAY.",
            "RFC 9293, 3.7.4: Nagle's algorithm, 3.8.6.3: delayed acknowledgements; RFC 896",
            Heading.CORRECTNESS,
        ),
    ),
)
