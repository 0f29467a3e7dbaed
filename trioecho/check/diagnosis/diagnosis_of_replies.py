"""What is wrong with every reply in the same way, from a few frames and what came for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...base.printable import printable_line
from ...base.quantities import plural
from ..client.finding import Kind, echo_deviation
from ..client.wire import Wire
from .diagnosis_of_bytes import cause_of_bytes

# So much of what was added is shown.
_SHOWN_BYTES = 40

_ALTERED: tuple[tuple[str, str, Callable[[bytes], bytes]], ...] = (
    ("case-changed", "They come back in upper case.", bytes.upper),
    ("case-changed", "They come back in lower case.", bytes.lower),
    ("case-changed", "Small and large letters change places.", bytes.swapcase),
    ("case-changed", "They come back as in a title.", bytes.title),
    ("case-changed", "The first one comes back large, the others small.", bytes.capitalize),
    ("content-changed", "They come back in reverse order.", lambda payload: payload[::-1]),
)


@dataclass(frozen=True)
class SameFault:
    """What is wrong with every reply.

    Attributes:
      cause_id: the likely cause.
      detail: what was seen of it, as a sentence; empty if the cause's words say all.
    """

    cause_id: str
    detail: str = ""


def same_fault(exchanges: Sequence[tuple[bytes, bytes]], wire: Wire) -> SameFault | None:
    """Say what is wrong with all replies in the same way; None if they are right, or differ.

    Args:
      exchanges: payloads, each sent alone on a connection of its own, and what came for it; of
        those for which nothing came in time nothing is said.
      wire: how headers are written.
    """
    exchanges = [(payload, reply) for payload, reply in exchanges if reply]
    if len(exchanges) < 2:
        return None
    if all(reply == wire.frame(payload) for payload, reply in exchanges):
        return None
    replies = [wire.split(reply) for _, reply in exchanges]
    if all(len(frames) == 1 and not rest for frames, rest in replies):
        framed = [(payload, frames[0]) for (payload, _), (frames, _) in zip(exchanges, replies, strict=True)]
        return _same_reply(framed) or _altered(framed) or _added(framed) or _same_cause(exchanges, wire)
    return _added_uncounted(exchanges, wire) or _same_cause(exchanges, wire)


def _same_reply(framed: Sequence[tuple[bytes, bytes]]) -> SameFault | None:
    payloads, replies = {payload for payload, _ in framed}, {reply for _, reply in framed}
    if len(payloads) < 2 or len(replies) > 1:
        return None
    [reply] = replies
    if not reply:
        return SameFault("same-reply", "It is empty.")
    return SameFault("same-reply", f"It is {_quoted(reply)}.")


def _altered(framed: Sequence[tuple[bytes, bytes]]) -> SameFault | None:
    for cause_id, detail, alter in _ALTERED:
        if all(reply == alter(payload) for payload, reply in framed):
            return SameFault(cause_id, detail)
    return None


def _added(framed: Sequence[tuple[bytes, bytes]]) -> SameFault | None:
    """Find what is added to replies with the payload in them."""
    longest, its_reply = max(framed, key=lambda each: len(each[0]))
    usual = its_reply.partition(longest)
    around = []
    for payload, reply in framed:
        # A short payload may also be in what is added, by chance.
        is_usual = reply == usual[0] + payload + usual[2]
        before, found, after = (usual[0], payload, usual[2]) if is_usual else reply.partition(payload)
        if not found or reply == payload:
            return None
        around.append((before, after))
    befores, afters = [before for before, _ in around], [after for _, after in around]
    return SameFault(
        "bytes-added", " ".join(filter(None, (_more(befores, "before"), _more(afters, "after"))))
    )


def _more(pieces: Sequence[bytes], where: str) -> str:
    """Say what stands before the payloads, or after them; empty if nothing does."""
    if not any(pieces):
        return ""
    sizes = {len(piece) for piece in pieces}
    count = plural(len(pieces[0]), "byte") if len(sizes) == 1 else "bytes"
    verb = "is" if sizes == {1} else "are"
    if len(set(pieces)) == 1:
        return f"{count} {verb} added {where} the payload: {_quoted(pieces[0])}."
    return (
        f"{count} {verb} added {where} the payload, not always the same, as {_quoted(max(pieces, key=len))}."
    )


def _quoted(data: bytes) -> str:
    cut = " and so on" if len(data) > _SHOWN_BYTES else ""
    return f"'{printable_line(data[:_SHOWN_BYTES])}'{cut}"


def _same_cause(exchanges: Sequence[tuple[bytes, bytes]], wire: Wire) -> SameFault | None:
    causes = {
        cause_of_bytes(echo_deviation(wire, Kind.WRONG, wire.frame(payload), reply, waited_s=0), wire)
        for payload, reply in exchanges
    }
    cause_id = causes.pop() if len(causes) == 1 else None
    return None if cause_id is None else SameFault(cause_id)


def _added_uncounted(exchanges: Sequence[tuple[bytes, bytes]], wire: Wire) -> SameFault | None:
    """Find what is added to replies whose header counts the payload alone."""
    bodies = []
    for payload, reply in exchanges:
        header = wire.header(len(payload))
        if not reply.startswith(header):
            return None
        bodies.append((payload, reply[len(header) :]))
    found = _added(bodies)
    return found and SameFault(found.cause_id, f"{found.detail} The header does not count them.")
