"""Write and read the number in a header, in each way that there is."""

from __future__ import annotations

from ..errors import MalformedFrameError
from .layout import Number, NumberKind

Data = bytes | bytearray | memoryview
NEEDS_MORE = -1


class NumberCodec:
    """Writes and reads a number: here as bits of a fixed number.

    Attributes:
      number: how it is written.
      largest: that can be written.
      looks_ahead: how many bytes behind it show where it ends.

    Args:
      number: as above.
    """

    looks_ahead: int = 0

    def __init__(self, number: Number) -> None:
        self.number: Number = number
        self.largest: int = number.largest
        self._width = number.least_bytes
        self._order = number.byte_order
        self._mask = (1 << number.most) - 1
        self._flags = number.flags << number.most
        self._is_signed = number.kind is NumberKind.SIGNED

    def encode(self, value: int, old: Data = b"") -> bytes:
        """Return a number, at most `largest`, as it is written; with what else is in ``old``, if anything."""
        flags = int.from_bytes(old, self._order) & ~self._mask if old else self._flags
        return (value | flags).to_bytes(self._width, self._order)

    def read(self, data: Data, start: int, end: int) -> tuple[int, int]:
        """Return how many bytes the number at ``start`` has, and the number.

        If more is needed, the second is `NEEDS_MORE` and the first is how many bytes, at least.

        Raises:
          MalformedFrameError: it is no number; its offset counts from ``start``.
        """
        if end - start < self._width:
            return self._width, NEEDS_MORE
        value = int.from_bytes(data[start : start + self._width], self._order) & self._mask
        if self._is_signed and value > self.largest:
            raise MalformedFrameError(f"a length of {value - (1 << self.number.most)} is negative", 0)
        return self._width, value


class VarintCodec(NumberCodec):
    """Seven bits a byte, least first; the highest bit says that another byte follows."""

    def encode(self, value: int, old: Data = b"") -> bytes:
        coded = bytearray()
        while value > 0x7F:
            coded.append(value & 0x7F | 0x80)
            value >>= 7
        coded.append(value)
        return bytes(coded)

    def read(self, data: Data, start: int, end: int) -> tuple[int, int]:
        value = 0
        most = self.number.most
        for size in range(min(most, end - start)):
            byte = data[start + size]
            value |= (byte & 0x7F) << 7 * size
            if byte < 0x80:
                if not byte and size:
                    raise MalformedFrameError(
                        "a varint is longer than its number needs: its last byte is 0", size
                    )
                return size + 1, value
        if end - start < most:
            return end - start + 1, NEEDS_MORE
        raise MalformedFrameError(f"a varint goes on after {most} bytes", most - 1)


class DigitsCodec(NumberCodec):
    """Digits, decimal or hexadecimal."""

    def __init__(self, number: Number) -> None:
        super().__init__(number)
        self.looks_ahead: int = int(number.least != number.most)
        is_decimal = number.kind is NumberKind.DECIMAL
        self._base, self._code = (10, "d") if is_decimal else (16, "x")
        self._digits = frozenset(b"0123456789" if is_decimal else b"0123456789abcdefABCDEF")
        self._what = f"{'decimal' if is_decimal else 'hexadecimal'} digit"

    def encode(self, value: int, old: Data = b"") -> bytes:
        return f"{value:0{self.number.least}{self._code}}".encode()

    def read(self, data: Data, start: int, end: int) -> tuple[int, int]:
        least, most = self.number.least, self.number.most
        size = 0
        while size < most and start + size < end and data[start + size] in self._digits:
            size += 1
        if size < most and start + size == end:
            return max(least, size) + self.looks_ahead, NEEDS_MORE
        if size < least:
            raise MalformedFrameError(f"0x{data[start + size]:02x} is no {self._what}", size)
        if size > least and data[start] == ord("0"):
            raise MalformedFrameError("a length begins with a 0 that it does not need", 0)
        return size, int(bytes(data[start : start + size]), self._base)


class BerCodec(NumberCodec):
    """A length of BER or DER, in the definite form: a byte up to 127, else how many bytes, and these."""

    def encode(self, value: int, old: Data = b"") -> bytes:
        if value < 0x80:
            return bytes([value])
        size = -(-value.bit_length() // 8)
        return bytes([0x80 | size]) + value.to_bytes(size, "big")

    def read(self, data: Data, start: int, end: int) -> tuple[int, int]:
        if start >= end:
            return 1, NEEDS_MORE
        first = data[start]
        if first < 0x80:
            return 1, first
        size = first & 0x7F
        if not 1 <= size <= self.number.most:
            why = (
                f"{size} bytes of length are more than {self.number.most}"
                if size
                else "has no definite length"
            )
            raise MalformedFrameError(f"0x{first:02x} {why}" if not size else why, 0)
        if end - start < size + 1:
            return size + 1, NEEDS_MORE
        return size + 1, int.from_bytes(data[start + 1 : start + 1 + size], "big")


_CODECS: dict[NumberKind, type[NumberCodec]] = {
    NumberKind.VARINT: VarintCodec,
    NumberKind.DECIMAL: DigitsCodec,
    NumberKind.HEXADECIMAL: DigitsCodec,
    NumberKind.BER: BerCodec,
}


def number_codec(number: Number) -> NumberCodec:
    """Return what writes and reads such numbers."""
    return _CODECS.get(number.kind, NumberCodec)(number)
