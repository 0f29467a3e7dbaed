"""Bugs in how replies are received: a stream taken for messages."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..bug import Bug
from ..need import BIG_ENDIAN, FIXED_SIZE, PLAIN, TWO_BYTES, lengths_over
from .honest import RECV_BYTES, FaultyClient, PipeliningClient, WrongReplyError

_ON_LOOPBACK = "On loopback a small frame that is sent by one call arrives whole, every time."
_HABIT = "classroom habit"
# Between two messages of a client that would stumble over replies which TCP merges by chance.
_APART_S = 0.03
_SURE_S = 1.5
_MANY, _LARGE_BYTES = 256, 1 << 16


class OneRecvPerMessage(FaultyClient):
    bug: Bug = Bug(
        "one-recv-per-message",
        summary="takes what one recv gives for a reply",
        works=_ON_LOOPBACK,
        shows="A reply that arrives in pieces is taken for a wrong one.",
        fix="Receive in a loop until the header is complete, then until the payload is.",
        source=_HABIT,
        fails=("C1.2", "C1.3", "C1.4", "C1.5"),
        cause="one-recv-per-reply",
    )

    def read_reply(self, payload: bytes) -> bytes:
        received = self.receive(1024)  # BUG: up to 1024 bytes, and perhaps one
        header_bytes = self.format.size_in(received)
        if header_bytes is None:
            return b""
        trailer_bytes = self.format.trailer_bytes(received[:header_bytes])
        return received[header_bytes : len(received) - trailer_bytes]


class HeaderInOneRecv(FaultyClient):
    bug: Bug = Bug(
        "header-in-one-recv",
        summary="takes recv(4) for four bytes",
        works=_ON_LOOPBACK,
        shows="A header that arrives in two pieces is read as another length.",
        fix="Receive in a loop until the header is complete.",
        source="WatsonTcp, the header read in part: https://github.com/dotnet/WatsonTcp/issues/299",
        fails=("C1.2", "C1.3"),
        cause="reply-header-taken-whole",
        needs=(FIXED_SIZE, TWO_BYTES),
    )

    def read_header(self) -> bytes:
        header = self.receive(self.format.header_bytes)  # BUG: one byte is a header as well
        if not header:
            raise WrongReplyError("the server ended the connection")
        return header


class PayloadInOneRecv(FaultyClient):
    bug: Bug = Bug(
        "payload-in-one-recv",
        summary="takes recv(n) for n bytes",
        works=_ON_LOOPBACK,
        shows="A payload that arrives in pieces comes back short.",
        fix="Receive in a loop until all of it is there.",
        source="ddb, wrong types and lengths over a network: https://github.com/pszturmaj/ddb/issues/2",
        fails=("C1.2", "C1.5"),
        cause="reply-payload-taken-whole",
    )

    def read_payload(self, length: int) -> bytes:
        return self.receive(length) if length else b""  # BUG: up to `length` bytes


class _Unhurried(PipeliningClient):
    """Sends its messages a little apart, so that replies are merged only by a server that merges them."""

    def send_all(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            super().send_all([payload])
            time.sleep(_APART_S)

    def read_replies(self, payloads: list[bytes]) -> None:
        replies = self.replies()
        for number, payload in enumerate(payloads, 1):
            self.begin_wait()
            self.compare(number, payload, next(replies))

    def replies(self) -> Iterator[bytes]:
        """Return the replies as they come."""
        raise NotImplementedError

    def first(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the payload of the first whole frame, and what is behind it; None if there is none."""
        header_bytes = self.format.size_in(data)
        if header_bytes is None:
            return None
        header = data[:header_bytes]
        length = self.decode_length(header)
        self.check_length(length)
        trailer = header_bytes + length
        end = trailer + self.format.trailer_bytes(header)
        if len(data) < end:
            return None
        self.format.check_trailer(data[trailer:end])
        return data[header_bytes:trailer], data[end:]

    def more(self) -> bytes:
        """Receive something.

        Raises:
          WrongReplyError: the stream has ended.
        """
        data = self.receive(RECV_BYTES)
        if not data:
            raise WrongReplyError("the server ended the connection before a reply was whole")
        return data


class OneReplyPerRecv(_Unhurried, FaultyClient):
    bug: Bug = Bug(
        "one-reply-per-recv",
        summary="takes one reply out of what a recv gives, and drops the others",
        works="Replies that come one at a time arrive one at a time.",
        shows="Of several replies in a segment only the first is seen.",
        fix="Take replies out of the buffer in a loop, until none is complete.",
        source="Prodigy delivery system, all frames of a read and not just the first: "
        "https://github.com/ProdigyReloaded/delivery-system/pull/126",
        fails=("C1.6",),
        may_fail=("C1", "C2", "C3", "C4", "C5"),  # TCP may merge replies at any time
        cause="one-reply-per-recv",
    )

    def replies(self) -> Iterator[bytes]:
        data = b""
        while True:
            if (found := self.first(data)) is not None:
                yield found[0]
                data = b""  # BUG: there may be more behind it
            data += self.more()


class DropsBeginning(_Unhurried, FaultyClient):
    bug: Bug = Bug(
        "drops-beginning",
        summary="throws away the beginning of a reply that came with the end of another",
        works="A server that sends whole replies rarely has them cut.",
        shows="Replies vanish when a segment ends in the middle of one.",
        fix="Keep what is left behind the last whole reply; put what comes next behind it.",
        source="HiSocket, data dropped when parsing fails: https://github.com/hiram3512/HiSocket/issues/20",
        fails=("C1.7",),
        may_fail=("C1",),
        cause="drops-rest-of-reply",
    )

    def replies(self) -> Iterator[bytes]:
        data = b""
        while True:
            data += self.more()
            if self.first(data) is None:
                continue
            while (found := self.first(data)) is not None:
                payload, data = found
                yield payload
            data = b""  # BUG: the beginning of the next reply


class GivesUpEarly(FaultyClient):
    timeout_s: float = 0.5  # BUG: too short for a server that is busy, or far away
    bug: Bug = Bug(
        "gives-up-early",
        summary="gives up after half a second",
        works="On loopback a reply takes less than a millisecond.",
        shows="It fails whenever a segment was lost, or the server had something else to do.",
        fix="Wait for some seconds.",
        source=_HABIT,
        fails=("C1.8",),
        may_fail=("C1", "C5.2"),  # on a busy machine
        cause="gives-up-early",
    )


class EndIsFailure(FaultyClient):
    bug: Bug = Bug(
        "end-is-failure",
        summary="takes the end of the stream for a failure, though every reply has come",
        works="Most servers let the client end first.",
        shows="It fails with a server that ends the connection right behind the last reply.",
        fix="Look for the end of the stream only as long as a reply is missing.",
        source="RFC 9293, 3.6",
        fails=("C1.9",),
        cause="end-taken-for-failure",
    )

    def finish(self) -> None:
        self.sock.settimeout(_SURE_S)
        try:
            if self.sock.recv(1) == b"":  # BUG: who has all replies needs no more
                raise WrongReplyError("the server ended the connection")
        except TimeoutError:
            pass


class SendsAllFirst(PipeliningClient, FaultyClient):
    messages: int = _MANY
    size: int = _LARGE_BYTES
    bug: Bug = Bug(
        "sends-all-first",
        summary="sends all messages before it reads a reply",
        works="As long as all finds room in the buffers, nobody waits.",
        shows="With some megabytes both sides wait for each other, without end.",
        fix="Read while you send, or keep only some messages under way.",
        source="send(2): where there is no room a send waits",
        fails=("C1.10",),
        cause="sends-all-before-it-reads",
        needs=(lengths_over(65_534),),
    )

    def converse(self) -> None:
        for payload in self.payloads():
            self.send(payload)
        self.read_replies(self.payloads())  # BUG: the server may wait for that since long ago


class SwapsBytes(FaultyClient):
    bug: Bug = Bug(
        "swaps-bytes",
        summary="writes and reads lengths in the machine's byte order",
        works="With a server that does the same it does.",
        shows="No other server understands a word.",
        fix="Use network byte order: struct.pack('>I', length).",
        source=_HABIT,
        fails=("C1.1",),
        may_fail=("C1", "C2", "C3", "C4", "C5"),
        cause="client-sends-other-frames",
        needs=(PLAIN, BIG_ENDIAN),
    )

    def encode_length(self, length: int) -> bytes:
        return length.to_bytes(self.format.header_bytes, "little")  # BUG: the format has the high byte first

    def decode_length(self, header: bytes) -> int:
        return int.from_bytes(header, "little")  # BUG: likewise


class WaitsForTheEnd(FaultyClient):
    bug: Bug = Bug(
        "waits-for-the-end",
        summary="waits for the server to end the connection first",
        works="With a server that ends it after some messages.",
        shows="With any other it never ends.",
        fix="Close the connection when the last reply has come.",
        source=_HABIT,
        fails=("C1.1",),
        may_fail=("C1", "C2", "C3", "C4", "C5"),
        cause="client-does-not-end",
    )

    def finish(self) -> None:
        self.sock.settimeout(None)
        while self.sock.recv(RECV_BYTES):  # BUG: the server waits for us
            pass
