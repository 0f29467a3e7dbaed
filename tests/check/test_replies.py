"""What is wrong with every reply in the same way, from a few frames and what came for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trioecho.check.client.wire import Wire
from trioecho.check.diagnosis.diagnosis_of_replies import SameFault, same_fault

WIRE = Wire()
PAYLOADS = (b"hello", b"again", b"x", b"0123456789" * 6)


def fault(reply: Callable[[bytes], bytes]) -> SameFault | None:
    return same_fault([(payload, reply(payload)) for payload in PAYLOADS], WIRE)


def framed(alter: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda payload: WIRE.frame(alter(payload))


@pytest.mark.parametrize(
    ("reply", "cause", "detail"),
    [
        (
            framed(lambda payload: b"echo:" + payload),
            "bytes-added",
            "5 bytes are added before the payload: 'echo:'.",
        ),
        (framed(lambda payload: payload + b"\n"), "bytes-added", r"1 byte is added after the payload: '\n'."),
        (
            framed(lambda payload: b"<x>" + payload + b"</x>"),
            "bytes-added",
            "3 bytes are added before the payload: '<x>'. 4 bytes are added after the payload: '</x>'.",
        ),
        (
            framed(lambda payload: b"%d:" % (1000 + len(payload)) + payload),
            "bytes-added",
            "5 bytes are added before the payload, not always the same, as '1005:'.",
        ),
        (
            framed(lambda payload: b"%d:" % len(payload) + payload),
            "bytes-added",
            "bytes are added before the payload, not always the same, as '60:'.",
        ),
        (
            lambda payload: WIRE.header(len(payload)) + b"echo:" + payload,
            "bytes-added",
            "5 bytes are added before the payload: 'echo:'. The header does not count them.",
        ),
        (
            framed(lambda payload: b"\x1b[2J" + payload),
            "bytes-added",
            r"4 bytes are added before the payload: '\x1b[2J'.",
        ),
        (framed(bytes.upper), "case-changed", "They come back in upper case."),
        (framed(bytes.title), "case-changed", "They come back as in a title."),
        (framed(lambda payload: payload[::-1]), "content-changed", "They come back in reverse order."),
        (framed(lambda payload: bytes(byte ^ 1 for byte in payload)), "content-changed", ""),
        (framed(lambda _: b"ok"), "same-reply", "It is 'ok'."),
        (framed(lambda _: b""), "same-reply", "It is empty."),
        (lambda payload: payload, "no-header-in-reply", ""),
        (lambda payload: payload + b"\n", "no-header-in-reply", ""),
        (lambda payload: b"echo: " + payload + b"\n", "no-header-in-reply", ""),
        (lambda payload: (4 + len(payload)).to_bytes(4, "big") + payload, "length-includes-header", ""),
        (lambda payload: len(payload).to_bytes(4, "little") + payload, "little-endian", ""),
        (lambda payload: len(payload).to_bytes(2, "big") + payload, "other-header-width", ""),
    ],
)
def test_what_is_wrong_with_every_reply_is_said_once(
    reply: Callable[[bytes], bytes], cause: str, detail: str
) -> None:
    found = fault(reply)
    assert found is not None
    assert (found.cause_id, found.detail.lower()) == (cause, detail.lower())


@pytest.mark.parametrize(
    "reply",
    [
        WIRE.frame,
        lambda payload: b"",
        lambda payload: WIRE.frame(payload) if len(payload) > 1 else WIRE.frame(b"y"),
        framed(lambda payload: payload[:3]),
        lambda payload: b"\x8f\x90\x91",
    ],
)
def test_replies_that_are_right_or_wrong_in_different_ways_have_no_fault_in_common(
    reply: Callable[[bytes], bytes],
) -> None:
    assert fault(reply) is None


def test_a_reply_that_is_late_says_nothing() -> None:
    found = fault(lambda payload: WIRE.frame(b"ok") if payload != b"again" else b"")
    assert found == SameFault("same-reply", "It is 'ok'.")


def test_what_was_added_is_shown_in_part_only() -> None:
    found = fault(framed(lambda payload: b"<" * 1000 + payload))
    assert found is not None
    assert found.detail == f"1,000 bytes are added before the payload: '{'<' * 40}' and so on."
