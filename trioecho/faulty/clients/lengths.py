"""Bugs in what is believed of a length."""

from __future__ import annotations

from ..bug import Bug
from ..need import NO_TRAILER, PLAIN, UNSIGNED, lengths_over
from .honest import RECV_BYTES, FaultyClient, WrongReplyError

_RIGHT = "A server that is right announces what it sends, and sends what it got."


class MakesRoomFirst(FaultyClient):
    bug: Bug = Bug(
        "makes-room-first",
        summary="takes memory for as many bytes as a header announces",
        works=_RIGHT,
        shows="Four bytes from a server, or from whoever has its place, end the client.",
        fix="Compare the length with that of the message before anything is read.",
        source="CWE-789: memory allocation with excessive size value",
        fails=("C4.2", "C4.4"),
        cause="trusts-reply-length",
        needs=(lengths_over(256 << 20),),
    )

    def check_length(self, length: int) -> None:
        pass

    def read_payload(self, length: int) -> bytes:
        room = bytearray(length)  # BUG: nothing of it has come
        end = 0
        with memoryview(room) as view:
            while end < length:
                piece = self.receive(min(length - end, RECV_BYTES))
                if not piece:
                    raise WrongReplyError("the server ended the connection before a reply was whole")
                view[end : end + len(piece)] = piece
                end += len(piece)
        return bytes(room)


class ReadsWithoutLimit(FaultyClient):
    bug: Bug = Bug(
        "reads-without-limit",
        summary="reads whatever comes, as long as it comes",
        works=_RIGHT,
        shows="A reply without end fills all memory.",
        fix="Compare the length with that of the message before anything is read.",
        source="CWE-770: allocation of resources without limits",
        fails=("C4.4",),
        cause="trusts-reply-length",
        needs=(lengths_over(256 << 20),),
    )

    def check_length(self, length: int) -> None:
        pass  # BUG: any length is read


class ReadsSigned(FaultyClient):
    bug: Bug = Bug(
        "reads-signed",
        summary="reads lengths as signed numbers, and takes a negative one for a sign of life",
        works=_RIGHT,
        shows="A header with its highest bit set is skipped.",
        fix="Read it as an unsigned number: struct.unpack('>I', header).",
        source="CWE-195: signed to unsigned conversion error",
        fails=("C4.3",),
        cause="signed-reply-length",
        needs=(PLAIN, UNSIGNED, lengths_over(65_535)),
    )

    def read_reply(self, payload: bytes) -> bytes:
        length = int.from_bytes(self.read_header(), self.format.byte_order, signed=True)
        if length < 0:
            return self.read_reply(payload)  # BUG: it is enormous, and not negative
        self.check_length(length)
        return self.read_payload(length)


class IgnoresHeader(FaultyClient):
    bug: Bug = Bug(
        "ignores-header",
        summary="reads as many bytes as it has sent, whatever the header says",
        works=_RIGHT,
        shows="What a server adds to the last reply is not seen.",
        fix="Read the header, and as many bytes as it says.",
        source="classroom habit",
        fails=("C4.5",),
        cause="header-ignored",
        needs=(NO_TRAILER,),
    )

    def read_reply(self, payload: bytes) -> bytes:
        self.read_header()
        return self.read_payload(len(payload))  # BUG: the header says how many there are
