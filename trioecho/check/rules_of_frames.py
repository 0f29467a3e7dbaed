"""The rules of sections 1 to 3: frames, the byte stream, and many of both."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section

_MUST, _SHOULD = Level.MUST, Level.SHOULD
_RUBRIC = "the course rubric"
_BYTE_STREAM = "RFC 9293, 2.2: TCP is a byte stream; RFC 1122, 4.2.2.2: PSH is no record mark"
_ERLANG = "Erlang {packet, 4}"
_NETTY = "Netty LengthFieldBasedFrameDecoder"
_TOKIO = "tokio-util LengthDelimitedCodec"

FRAMING = Section(
    1,
    "Framing",
    "One frame at a time, and each echo is read before the next frame is sent: what a frame is.",
    (
        Rule(
            "1.1",
            "A frame without payload",
            _MUST,
            "A frame of length 0 is echoed as a frame of length 0, and the connection goes on.",
            "An empty message is a message. Code that takes an empty receive for the end of the stream often "
            "takes an empty payload for it, too.",
            f"{_ERLANG} and {_TOKIO} deliver empty packets; {_RUBRIC}: edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "1.2",
            "A frame of one byte",
            _MUST,
            "A frame of 1 byte is echoed, byte-identical.",
            "The shortest payload there is; what is wrong here is wrong everywhere.",
            f"{_ERLANG}; {_RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "1.3",
            "A frame of 255 bytes",
            _MUST,
            "A frame of 255 bytes is echoed, byte-identical.",
            "The largest length whose header has one byte that is not zero, 0xff; read as a signed byte it "
            "is -1.",
            f"{_ERLANG}: an unsigned integer; {_RUBRIC}: correctness",
            Heading.CORRECTNESS,
        ),
        Rule(
            "1.4",
            "A frame of 256 bytes",
            _MUST,
            "A frame of 256 bytes is echoed, byte-identical.",
            "The first length that needs the header's second byte, so that the byte order shows.",
            f"{_ERLANG}: big-endian byte order; {_RUBRIC}: correctness",
            Heading.CORRECTNESS,
        ),
        Rule(
            "1.5",
            "A frame of 65,535 bytes",
            _MUST,
            "A frame of 65,535 bytes is echoed, byte-identical.",
            "More than one receive commonly gives: who takes recv(n) for n bytes loses the rest.",
            "recv(2): a receive gives up to the amount asked for; " + _RUBRIC + ": framing robustness",
            Heading.CORRECTNESS,
        ),
        Rule(
            "1.6",
            "A frame of 65,536 bytes",
            _MUST,
            "A frame of 65,536 bytes is echoed, byte-identical.",
            "The first length that does not fit into 16 bits, and one more than many a fixed buffer takes.",
            f"{_ERLANG}: the header has 4 bytes; {_RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "1.7",
            "The largest frame",
            _MUST,
            "A frame exactly at the server's limit is echoed. If nobody has told the limit, a frame of 1 MiB "
            "SHOULD be.",
            "A limit includes its last byte; one that is off by one shows only here. The receive buffers of "
            "both sides are full several times over before the frame is complete.",
            f"{_TOKIO}: max_frame_length, 8 MiB by default; {_NETTY}: maxFrameLength; {_RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "1.8",
            "Every byte value",
            _MUST,
            "Payloads of each of the 256 byte values, alone and together, come back byte-identical.",
            "A payload is bytes, not text: no value ends it, and none is a blank that may go.",
            f"{_RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "1.9",
            "Payloads that look like headers",
            _MUST,
            "A payload that has the bytes of headers or whole frames in it is echoed as what it is, payload.",
            "Whoever loses count, or looks for a frame's beginning, finds one in the wrong place.",
            f"{_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "1.10",
            "Nothing trimmed, nothing decoded",
            _MUST,
            "Blanks, line ends and zero bytes at either end of a payload come back, and so do bytes that are "
            "no UTF-8.",
            "strip() and decode() are habits from line protocols; in a frame they change the message, and "
            "then its length is wrong as well.",
            f"{_RUBRIC}: correctness",
            Heading.CORRECTNESS,
        ),
    ),
)

STREAM = Section(
    2,
    "Byte stream",
    "TCP keeps the order of bytes, but not where one send ended and the next began: the same frames, cut and "
    "merged in every way.",
    (
        Rule(
            "2.1",
            "One byte at a time",
            _MUST,
            "Frames that arrive one byte at a time are echoed like any other.",
            "The smallest pieces there can be: every receive gives less than was asked for.",
            f"{_BYTE_STREAM}; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.2",
            "Three frames, cut at every offset",
            _MUST,
            "Three frames in a row that arrive in two pieces are echoed, wherever the cut is.",
            "A cut may fall into a header, into a payload or between frames, and the network chooses.",
            f"{_BYTE_STREAM}; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.3",
            "A header cut in two",
            _MUST,
            "A frame whose header arrives in pieces is echoed.",
            "recv(4) may give 1, 2 or 3 bytes.",
            f"{_BYTE_STREAM}; recv(2); {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
            is_core=True,
        ),
        Rule(
            "2.4",
            "A payload cut in two",
            _MUST,
            "A frame whose header arrives whole, and whose payload arrives in pieces, is echoed.",
            "recv(n) may give fewer than n bytes.",
            f"{_BYTE_STREAM}; recv(2); {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
            is_core=True,
        ),
        Rule(
            "2.5",
            "Two frames in one segment",
            _MUST,
            "Two frames that arrive together are both echoed, at once, without anything else being sent.",
            "Nagle's algorithm, and every queue on the way, merges small sends; one receive then gives both.",
            f"{_BYTE_STREAM}; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
            is_core=True,
        ),
        Rule(
            "2.6",
            "Thousands of frames in one piece",
            _MUST,
            "Thousands of small frames that arrive as one piece are all echoed, in order.",
            "A receive is full of frames and ends inside one; the rest must be kept for the next.",
            f"{_BYTE_STREAM}; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.7",
            "One frame over thousands of segments",
            _MUST,
            "A frame that arrives in thousands of pieces is echoed once, when it is complete.",
            "Whoever counts receives and not bytes gets lost.",
            f"{_BYTE_STREAM}; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.8",
            "A frame with the beginning of the next",
            _MUST,
            "When a whole frame arrives together with a part of the next, both are echoed, each once it is "
            "whole.",
            "The part is the beginning of the next frame, not rubbish after the last.",
            f"{_BYTE_STREAM}; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "2.9",
            "Pauses in the middle",
            _MUST,
            "A frame is echoed although half a second passes inside its header, and again inside its "
            "payload.",
            "A segment that was lost is sent again after 200 ms (Linux) to 1 s, so such pauses are "
            "everyday life. A server may well have a clock, but not one as short as this.",
            "RFC 6298, 2.4: a retransmission timer of at least 1 s; " + _RUBRIC + ": framing robustness",
            Heading.ROBUSTNESS,
        ),
    ),
)

ORDER = Section(
    3,
    "Order and concurrency",
    "Many frames under way, many connections, and neighbours that misbehave.",
    (
        Rule(
            "3.1",
            "Pipelining",
            _MUST,
            "A thousand frames of different sizes, sent without waiting for echoes, come back once each, in "
            "order.",
            "A frame has no number: its place in the stream is all that says which echo belongs to it.",
            "RFC 9293, 2.2: in order; " + _RUBRIC + ": correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "3.2",
            "A hundred connections",
            _MUST,
            "A hundred connections that are open together each get their own echoes.",
            "Buffers, counters and locks that belong to one connection must not be shared.",
            f"{_RUBRIC}: correctness",
            Heading.CORRECTNESS,
            is_core=True,
        ),
        Rule(
            "3.3",
            "A stalled connection",
            _MUST,
            "While one client has stopped in the middle of a frame, others are served.",
            "Otherwise one client, broken or hostile, ends the service for all.",
            "CWE-400; " + _RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.4",
            "A connection that does not read",
            _MUST,
            "While one client sends and never reads its echoes, others are served.",
            "A send blocks when the other side does not read; it may block its own connection, and no other.",
            "RFC 9293, 3.8.6: the window closes; CWE-400",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.5",
            "64 MiB before the first read",
            _MUST,
            "A client sends 64 MiB of frames and begins to read only when it cannot send any more, or has "
            "sent all. Then every echo comes. The server may take all of it at once, or stop reading until "
            "the client reads (backpressure): then the client is blocked meanwhile, and that is allowed.",
            "A send that takes only a part of the bytes must be finished, and one that would block must be "
            "waited for; whoever drops the rest, or gives up, loses echoes.",
            "send(2): a send may take fewer bytes than it was given; RFC 9293, 3.8.6",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.6",
            "A busy connection",
            _SHOULD,
            "While one client sends frames as fast as it can, and reads their echoes, another gets its "
            "echoes in time.",
            "One client with endless ready input must not keep a loop busy for ever.",
            "the fairness of event loops, as in libuv and Netty (maxMessagesPerRead)",
            Heading.EDGE_CASES,
        ),
        Rule(
            "3.7",
            "Memory, when a client does not read",
            _SHOULD,
            "When a client sends and never reads, the server stops reading from it: its memory does not grow "
            "with what it has received.",
            "Otherwise one client can fill the server's memory, as slowly or as fast as it likes.",
            "RFC 9293, 3.8.6: flow control is there for this; CWE-770",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "3.8",
            "No wait for a delayed acknowledgement",
            _SHOULD,
            "The echo of a small frame does not take 40 ms on a connection whose round trip is much shorter.",
            "A header and a payload that are sent by two calls meet Nagle's algorithm: the second one waits "
            "until the first is acknowledged, and that may be delayed. Send both in one call, or set "
            "TCP_NODELAY.",
            "RFC 9293, 3.7.4: Nagle's algorithm, 3.8.6.3: delayed acknowledgements; RFC 896",
            Heading.CORRECTNESS,
        ),
    ),
)
