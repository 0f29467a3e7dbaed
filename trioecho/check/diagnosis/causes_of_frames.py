"""Likely causes of wrong echoes: how bytes are read, lengths understood and payloads kept."""

from __future__ import annotations

from ..verdict import Cause

CAUSES_OF_FRAMES = (
    Cause(
        "one-parse-per-recv",
        "Replies stop after the first frame of a segment: the server probably parses one frame per recv and "
        "drops, or leaves lying, what came with it.",
        "Append what is received to a buffer, and take frames from it in a loop until none is complete.",
    ),
    Cause(
        "drops-rest-of-segment",
        "Frames that come whole are echoed, but the beginning of one that came with the end of another is "
        "lost: the server probably starts each recv with an empty buffer.",
        "Keep the bytes after the last complete frame, and put what comes next behind them.",
    ),
    Cause(
        "recv-n-taken-for-n-bytes",
        "Payloads that arrive in pieces come back short or late: the server probably takes recv(n) for n "
        "bytes.",
        "Receive in a loop until n bytes are there.",
    ),
    Cause(
        "header-taken-whole",
        "A header that arrives in pieces is misread: the server probably expects one receive to give all of "
        "it, or forgets the part that came first.",
        "Receive in a loop until the header is complete, as for the payload.",
    ),
    Cause(
        "segment-taken-for-frame",
        "What arrives in one receive is treated as one message, whatever the header says.",
        "Let the length in the header, and nothing else, say where a frame ends.",
    ),
    Cause(
        "zero-length-taken-for-eof",
        "The server ends the connection, or falls silent, at a frame of length 0: it probably takes an empty "
        "payload for the end of the stream, or refuses it.",
        "Only a receive that gives no bytes is the end of the stream; test for that where you receive.",
    ),
    Cause(
        "empty-frame-skipped",
        "A frame of length 0 gets no reply, and the next one does: the server probably skips empty payloads.",
        "Echo every frame; one of length 0 comes back as a header of 0.",
    ),
    Cause(
        "zero-length-taken-for-heartbeat",
        "A frame of length 0 gets another frame as its reply: the server probably takes it for a heartbeat.",
        "Echo every frame; one of length 0 comes back as a header of 0.",
    ),
    Cause(
        "little-endian",
        "The server reads or writes lengths in the other byte order.",
        'Use network byte order: struct.pack("!I", n), or int.from_bytes(header, "big").',
    ),
    Cause(
        "length-includes-header",
        "The server counts the header as part of the length, when reading or when writing.",
        "The length is that of the payload alone.",
    ),
    Cause(
        "other-header-width",
        "The server reads or writes headers of another width.",
        "The header has the width that --format names, 4 bytes by default.",
    ),
    Cause(
        "no-header-in-reply",
        "The payload comes back without its header.",
        "Send the length before the payload, in replies as well.",
    ),
    Cause(
        "length-of-text",
        "The header of the reply does not agree with its payload: the length is probably counted in "
        "characters, or before the payload was changed.",
        "Count the bytes that are sent.",
    ),
    Cause(
        "short-length-field",
        "Lengths above some power of 256 are misread: the server probably uses only a part of the header.",
        "Use all bytes of the header.",
    ),
    Cause(
        "fixed-buffer",
        "Large payloads come back cut off: the server probably has a buffer of fixed size.",
        "Let the buffer grow with what is received, up to a limit that is documented.",
    ),
    Cause(
        "text-decoding",
        "Payloads that are no text are lost or changed: the server probably decodes them.",
        "Keep payloads as bytes.",
    ),
    Cause(
        "strips-whitespace",
        "Blanks, line ends or zero bytes at the ends of payloads are missing: the server probably strips "
        "them.",
        "Send back what came, unchanged.",
    ),
    Cause(
        "line-oriented",
        "A line end in a payload changes what comes back: the server probably reads lines.",
        "Read by length; a payload may have any bytes in it.",
    ),
    Cause(
        "word-taken-for-command",
        "A payload that is a word such as quit ends the connection, or has no reply: the server takes it for "
        "a command.",
        "Echo every payload; a client ends a connection by ending its stream.",
    ),
    Cause(
        "content-changed",
        "Payloads come back with other bytes than were sent.",
        "Send back what came, unchanged.",
    ),
    Cause(
        "other-reply",
        "A request gets another reply than from a polite client: the server probably loses count of bytes, "
        "or mixes requests up.",
        "Let each request's own bytes, and no others, decide on its reply.",
    ),
    Cause(
        "bytes-added",
        "Replies have the payload in them, and more.",
        "Send back what came, and nothing else; the client knows what it has sent.",
    ),
    Cause(
        "case-changed",
        "Letters come back in another case.",
        "Send back what came, unchanged: no upper() or lower().",
    ),
    Cause(
        "same-reply",
        "Every frame gets the same reply, whatever is in it.",
        "Send back the payload that came.",
    ),
    Cause(
        "looks-for-header-in-payload",
        "Payloads that look like frames are misread: the server probably searches for a header, or has lost "
        "count.",
        "Count bytes; never look for the beginning of a frame.",
    ),
    Cause(
        "replies-out-of-order",
        "Echoes come in another order than their frames: the server probably replies in parallel.",
        "Reply to the frames of a connection one after the other, or put the replies in order.",
    ),
    Cause(
        "reply-twice",
        "Echoes come more than once.",
        "Take a frame out of the buffer before the reply to it is sent.",
    ),
)
