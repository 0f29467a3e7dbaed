"""Where the records of TLS end, which OpenSSL does not tell."""

from __future__ import annotations

# Type, version and length (RFC 8446, section 5.1).
_HEADER_BYTES = 5


class RecordScanner:
    """Follows the records in what was received, without a look into them.

    Attributes:
      count: how many have begun, with a whole header.
    """

    __slots__ = ("_header", "_rest", "count")

    def __init__(self) -> None:
        self.count: int = 0
        self._header = b""  # of a record, as far as it has come
        self._rest = 0  # bytes of a record that are still to come behind its header

    @property
    def is_inside_one(self) -> bool:
        """Whether the last record has come in part."""
        return bool(self._rest or self._header)

    def follow(self, data: bytes | memoryview) -> None:
        """Note the next bytes."""
        position = self._rest
        while position < len(data):
            missing = _HEADER_BYTES - len(self._header)
            self._header += bytes(data[position : position + missing])
            if len(self._header) < _HEADER_BYTES:
                self._rest = 0
                return
            self.count += 1
            position += missing + int.from_bytes(self._header[3:], "big")
            self._header = b""
        self._rest = position - len(data)
