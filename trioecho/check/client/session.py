"""Opening a session on a connection, where a service wants one before anything else."""

from __future__ import annotations

from ...base.quantities import plural
from .dialogue import Dialogue
from .finding import Deviation, Kind
from .peer import Peer
from .wire import Wire

_EXPECTED = "the reply to the first message of a connection"


async def open_session(peer: Peer, dialogue: Dialogue, wire: Wire) -> None:
    """Send each first message, if there are any, and receive the reply to it.

    Raises:
      Deviation: another reply came, or none.
    """
    for message in dialogue.first_messages:
        await peer.send(message.of_connection())
        received, is_complete, wrong = b"", False, ""
        while not is_complete:
            piece = await peer.receive()
            if isinstance(piece, Kind):
                came = f"after {plural(len(received), 'byte')} of it " if received else ""
                raise Deviation(piece, _EXPECTED, came + piece.value, received_bytes=received)
            received += piece
            is_complete, wrong = message.look_at(received, wire)
        if wrong:
            raise Deviation(Kind.OTHER, _EXPECTED, wrong, received_bytes=received)
