"""Causes of what a client does wrong."""

from __future__ import annotations

from ..verdict import Cause

_END_NON_ZERO = "End with an exit code that is not 0, and say which reply was wrong."

CAUSES_OF_CLIENTS = (
    # ---- seen before the first case ----
    Cause(
        "fails-with-right-server",
        "The client fails though every reply is right.",
        "See what it writes; if it writes nothing, let it say which reply it did not like, and why.",
    ),
    Cause(
        "client-sends-nothing",
        "The client connects and sends nothing: it probably waits for a greeting, or does not flush what it "
        "writes.",
        "Send the first frame as soon as the connection is there, by sendall(), or flush the file.",
    ),
    Cause(
        "client-sends-other-frames",
        "What the client sends is no frame of this format: its header has another width or byte order, or "
        "counts other bytes.",
        "Write the length as the format has it: for u32be, struct.pack('>I', len(payload)).",
    ),
    Cause(
        "client-sends-text",
        "The client sends text without a header.",
        "Send the length of a message before it.",
    ),
    Cause(
        "client-does-not-end",
        "The client does not end when all of its replies have come: it probably waits for a further one, or "
        "for the server to end the connection first.",
        "Count the replies; when the last has come, close the connection and exit.",
    ),
    Cause(
        "client-goes-on",
        "The client sends messages without end.",
        "Give the command an option that ends it after some messages.",
    ),
    # ---- bytes and pieces ----
    Cause(
        "one-recv-per-reply",
        "One recv is not one frame: the client probably takes what one receive gives for a whole reply.",
        "Receive in a loop until the header is complete, then until the payload is.",
    ),
    Cause(
        "reply-header-taken-whole",
        "The client probably takes what one receive gives for a whole header.",
        "Receive the header in a loop, too, until it is complete.",
    ),
    Cause(
        "reply-payload-taken-whole",
        "The client probably takes recv(n) for n bytes of payload.",
        "Receive the payload in a loop until it is complete.",
    ),
    Cause(
        "one-reply-per-recv",
        "The client probably takes one reply out of what a receive gives, and leaves the others lying.",
        "Take replies out of the buffer in a loop until none is complete.",
    ),
    Cause(
        "drops-rest-of-reply",
        "The client probably throws away the beginning of a reply that came with the end of another.",
        "Keep what is left behind the last whole reply, and put what comes next behind it.",
    ),
    Cause(
        "gives-up-early",
        "The client gives up when a reply is a second late.",
        "Wait for a reply for some seconds; a fixed sleep before a receive is no wait.",
    ),
    Cause(
        "end-taken-for-failure",
        "The client takes the end of the stream for a failure, though every reply has come before it.",
        "Look for the end of the stream only as long as a reply is missing.",
    ),
    Cause(
        "sends-all-before-it-reads",
        "The client sends all messages before it reads a reply: both sides wait when the buffers are full.",
        "Read in a thread or task of its own while the other sends; or keep only some messages under way.",
    ),
    # ---- replies that are not compared ----
    Cause(
        "exit-code-always-0",
        "The exit code is 0 whatever happens.",
        "Call sys.exit(1), or return 1 from main, when a reply is wrong or does not come.",
    ),
    Cause(
        "replies-not-compared",
        "The client does not compare replies with what it has sent.",
        f"Compare all bytes of every reply. {_END_NON_ZERO}",
    ),
    Cause(
        "compares-some-replies",
        "The client compares some replies, but not all.",
        f"Compare every reply, the last one, too. {_END_NON_ZERO}",
    ),
    Cause(
        "compares-lengths-only",
        "The client compares the lengths of replies, and not their bytes.",
        f"Compare all bytes of every reply. {_END_NON_ZERO}",
    ),
    Cause(
        "compares-the-beginning",
        "The client compares only as many bytes as the shorter of both has, or looks for one in the other.",
        "Compare with ==, which compares the lengths, too.",
    ),
    Cause(
        "empty-reply-accepted",
        "The client takes an empty frame for a reply to whatever it has sent, or for none at all.",
        "An empty frame is a reply like any other: compare it.",
    ),
    Cause(
        "takes-any-message",
        "The client accepts the echo of another message than that whose turn it is.",
        "Compare each reply with the oldest message that has none yet.",
    ),
    Cause(
        "skips-what-does-not-fit",
        "The client skips replies that are not the one for which it waits.",
        "The next reply is that of the oldest message; any other is an error.",
    ),
    Cause(
        "tolerates-loss",
        "The client goes on when a reply is missing among others.",
        "The next reply is that of the oldest message; any other is an error.",
    ),
    Cause(
        "order-not-compared",
        "The client accepts replies in any order.",
        "Keep the messages that are under way in a queue; compare each reply with the first of it.",
    ),
    Cause(
        "header-ignored",
        "The client probably reads as many bytes as it has sent, whatever the reply's header says.",
        "Read the header, compare its length, and read as many bytes as it says.",
    ),
    # ---- ends and silence ----
    Cause(
        "end-taken-for-success",
        "The client takes the end of the stream for the end of its work, though replies are missing.",
        f"Count the replies; when the stream ends before the last one, that is an error. {_END_NON_ZERO}",
    ),
    Cause(
        "end-in-payload-accepted",
        "The client accepts a reply that the end of the stream has cut off.",
        "When a receive gives nothing before the reply is complete, that is an error.",
    ),
    Cause(
        "end-not-noticed",
        "The client does not notice the end of the stream: it probably receives nothing, again and again, in "
        "a loop.",
        "When a receive gives nothing, the stream has ended: leave the loop with an error.",
    ),
    Cause(
        "reset-swallowed",
        "The client catches the error of a connection that was reset, and ends as if all was right.",
        f"Let the error end the client, or turn it into a message. {_END_NON_ZERO}",
    ),
    Cause(
        "refusal-swallowed",
        "The client ends as if all was right though it could not connect.",
        f"Let the error end the client, or turn it into a message. {_END_NON_ZERO}",
    ),
    Cause(
        "tries-without-end",
        "The client tries to connect without end.",
        "Try for some seconds, then say that nobody listens, and end.",
    ),
    Cause(
        "waits-without-end",
        "The client waits for a reply without a timeout.",
        "Set a timeout of some seconds (settimeout, SO_RCVTIMEO, trio.fail_after).",
    ),
    Cause(
        "timeout-of-each-receive",
        "The client's timeout is one of each receive, so a byte now and then keeps it waiting without end.",
        "Take the time when the wait for a reply begins, and give each receive what is left.",
    ),
    Cause(
        "silence-taken-for-success",
        "The client ends as if all was right when a reply has not come in time.",
        f"A timeout is an error. {_END_NON_ZERO}",
    ),
    Cause(
        "interrupt-ignored",
        "The client goes on after SIGINT (Ctrl-C).",
        "Let KeyboardInterrupt end the process; do not catch it with a bare except.",
    ),
    Cause(
        "interrupt-taken-for-success",
        "After SIGINT (Ctrl-C) the client ends as if all was right, though a reply is missing.",
        "End by the signal, or with exit code 130.",
    ),
    # ---- lengths and conduct ----
    Cause(
        "trusts-reply-length",
        "The client takes memory for a length that was only announced, or for whatever comes.",
        "Compare the length with that of the message before anything is read; refuse any other.",
    ),
    Cause(
        "takes-all-memory",
        "The client's memory grows without end though every reply is right.",
        "Keep no more than the messages under way; look for what grows with every message, or every byte.",
    ),
    Cause(
        "length-not-compared",
        "The client ends as if all was right after a header that announces an enormous length.",
        "Compare the length with that of the message before anything is read; refuse any other.",
    ),
    Cause(
        "signed-reply-length",
        "The client probably reads the length as a signed number, and takes a negative one for nothing.",
        "Read it as an unsigned number: in Python struct.unpack('>I', ...), and not '>i'.",
    ),
    Cause(
        "crashes-on-reply",
        "The client's process was ended by a signal, as by a fault in its memory.",
        "See which bytes came last; a length or an end was probably not looked at.",
    ),
    Cause(
        "sends-part-of-frame",
        "The client sends bytes behind its last frame that are no frame.",
        "Send a header and as many bytes as it says, and nothing else: no line end, no farewell.",
    ),
    Cause(
        "leaves-connection-open",
        "The client's connection is still open when the client has ended: a process that it has started has "
        "it.",
        "Close the socket before the end, and let no child inherit it.",
    ),
    Cause(
        "client-resets",
        "The client resets its connection instead of ending it: it closes with bytes unread, or with a "
        "linger time of 0.",
        "Read all replies, then close; leave SO_LINGER alone.",
    ),
    Cause(
        "fails-in-silence",
        "The client says nothing about what is wrong.",
        "Write a line to stderr: which message, what was expected, what came.",
    ),
)
