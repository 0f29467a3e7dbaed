"""Bugs in how lengths are read, and in whom they are believed from."""

from __future__ import annotations

from .bug import NOTHING_ELSE_IS_TRIED, Bug, FaultyServer
from .header_format import RefusedError
from .honest import RECV_BYTES, ClientSocket
from .need import (
    BIG_ENDIAN,
    FIXED_SIZE,
    NO_TRAILER,
    OVER_THE_LIMIT,
    PLAIN,
    TWO_BYTES,
    UNSIGNED,
    UP_TO_4_BYTES,
    lengths_over,
)

_OWN_CLIENT = "The client was written by the same hand, and has the same idea of a header."
_SMALL_TESTS = "Messages in tests are short."
_POLITE = "Only a hostile or a broken client announces such lengths."


class LittleEndian(FaultyServer):
    bug: Bug = Bug(
        "little-endian",
        summary="reads and writes lengths in the byte order of the machine",
        works=_OWN_CLIENT,
        shows="5 is read as 83886080, which is over the limit: the connection ends at the first frame.",
        fix='Use network byte order: struct "!I", htonl, ntohl.',
        source="DAWN, a length prefix in the host's order: "
        "https://github.com/berlin-open-wireless-lab/DAWN/pull/93",
        fails=("1.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="little-endian",
        needs=(PLAIN, BIG_ENDIAN),
    )

    def decode_length(self, header: bytes) -> int:
        return int.from_bytes(header, "little")  # BUG: this is the other order

    def encode_length(self, length: int) -> bytes:
        return length.to_bytes(self.format.header_bytes, "little")  # BUG: here, too


class CountsHeader(FaultyServer):
    bug: Bug = Bug(
        "counts-header",
        summary="counts the header's four bytes as part of the length",
        works=_OWN_CLIENT,
        shows="Four bytes of every payload are taken for a header.",
        fix="The length is that of the payload alone.",
        source="gowaves, a length that did not count itself after all: "
        "https://github.com/wavesplatform/gowaves/pull/6",
        fails=("1.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="length-includes-header",
        needs=(PLAIN,),
    )

    def decode_length(self, header: bytes) -> int:
        return max(0, super().decode_length(header) - len(header))  # BUG: the header is not counted

    def encode_length(self, length: int) -> bytes:
        return super().encode_length(length + self.format.header_bytes)  # BUG: here, too


class WideHeader(FaultyServer):
    bug: Bug = Bug(
        "wide-header",
        summary="reads and writes headers of eight bytes",
        works=_OWN_CLIENT,
        shows="The first four bytes of a payload are taken for the lower half of a length.",
        fix='A protocol says how wide its numbers are: struct "!I", uint32_t, and not size_t.',
        source="DAWN, a length prefix as wide as the host's size_t: "
        "https://github.com/berlin-open-wireless-lab/DAWN/pull/93",
        fails=("1.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="other-header-width",
        needs=(PLAIN, BIG_ENDIAN, UP_TO_4_BYTES),
    )

    def read_header(self, connection: ClientSocket) -> bytes | None:
        return self.read_exactly(connection, 8)  # BUG: 4

    def encode_length(self, length: int) -> bytes:
        return length.to_bytes(8, "big")  # BUG: 4


class TwoByteLength(FaultyServer):
    bug: Bug = Bug(
        "two-byte-length",
        summary="keeps a length in 16 bits",
        works=_SMALL_TESTS,
        shows="65,536 becomes 0, and the payload is read as headers.",
        fix="Keep it in as many bits as the header has.",
        source="SSMP, packets over 64 KiB silently truncated: https://github.com/Extremelyd1/SSMP/issues/36",
        fails=("1.6", "1.7", "4.1", "4.2", "4.3", "4.4", "4.5", "4.8"),
        may_fail=("4.6", "4.7"),
        cause="short-length-field",
        needs=(lengths_over(65_535),),
    )

    def decode_length(self, header: bytes) -> int:
        return super().decode_length(header) & 0xFFFF  # BUG: unsigned short


class OneByteLength(FaultyServer):
    bug: Bug = Bug(
        "one-byte-length",
        summary="looks at the last byte of the header only",
        works=_SMALL_TESTS,
        shows="256 becomes 0, and the payload is read as headers.",
        fix="Use all four bytes.",
        source="RIOT, packets over 255 bytes cannot be received: https://github.com/RIOT-OS/RIOT/pull/10604",
        fails=(
            "1.4",
            "1.5",
            "1.6",
            "1.7",
            "1.8",
            "2.7",
            "3.1",
            "3.5",
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            "4.8",
            "5.3",
            "7",
        ),
        may_fail=("4.6", "4.7"),
        cause="short-length-field",
        needs=(PLAIN, BIG_ENDIAN),
    )

    def decode_length(self, header: bytes) -> int:
        return header[-1]  # BUG: and the others?


class SignedLength(FaultyServer):
    bug: Bug = Bug(
        "signed-length",
        summary="reads lengths as signed numbers",
        works=_POLITE,
        shows="0x80000000 is negative, so under the limit; a frame that was not sent gets a reply.",
        fix='Read them unsigned: struct "!I", not "!i"; in Java, & 0xffffffffL.',
        source="rsync, a signed length got past its check: https://github.com/RsyncProject/rsync/pull/873",
        fails=("4.4", "4.5", "4.7", "4.8", "7.2"),
        may_fail=("4.6",),
        cause="signed-length",
        needs=(PLAIN, UNSIGNED, OVER_THE_LIMIT),
    )

    def decode_length(self, header: bytes) -> int:
        return int.from_bytes(header, self.format.byte_order, signed=True)  # BUG: it has no sign


class NegativeLength(FaultyServer):
    bug: Bug = Bug(
        "negative-length",
        summary="takes lengths for signed, reads nothing for a negative one, and replies with its header",
        works=_POLITE,
        shows="The header of 0x80000000 comes back, as if that were a frame.",
        fix='Read them unsigned: struct "!I", not "!i"; in Java, & 0xffffffffL.',
        source="classroom habit: int len = ntohl(header); while (got < len) ...; write(fd, &header, 4)",
        fails=("4.4", "4.5", "4.7", "4.8", "7.2"),
        may_fail=("4.6",),
        cause="signed-length",
        needs=(PLAIN, UNSIGNED, OVER_THE_LIMIT),
    )

    def decode_length(self, header: bytes) -> int:
        return int.from_bytes(header, self.format.byte_order, signed=True)  # BUG: it has no sign

    def echo_frames(self, connection: ClientSocket) -> None:
        while (header := self.read_header(connection)) is not None:
            length = self.decode_length(header)
            self.check_length(length)
            payload = self.read_payload(connection, length)
            if payload is None:
                return
            connection.sendall(header + payload)


class LengthOverflow(FaultyServer):
    bug: Bug = Bug(
        "length-overflow",
        summary="adds the header's size to a length, in 32 bits, before it compares",
        works=_POLITE,
        shows="Near the largest number the sum is negative or small, and passes for a frame under the limit.",
        fix="Compare the length itself, before it is used in any sum.",
        source="coturn, a sum of lengths that wraps: https://github.com/coturn/coturn/pull/1964; "
        "Dropbear, likewise: https://github.com/mkj/dropbear/pull/436",
        fails=("4.3", "4.4", "4.5", "4.6", "4.7", "4.8", "7.2"),
        cause="length-overflow",
        needs=(FIXED_SIZE, NO_TRAILER, lengths_over((1 << 31) - 5)),
    )

    def check_length(self, length: int) -> None:
        header_bytes = self.format.header_bytes
        total = (length + header_bytes + (1 << 31)) % (1 << 32) - (1 << 31)  # BUG: as int32_t has it
        if total > self.limit + header_bytes:
            raise RefusedError(length)

    def read_payload(self, connection: ClientSocket, length: int) -> bytes | None:
        return super().read_payload(connection, length if length <= self.limit else 0)


class LimitOffByOne(FaultyServer):
    bug: Bug = Bug(
        "limit-off-by-one",
        summary="refuses a frame that is exactly at the limit",
        works="No test tries the limit itself.",
        shows="The largest frame that is allowed ends the connection.",
        fix="Refuse if length > limit, and only then.",
        source="EMQX, packets of exactly the maximum size discarded: https://github.com/emqx/emqx/pull/18438",
        fails=("1.7",),
        cause="limit-off-by-one",
        needs=(OVER_THE_LIMIT,),
    )

    def check_length(self, length: int) -> None:
        if length >= self.limit:  # BUG: >
            raise RefusedError(length)


class LimitCountsHeader(FaultyServer):
    bug: Bug = Bug(
        "limit-counts-header",
        summary="compares the frame with its header to the limit",
        works="No test tries the limit itself.",
        shows="Payloads of the last four lengths up to the limit end the connection.",
        fix="The limit is one for payloads; so is the length in the header: compare these.",
        source="classroom habit: char buffer[LIMIT] for header and payload",
        fails=("1.7",),
        cause="limit-counts-header",
        needs=(FIXED_SIZE, TWO_BYTES, OVER_THE_LIMIT),
    )

    def check_length(self, length: int) -> None:
        if length + self.format.header_bytes > self.limit:  # BUG: length
            raise RefusedError(length)


class RoundedLimit(FaultyServer):
    bug: Bug = Bug(
        "rounded-limit",
        summary="compares whole KiB, so that up to 1023 bytes over the limit pass",
        works="No test tries the limit itself.",
        shows="A frame over the limit is echoed.",
        fix="Compare bytes with bytes.",
        source="classroom habit: a limit in KiB, and an integer division",
        fails=("4.1", "4.2"),
        cause="limit-not-enforced",
        needs=(OVER_THE_LIMIT,),
    )

    def check_length(self, length: int) -> None:
        if length // 1024 > self.limit // 1024:  # BUG: rounds the length down
            raise RefusedError(length)


class NoLimit(FaultyServer):
    bug: Bug = Bug(
        "no-limit",
        summary="believes any length",
        works=_POLITE,
        shows="A client that speaks HTTP is waited for until 1.2 GB have come; memory is its to fill.",
        fix="Have a limit, and refuse a length over it when the header is complete.",
        source="em-websocket, frames of up to 4 GB: https://github.com/igrigorik/em-websocket/issues/49",
        fails=("4.1", "4.2", "4.3", "4.4", "4.5"),
        cause="no-limit",
        needs=(OVER_THE_LIMIT,),
    )

    def check_length(self, length: int) -> None:
        pass  # BUG: no limit


class LimitCheckedLate(FaultyServer):
    bug: Bug = Bug(
        "limit-checked-late",
        summary="compares a payload with the limit when all of it is there",
        works="It refuses what is too long, as it should.",
        shows="Memory is filled before anything is refused; a header over the limit alone is waited on.",
        fix="Compare the length when the header is complete.",
        source="ws-rs, too late when on_message is called: https://github.com/housleyjk/ws-rs/issues/117",
        fails=("4.2", "4.3", "4.4", "4.5"),
        cause="limit-checked-late",
        needs=(OVER_THE_LIMIT,),
    )

    def read_frame(self, connection: ClientSocket) -> bytes | None:
        header = self.read_header(connection)
        if header is None:
            return None
        payload = self.read_payload(connection, self.decode_length(header))
        if payload is None or not self.read_trailer(connection, header):
            return None
        self.check_length(len(payload))  # BUG: by now it has been stored
        return payload


class TrustsLength(FaultyServer):
    bug: Bug = Bug(
        "trusts-length",
        summary="takes memory for a payload before any of it has come",
        works=_POLITE,
        shows="A few clients that announce much and send little take all the memory there is.",
        fix="Let the buffer grow with the bytes that come.",
        source="KeibiDrop, out of memory by a length prefix: https://github.com/KeibiSoft/KeibiDrop/issues/52",
        fails=("4.9",),
        cause="trusts-length",
        needs=(lengths_over(128 << 20),),
    )

    default_limit = 512 << 20

    def read_payload(self, connection: ClientSocket, length: int) -> bytes | None:
        buffer = bytearray(length)  # BUG: memory for what was only announced
        received = 0
        while received < length:
            piece = connection.recv(min(length - received, RECV_BYTES))
            if not piece:
                return None
            buffer[received : received + len(piece)] = piece
            received += len(piece)
        return bytes(buffer)
