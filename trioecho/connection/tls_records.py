"""Where the records of TLS end, which OpenSSL does not tell."""

from __future__ import annotations

import math

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

    def follow(self, data: bytes | memoryview, most: int, most_records: float = math.inf) -> int:
        """Note the next bytes, at least one and at most so many; return how many those are.

        They end where a record does, if any ends among them: whoever gets no part of a record
        behind a whole one has nothing left when that is read. Of those that begin here, they are not more
        than ``most_records``.
        """
        here = min(len(data), most)
        position = self._rest
        if self._header:
            missing = _HEADER_BYTES - len(self._header)
            self._header += bytes(data[: min(missing, here)])
            if here < missing:
                return here
            self.count += 1
            position = missing + int.from_bytes(self._header[3:], "big")
            self._header = b""
        count = 0
        while position + _HEADER_BYTES <= here and count < most_records:
            end = position + _HEADER_BYTES + (data[position + 3] << 8) + data[position + 4]
            if position and end > here:
                break  # the next one is cut, and follows later
            count += 1
            position = end
        self.count += count
        if position > here:  # the first one goes on
            self._rest = position - here
            return here
        self._rest = 0
        if not position:
            self._header = bytes(data[:here])
            return here
        return position
