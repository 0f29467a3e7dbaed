"""The rules of sections 4 to 7: limits, endings, the life of the process, and garbage."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section

_MUST, _SHOULD = Level.MUST, Level.SHOULD
_RUBRIC = "the course rubric"
_ERLANG = "Erlang {packet, 4}"
_NETTY = "Netty LengthFieldBasedFrameDecoder"
_TOKIO = "tokio-util LengthDelimitedCodec"

LIMITS = Section(
    4,
    "Limits",
    "A length is a stranger's word. The server's limit is told by --max-frame-length; if it is not, 1 MiB is "
    "tried, and a server that takes more than that is not blamed for it.",
    (
        Rule(
            "4.1",
            "Over the limit by one",
            _MUST,
            "A frame one byte over the server's limit is not echoed, and the connection ends.",
            "What was promised to be refused must be. A frame that cannot be taken cannot be skipped safely "
            "either, so the connection ends.",
            f"{_NETTY}: TooLongFrameException; {_TOKIO}: frame size too big; {_ERLANG} with packet_size",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.2",
            "Refused without its payload",
            _SHOULD,
            "A length over the limit is refused when the header is complete: the connection ends although no "
            "byte of the payload was sent.",
            "Whoever waits for the payload first can be kept waiting, and has to store it.",
            f"{_NETTY}: failFast; {_TOKIO}",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.3",
            "The largest signed length",
            _SHOULD,
            "The length 0x7fffffff is refused (0x7f.. of the header's width).",
            "Two gigabytes on a stranger's word; a server without any limit waits for them.",
            f"{_TOKIO}: 8 MiB by default; {_ERLANG}: packet_size; CWE-770",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.4",
            "A length that is negative if signed",
            _SHOULD,
            "The length 0x80000000 is refused (0x80.. of the header's width).",
            "Read as a signed number it is negative, and smaller than any limit.",
            f"{_NETTY}: CorruptedFrameException, a negative length; CWE-195",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.5",
            "The largest length",
            _SHOULD,
            "The length 0xffffffff is refused (all bits of the header's width).",
            "Read as a signed number it is -1; with the header's 4 bytes added it overflows to 3.",
            f"{_NETTY}; CWE-190",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.6",
            "Frames before a refused one",
            _MUST,
            "Complete frames that arrive together with a length over the limit, before it, are echoed.",
            "They were complete and right; what comes later does not change that.",
            f"{_TOKIO}: frames are decoded in order; {_RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "4.7",
            "Refused with FIN, not with RST",
            _SHOULD,
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
            _MUST,
            "Whatever length a client announces, it gets no bytes for it, other connections are served as "
            "before, and new ones are accepted.",
            "An error that belongs to one connection must end that one only; four bytes must not end a "
            "server.",
            "CWE-248, CWE-770; " + _RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "4.9",
            "No memory for announced lengths",
            _SHOULD,
            "When clients announce large frames, and send almost nothing of them, the server's memory does "
            "not grow by what was announced.",
            "Memory is to be given for bytes that have come. Four bytes that cost a gigabyte are the "
            "cheapest attack there is.",
            "CWE-789: memory allocation with excessive size value",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
    ),
)

ENDING = Section(
    5,
    "Ending",
    "How connections end: in order, in the middle of a frame, by reset, and by the hundred.",
    (
        Rule(
            "5.1",
            "Half-close after frames",
            _MUST,
            "When the client ends its sending side, every frame that it sent is still echoed, then the "
            "server ends its side, too.",
            "The end of the client's stream says that it sends no more, not that it reads no more.",
            "RFC 9293, 3.6: who has closed may go on receiving; " + _RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "5.2",
            "Half-close at once",
            _MUST,
            "When the client ends its sending side at a frame's end, or without any, the server sends "
            "nothing more and ends its side.",
            "A server that does not notice the end keeps the connection, its memory and its thread for ever.",
            "RFC 9293, 3.6; recv(2): 0 bytes is the end of the stream",
            Heading.EDGE_CASES,
        ),
        Rule(
            "5.3",
            "Truncated at every offset",
            _MUST,
            "A frame that the end of the stream cuts off is not echoed, not in part, wherever the cut is. "
            "The frame before it is.",
            "Half a message is no message; whoever echoes it cannot tell data from its loss.",
            f"{_TOKIO}: bytes remaining on stream; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "5.4",
            "Reset in the middle of a frame",
            _MUST,
            "After connections were reset in the middle of frames, others go on and new ones are accepted.",
            "ECONNRESET is raised in the midst of a receive; it belongs to one connection.",
            "RFC 9293, 3.10.7.4: reset processing; " + _RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            is_core=True,
        ),
        Rule(
            "5.5",
            "Gone without reading",
            _MUST,
            "After clients have sent frames and gone without reading the echoes, others go on and new ones "
            "are accepted.",
            "Then the server's send fails, with EPIPE, ECONNRESET or the signal SIGPIPE, which by default "
            "ends the whole process.",
            "send(2): EPIPE and SIGPIPE; " + _RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "5.6",
            "Hundreds of connects and closes",
            _MUST,
            "After hundreds of connections were opened and closed, most of them without a byte, the server "
            "serves as before.",
            "Health checks and port scans do this all day. Places that are not given back run out.",
            f"{_RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "5.7",
            "No descriptors left behind",
            _MUST,
            "After hundreds of connections have ended, by close, half-close and reset, the server has no "
            "more open files than before.",
            "Each that is left behind is missing later: at about a thousand no connection can be accepted.",
            "accept(2): EMFILE; CWE-772",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
    ),
)

LIFECYCLE = Section(
    6,
    "Lifecycle",
    "Start, stop and start again, of a server that --spawn has started.",
    (
        Rule(
            "6.1",
            "Ready when it listens",
            _MUST,
            "The first connection that the server's port accepts is served.",
            "That a port can be connected to is what supervisors take for readiness.",
            "systemd, Kubernetes: a TCP probe is a connect",
            Heading.CORRECTNESS,
            needs_spawn=True,
        ),
        Rule(
            "6.2",
            "SIGTERM drains",
            _SHOULD,
            "After SIGTERM in the middle of traffic a client has received the echoes of an exact prefix of "
            "what it sent, then the end of the stream: no part of a frame, and no reset.",
            "Then the client knows which messages were answered, and can send the others to the next server.",
            "Kubernetes, systemd and docker stop send SIGTERM first; Twelve-Factor App, IX: disposability",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "6.3",
            "SIGTERM ends it",
            _MUST,
            "After SIGTERM the process ends, although an idle connection is open, and nobody listens any "
            "more.",
            "What does not end is killed, and whatever it was doing with it.",
            "signal(7); docker stop kills after 10 s",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "6.4",
            "Restart on the same port",
            _MUST,
            "Right after the server has ended with connections open, it can be started again on the same "
            "port.",
            "Connections that the server has closed first are remembered in TIME-WAIT and keep the port, "
            "unless SO_REUSEADDR is set.",
            "RFC 9293, 3.6.1: TIME-WAIT; socket(7): SO_REUSEADDR; " + _RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "6.5",
            "SIGINT ends it",
            _MUST,
            "After SIGINT (Ctrl-C) the process ends, although an idle connection is open.",
            "Whoever started it at a terminal expects no less. Threads that are not daemons, and locks that "
            "are held, keep a process alive.",
            "signal(7)",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
    ),
)

GARBAGE = Section(
    7,
    "Garbage",
    "Streams from a seeded generator. One that fails is made as short as it still fails.",
    (
        Rule(
            "7.1",
            "Any frames, any cuts",
            _MUST,
            "Random frames, cut into random pieces with pauses between, are echoed byte-identical.",
            "What nobody thought of.",
            f"property-based testing, as in QuickCheck and Hypothesis; {_RUBRIC}: framing robustness",
            Heading.ROBUSTNESS,
        ),
        Rule(
            "7.2",
            "Garbage after good frames",
            _MUST,
            "After good frames come random bytes, an HTTP request, a TLS hello, or a header that is cut off, "
            "and the end of the stream. Only whole frames are echoed, and the server serves on.",
            "Port scanners and misconfigured clients send this to every open port.",
            f"fuzzing; {_RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
        Rule(
            "7.3",
            "A good client among bad ones",
            _MUST,
            "While others send garbage, stop in the middle, or reset, a client gets all its echoes, "
            "byte-identical.",
            "Connections are isolated not only in each of these cases, but in all of them at once.",
            f"fuzzing; {_RUBRIC}: edge cases",
            Heading.EDGE_CASES,
        ),
    ),
)
