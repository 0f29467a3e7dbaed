"""What is a message of the server's own, and what is a part of what was sent."""

from __future__ import annotations

import pytest

from trioecho.check.client.own_message import is_own_message
from trioecho.check.client.wire import Wire
from trioecho.cli.check_wire import wire_of
from trioecho.framing import FrameFormat

WIRE = Wire()
PAYLOAD = bytes(range(97, 123)) * 20
SENT = WIRE.frame(PAYLOAD)


@pytest.mark.parametrize(
    ("received", "is_own"),
    [
        (WIRE.frame(b"error: too long"), True),
        (b"ERR: TOO LONG\r\n", True),
        (WIRE.frame(PAYLOAD[:100]), False),
        (SENT[:100], False),
        (WIRE.header(len(SENT)) + PAYLOAD, False),  # a length that counts the header
        (WIRE.header(9000) + PAYLOAD, False),
        (bytes(8), False),
        (WIRE.frame(b"") + WIRE.frame(PAYLOAD[4:100]), False),  # the payload was taken for frames
        (WIRE.frame(b"what?") + WIRE.frame(PAYLOAD[4:100]), False),
        (b"", False),
    ],
)
def test_a_message_has_nothing_of_what_was_sent(received: bytes, is_own: bool) -> None:
    assert is_own_message(WIRE, SENT, received) == is_own


def test_so_it_is_behind_a_header_that_is_longer_than_the_shortest_one() -> None:
    wire = wire_of(FrameFormat.parse("netstring"))
    sent = wire.frame(PAYLOAD)
    assert not is_own_message(wire, sent, b"99999:" + PAYLOAD)
    assert is_own_message(wire, sent, b"error: too long, by far")
    assert is_own_message(wire, sent, wire.frame(b"error: too long, by far"))
