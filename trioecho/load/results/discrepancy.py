"""Kinds of errors, and examples of each: replies that were not as they should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# Names of errors, as in JSON, and what they mean. Those up to "unreported" are of one
# message each; the others are of one connection each.
ERROR_KINDS: dict[str, str] = {
    "wrong": "a reply came that is not the one that its message should have",
    "missing": "no reply came",
    "lost": "a message was in flight on a connection that was lost, and opened again",
    "duplicated": "a message had been answered, and its reply came once more",
    "swapped": "a reply came after one to a later message",
    "torn": "the stream ended, or lost its framing, inside this reply",
    "late": "a reply came after the timeout",
    "unchecked": "the function that checks replies, or gives keys, raised an exception or did not say "
    "whether one is right",
    "same_key": "another message in flight had the same key, so that their replies cannot be told apart",
    "unexpected": "a frame came that no message asked for",
    "unsent": "a message was due and was not sent: connections were lost, or it was too late for it",
    "unknown": "it was sent by a worker that was lost, and no report of the worker says what became of it",
    "unreported": "it was due at a worker that was lost, after its last report: it may have been sent",
    "connection_closed": "the server ended a connection on which something was still to be sent or replied",
    "connection_lost": "a connection was reset",
    "connection_stalled": "nothing came for three timeouts; the connection was given up",
    "framing_lost": "something else came where a header should be; the connection was given up",
    "not_ended": "the server did not end a connection that the load had ended in order",
    "connect_failed": "a connection could not be opened, although others could, or could before",
    "no_message": "a conversation had no message to send; the connection was given up",
    "first_message_failed": "a first message of a connection had no reply, or a wrong one, while others had",
}

# Those of which a message that was sent can be one, beside "unknown"; else it was right.
OF_SENT_MESSAGES = ("wrong", "missing", "lost", "swapped", "torn", "late", "unchecked", "same_key")

# How many discrepancies of a kind are kept, as examples.
KEPT_DISCREPANCIES = 5
# What is kept of their bytes.
KEPT_BYTES = 32


@dataclass(frozen=True)
class Discrepancy:
    """A reply that was not as it should be; an example of its kind.

    Attributes:
      connection: which one, counted from 0.
      number: the message on that connection, counted from 1, warm-up included.
      kind: a key of `ERROR_KINDS`.
      expected: the first bytes of the payload that should have come, from the first
        difference on if that is further on (see ``offset``); empty if none should.
      received: the bytes in their place; empty if nothing came.
      expected_bytes: the payload's length; None if none should have come.
      received_bytes: the length of what came; None if nothing did.
      offset: where in the payload ``expected`` and ``received`` begin.
      detail: one more thing to know, in words; perhaps empty.
    """

    connection: int
    number: int
    kind: str
    expected: bytes = b""
    received: bytes = b""
    expected_bytes: int | None = None
    received_bytes: int | None = None
    offset: int = 0
    detail: str = ""


def first_of_each_kind(discrepancies: Sequence[Discrepancy]) -> list[Discrepancy]:
    """Return at most `KEPT_DISCREPANCIES` of each kind: the first ones."""
    kept: Counter[str] = Counter()
    first = []
    for discrepancy in discrepancies:
        kept[discrepancy.kind] += 1
        if kept[discrepancy.kind] <= KEPT_DISCREPANCIES:
            first.append(discrepancy)
    return first
