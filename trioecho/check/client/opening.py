"""What opens a session: a login, a handshake, whatever a service wants first on every connection."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from .wire import Wire, is_as_given

_NAME_DIGITS = 8


@dataclass(frozen=True)
class FirstMessage:
    """A message that is sent first on a connection, and what is to come for it before anything else is sent.

    Attributes:
      data: what is sent, byte by byte as it is; it need not be a frame.
      until: how the frame begins that is the last one of the reply; any frame is, if it is empty.
      unless: how frames begin that say no.
      given: the payload of the right reply, where it is known.
      accepted: what is somewhere in the payload of a reply that says yes.
      name: what is in its place has other digits at the end on every connection, in hexadecimal.
    """

    data: bytes
    until: bytes = b""
    unless: tuple[bytes, ...] = ()
    given: bytes | None = None
    accepted: bytes = b""
    name: bytes = b""

    def of_connection(self) -> bytes:
        """Return what is sent on a connection: the data, with a name that no other connection has."""
        if not self.name:
            return self.data
        digits = secrets.token_hex(_NAME_DIGITS // 2).encode()
        return self.data.replace(self.name, self.name[:-_NAME_DIGITS] + digits)

    def look_at(self, received: bytes, wire: Wire) -> tuple[bool, str]:
        """Return whether the reply is complete, and what is wrong with it; nothing if it may be right."""
        while (first := wire.first(received)) is not None:
            payload, size = first
            frame, received = received[:size], received[size:]
            if frame.startswith(self.unless) or self.accepted not in payload:
                return True, f"the service refuses: {frame[:64]!r}"
            if frame.startswith(self.until):
                return True, self._wrong(frame, payload, received)
        return False, ""

    def _wrong(self, frame: bytes, payload: bytes, more: bytes) -> str:
        if self.given is not None and not is_as_given(self.given, frame, payload):
            came = frame if payload == self.given else payload
            return f"another reply came than is expected: {came[:64]!r}"
        return f"more came than the reply: {more[:64]!r}" if more else ""
