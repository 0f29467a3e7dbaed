"""What the bytes of an echo that is not right say by themselves."""

from __future__ import annotations

from ..client.finding import Deviation, common_length
from ..client.own_message import is_own_message
from ..client.wire import Wire

# How much of a payload shows that it is the one that was sent.
_COMPARED_BYTES = 64
_REPLACEMENT = "\ufffd".encode()


def is_cut_off(deviation: Deviation, wire: Wire) -> bool:
    """Return whether a shorter frame came, with the beginning of the payload."""
    came, _ = wire.split(deviation.received_bytes)
    wanted, _ = wire.split(deviation.expected_bytes)
    return bool(came and wanted and came[0] and wanted[0] != came[0] and wanted[0].startswith(came[0]))


def whole_frames(deviation: Deviation, wire: Wire) -> int:
    """Return how many whole frames came back right before the deviation."""
    same = common_length(deviation.expected_bytes, deviation.received_bytes)
    return len(wire.split(deviation.expected_bytes[:same])[0])


def is_unasked(deviation: Deviation, wire: Wire) -> bool:
    """Return whether a whole frame came with nothing in it of what was sent."""
    came, _ = wire.split(deviation.received_bytes)
    return bool(came and came[0]) and came[0] not in deviation.expected_bytes


def is_refused_in_words(deviation: Deviation, wire: Wire) -> bool:
    """Return whether in the place of a longer echo came a message of the server's own."""
    expected = deviation.expected_bytes
    right = sum(map(wire.size, wire.split(expected)[0][: whole_frames(deviation, wire)]))
    received = deviation.received_bytes[right:]
    return 0 < len(received) < len(expected) - right and is_own_message(wire, expected, received)


def bytes_behind(deviation: Deviation) -> bytes:
    """Return what came behind all that was expected; nothing if that did not all come."""
    expected, received = deviation.expected_bytes, deviation.received_bytes
    return received[len(expected) :] if expected and received.startswith(expected) else b""


def is_sent_twice(deviation: Deviation, wire: Wire) -> bool:
    """Return whether all that was expected came, and then its last frame again, or the beginning of it."""
    behind = bytes_behind(deviation)
    wanted, _ = wire.split(deviation.expected_bytes)
    if not wanted or not behind:
        return False
    again = wire.frame(wanted[-1])
    # A header alone may be that of the next frame.
    is_more = len(behind) > wire.payload_at(again) or len(behind) == len(again)
    return is_more and (behind.startswith(again) or again.startswith(behind))


def is_sent_back_early(deviation: Deviation, wire: Wire) -> bool:
    """Return whether all that was expected came, and then bytes of what was sent behind it."""
    return bool(bytes_behind(deviation)) and not is_sent_twice(deviation, wire)


def announces_all(deviation: Deviation, wire: Wire) -> bool:
    """Return whether the header of the whole payload came, and not all of the payload."""
    expected, received = deviation.expected_bytes, deviation.received_bytes
    return common_length(expected, received) == len(received) >= wire.payload_at(expected)


def cause_of_bytes(deviation: Deviation, wire: Wire) -> str | None:
    """Name the cause that a wrong echo shows, if it shows one."""
    expected, received = deviation.expected_bytes, deviation.received_bytes
    wanted, _ = wire.split(expected)
    if not wanted or not received or expected.startswith(received):
        return None
    if len(wanted[0]) > _COMPARED_BYTES and is_cut_off(deviation, wire):
        return None
    if is_sent_twice(deviation, wire):
        return "reply-twice"
    came, rest = wire.split(received)
    at = next((i for i, (one, other) in enumerate(zip(came, wanted, strict=False)) if one != other), None)
    if at is None:
        # Whole frames that were right, and then something that is none.
        at = len(came)
        return _cause_of_header(wanted[at], rest, wire) if at < len(wanted) else None
    return _cause_of_payload(came, wanted, at) or _cause_of_header(
        wanted[at], received[sum(map(wire.size, came[:at])) :], wire
    )


def _cause_of_header(payload: bytes, reply: bytes, wire: Wire) -> str | None:
    """Name the cause of a reply that has the right payload behind a wrong header, or none."""
    width = wire.header_bytes
    if not payload or len(reply) < min(len(payload), 2):
        return None
    is_after_text = payload in reply and wire.frame(payload) not in reply and _is_text(reply[:width])
    if reply.startswith(payload) or is_after_text:
        return "no-header-in-reply"
    if not wire.is_plain:  # what else may be in its place is not known
        characters = len(payload.decode(errors="surrogateescape"))
        counts_text = characters != len(payload) and reply.startswith(
            wire.header(characters) + payload[:_COMPARED_BYTES]
        )
        return "length-of-text" if counts_text else None
    for other in (1, 2, 4, 8):
        order = wire.byte_order
        if other != width and reply == len(payload).to_bytes(8, order)[-other:] + payload:
            return "other-header-width"
    if not reply[width:].startswith(payload[:_COMPARED_BYTES]):
        return None
    number = int.from_bytes(reply[:width], wire.byte_order)
    swapped = int.from_bytes(reply[:width][::-1], wire.byte_order)
    length = int.from_bytes(wire.header(len(payload)), wire.byte_order)
    if swapped == length:
        return "little-endian"
    return "length-includes-header" if abs(number - length) == width else "length-of-text"


def _is_text(header: bytes) -> bool:
    """Return whether the bytes in a header's place are letters: as a length they are beyond any reply."""
    return len(header) >= 3 and header.isascii() and header.decode().isprintable()


def _cause_of_payload(came: list[bytes], wanted: list[bytes], at: int) -> str | None:
    one, other = came[at], wanted[at]
    if at and one == came[at - 1] and one != other:
        return "reply-twice"
    if sorted(came[: len(wanted)]) == sorted(wanted[: len(came)]) or (
        one in wanted[at + 1 :] and other in came[at + 1 :]
    ):
        return "replies-out-of-order"
    if _REPLACEMENT in one and _REPLACEMENT not in other:
        return "text-decoding"
    if other and one in (other.decode("latin-1").encode(), other.decode("utf-8", "ignore").encode()):
        return "text-decoding"
    if other and one == other.partition(b"\0")[0]:
        return "strips-whitespace"
    if one in (other.strip(), other.rstrip(), other.strip(b"\0"), other.rstrip(b"\0"), other.rstrip(b"\r\n")):
        return "strips-whitespace"
    if len(one) == len(other):
        return "content-changed"
    return None
