"""Likely causes of trouble: missing replies, neighbours, limits, endings, the life of the process."""

from __future__ import annotations

from ..verdict import Cause

CAUSES_OF_TROUBLE = (
    Cause(
        "one-reply",
        "A connection ends after its first echo: the server probably reads one frame and closes.",
        "Read frames in a loop, until a receive gives no bytes.",
    ),
    Cause(
        "one-behind",
        "An echo comes only when the next frame does: the server probably waits for more before it replies.",
        "Reply as soon as a frame is complete.",
    ),
    Cause(
        "short-read-timeout",
        "A pause in the middle of a frame ends the connection or loses the frame: the server probably takes "
        "a short timeout, or a receive that would block, for the end.",
        "Keep what has come and wait on; let a clock of many seconds end what is really stuck.",
    ),
    Cause(
        "stateless-reads",
        "State of a frame that is under way gets lost between receives.",
        "Keep a buffer per connection for as long as the connection lasts.",
    ),
    Cause(
        "single-threaded",
        "One connection is served at a time; the others wait until it has ended.",
        "Give every connection a task or thread of its own, or use an event loop.",
    ),
    Cause(
        "shared-state",
        "Connections get each other's bytes: the server probably has one buffer for all of them.",
        "Keep buffers and counters in the connection's own task or object.",
    ),
    Cause(
        "connection-limit",
        "A limited number of connections is served at a time; further ones are refused or wait.",
        "Raise the limit, or state it in the service's description.",
    ),
    Cause(
        "blocked-by-non-reader",
        "A client that does not read its echoes holds up the others: the server probably sends, blocking, "
        "from the loop that serves all.",
        "Wait for a socket to be writable in its own task, and stop reading from it meanwhile.",
    ),
    Cause(
        "partial-send-ignored",
        "Bytes of large or many echoes are missing: the server probably ignores how many bytes send() has "
        "taken.",
        "Use sendall(), or send the rest again until nothing is left.",
    ),
    Cause(
        "drops-when-full",
        "Whole echoes are missing when the client reads late: the server probably drops a reply when its "
        "send buffer, or a queue of its own, is full.",
        "Wait until the socket is writable, or the queue has space; stop reading from the client meanwhile.",
    ),
    Cause(
        "gives-up-on-backpressure",
        "The server ends a connection whose client reads late: it probably takes a send that would block for "
        "an error.",
        "Wait until the socket is writable; give up only after many seconds.",
    ),
    Cause(
        "starves-others",
        "One busy client keeps the others waiting.",
        "Give way after some receives of one connection.",
    ),
    Cause(
        "unbounded-buffering",
        "The server's memory grows with what a client has sent and not read: it keeps reading although its "
        "echoes are not taken.",
        "Stop reading from a connection while its echoes cannot be sent (await drain(), pause_reading()).",
    ),
    Cause(
        "nagle-delayed-ack",
        "Every echo takes about 40 ms: the header and the payload are probably sent by two calls, and "
        "Nagle's algorithm holds the second one back.",
        "Send header and payload in one call, or set TCP_NODELAY.",
    ),
    Cause(
        "limit-off-by-one",
        "The limit is off by one: a frame at the limit is refused, or one over it is taken.",
        "Refuse if length > limit, and only then.",
    ),
    Cause(
        "limit-counts-header",
        "A frame at the limit is refused, and one shorter by a header is taken: the server probably compares "
        "the frame with its header to the limit.",
        "Compare the length in the header, which is that of the payload, with the limit.",
    ),
    Cause(
        "limit-too-low",
        "Frames from some size on are refused: the server has a lower limit than these rules ask for.",
        "Raise the limit; 1 MiB is usual.",
    ),
    Cause(
        "limit-not-enforced",
        "A frame over the given limit is taken.",
        "Compare the length with the limit when the header is complete.",
    ),
    Cause(
        "no-limit",
        "The server believes any length, and waits for gigabytes; or it refuses one and does not end the "
        "connection.",
        "Refuse lengths over a limit when the header is complete.",
    ),
    Cause(
        "refusal-said",
        "A frame that is refused gets a message of the server's own, as an error, which clients take for an "
        "echo.",
        "End the connection without another byte, and say why in the log.",
    ),
    Cause(
        "refused-without-end",
        "A frame over the limit is not echoed, and the connection stays open: what comes next is lost, or "
        "taken for the payload.",
        "End the connection when you refuse a frame; the place where the next one begins is not known.",
    ),
    Cause(
        "limit-checked-late",
        "A frame over the limit is refused only after its payload has come.",
        "Compare the length with the limit when the header is complete, before reading on.",
    ),
    Cause(
        "signed-length",
        "Lengths from 0x80000000 are misread: the server probably reads them as signed numbers, or uses only "
        "their lower half.",
        'Read lengths unsigned: struct "!I", not "!i".',
    ),
    Cause(
        "length-overflow",
        "Lengths near the largest that a header can hold are misread: adding to them probably overflows.",
        "Compare a length with the limit before it is used in any sum.",
    ),
    Cause(
        "trusts-length",
        "Memory is taken for lengths that were only announced.",
        "Let buffers grow with the bytes that have come.",
    ),
    Cause(
        "closes-with-unread-data",
        "A refusal resets the connection, which destroys echoes under way: the server probably closes the "
        "socket with unread bytes in it.",
        "Shut down the sending side, read on for a moment, then close.",
    ),
    Cause(
        "earlier-frames-lost",
        "Frames before a refused one are not echoed: the server probably throws away its unsent replies, or "
        "looks at all that came before it replies.",
        "Send the replies that are due before you end the connection.",
    ),
    Cause(
        "error-ends-server",
        "An error on one connection ends the whole server.",
        "Catch errors where the connection is served; nothing of a connection may reach the accept loop.",
    ),
    Cause(
        "dies-on-reset",
        "A reset connection ends the server, or its accept loop.",
        "Catch ConnectionError (OSError) where the connection is served.",
    ),
    Cause(
        "dies-on-broken-pipe",
        "A client that goes without reading ends the server: a failed send, or SIGPIPE, is not handled.",
        "Catch BrokenPipeError and ConnectionResetError around sends; ignore SIGPIPE.",
    ),
    Cause(
        "last-reply-lost-at-half-close",
        "Echoes are missing when the client ends its sending side: the server probably closes as soon as it "
        "sees the end of the stream.",
        "Reply to everything that has come, then close.",
    ),
    Cause(
        "half-close-ignored",
        "The server keeps the connection open after the client has ended its side: it probably does not "
        "notice that a receive gave no bytes.",
        "A receive that gives no bytes is the end of the stream: leave the loop and close.",
    ),
    Cause(
        "ends-with-reset",
        "Connections end with RST where the end of the stream should be: the server probably sets SO_LINGER "
        "to 0, or closes with unread bytes.",
        "Leave SO_LINGER alone, and shut down the sending side before closing.",
    ),
    Cause(
        "echoes-truncated-frame",
        "A frame that was cut off by the end of the stream is echoed, whole or in part.",
        "Echo a frame only when all of it has come; what is left at the end is dropped.",
    ),
    Cause(
        "streams-before-complete",
        "Bytes are sent back before their frame is complete.",
        "Echo a frame only when all of it has come.",
    ),
    Cause(
        "no-framing",
        "Bytes are sent back as they come, even the first one of a header: the server probably reads no "
        "lengths at all.",
        "Read the header, then as many bytes as it says, and echo the frame when all of it has come.",
    ),
    Cause(
        "ends-others",
        "Connections end to which nothing was done, when others end or fail: the server probably closes a "
        "descriptor twice, so that the second close hits the connection that has its number now, or lets one "
        "error end several connections.",
        "Close a socket in one place, once; catch errors where the one connection is served.",
    ),
    Cause(
        "short-idle-timeout",
        "A connection that is idle for a moment is ended.",
        "Let a client be silent between frames for a minute or more.",
    ),
    Cause(
        "leaks-connections",
        "After many connections no new one is served: places are not given back when connections end.",
        "Release what a connection holds in a finally block.",
    ),
    Cause(
        "leaks-descriptors",
        "Sockets of ended connections stay open in the server.",
        "Close the socket in a finally block, or use a with block.",
    ),
    Cause(
        "not-ready-when-listening",
        "The first connections are accepted and dropped: the server listens before it is ready to serve.",
        "Bind and prepare first, listen last.",
    ),
    Cause(
        "sigterm-drops-work",
        "SIGTERM ends connections with a reset, or in the middle of a frame.",
        "At SIGTERM stop accepting, reply to what has come, send FIN, then end.",
    ),
    Cause(
        "ignores-sigterm",
        "The process goes on after SIGTERM.",
        "Let SIGTERM end it; threads that block must not keep the process alive.",
    ),
    Cause(
        "ignores-sigint",
        "The process goes on after SIGINT (Ctrl-C).",
        "Let KeyboardInterrupt end the process; do not catch it with a bare except; make threads daemons.",
    ),
    Cause(
        "no-reuseaddr",
        "The port cannot be bound again right after the server has ended.",
        "Set SO_REUSEADDR before bind().",
    ),
    Cause(
        "crashes",
        "The server's process ended while the case ran.",
        "The last lines that it wrote say why.",
    ),
    Cause(
        "closes-at-once",
        "Every connection is closed as soon as it is accepted: the server probably leaves the block that "
        "owns the socket, or fails, before it reads.",
        "Keep the connection open until the client has ended it; what the server writes may say why it "
        "fails. If this is a balancer, or a port that is passed on: see that the server behind it runs.",
    ),
    Cause(
        "closes-at-first-frame",
        "Every connection ends when the first frame comes, without a reply: the handler probably fails on "
        "it.",
        "See what the server writes when a frame comes, and which error ends the connection.",
    ),
    Cause(
        "answers-something-else",
        "The replies have nothing to do with what was sent: this is probably the port of another service, or "
        "the reply is made of the wrong variable.",
        "Send back the payload that came, behind a header of its length.",
    ),
    Cause(
        "speaks-unasked",
        "The server sends bytes that no client asked for: probably a greeting, a prompt, or its log.",
        "Send echoes, and nothing else; a client takes the first bytes for a header.",
    ),
    Cause(
        "only-first-connection",
        "The first connection is served, and no other: the server probably accepts once, outside of a loop.",
        "Accept in a loop, and give every connection a task or thread of its own.",
    ),
    Cause(
        "trickles",
        "Echoes come a few bytes at a time, with waits between: the server probably sends byte by byte, and "
        "sleeps.",
        "Send a frame by one call of sendall().",
    ),
    Cause(
        "never-answers",
        "The server accepts connections and replies to nothing, or only when they end.",
        "See whether it is the right port, and whether the server flushes what it writes.",
    ),
)
