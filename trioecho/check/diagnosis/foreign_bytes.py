"""Which connections got bytes that only others had sent: the one proof that they share something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..verdict import Event

# How many letters and digits in a row, sent by one connection only, are no accident.
_TELLING_BYTES = 8
_LEAST_DIFFERENT = 4
# Texts that several connections send.
_COMMON = b"localhost OpenSSH 0123456789 0123456789"


def cases_with_foreign_bytes(transcripts: Mapping[str, Sequence[Event]]) -> set[str]:
    """Return the cases in which a connection received what another had sent, and it had not.

    Payloads are random, and others for each connection of each case, so a few bytes of
    one show whose they are. Of long transcripts only what was kept is looked at.

    Args:
      transcripts: of all cases that ran against a server, by the rule's id.
    """
    senders: dict[bytes, set[tuple[str, int]]] = {}
    for case_id, events in transcripts.items():
        for connection, data in _sent(events):
            for piece in _telling(data):
                senders.setdefault(piece, set()).add((case_id, connection))
    # What several send, as a case may have it, could be anybody's.
    owners = {piece: min(sent_by) for piece, sent_by in senders.items() if len(sent_by) == 1}
    return {
        case_id
        for case_id, events in transcripts.items()
        if any(
            owners.get(piece, (case_id, event.connection)) != (case_id, event.connection)
            for event in events
            if event.kind == "received"
            for piece in _telling(event.data)
        )
    }


def _sent(events: Sequence[Event]) -> Iterator[tuple[int, bytes]]:
    """Join what each connection sent, as far as all of it was kept: a frame may go out in pieces."""
    joined: dict[int, bytes] = {}
    for event in events:
        if event.kind == "sent":
            joined[event.connection] = joined.get(event.connection, b"") + event.data
            if event.left_out_bytes:
                yield event.connection, joined.pop(event.connection)
    yield from joined.items()


def _telling(data: bytes) -> Iterator[bytes]:
    for at in range(len(data) - _TELLING_BYTES + 1):
        piece = data[at : at + _TELLING_BYTES]
        if piece.isalnum() and len(set(piece)) >= _LEAST_DIFFERENT and piece not in _COMMON:
            yield piece
