"""Bugs that change what a frame carries."""

from __future__ import annotations

import time

from .bug import NOTHING_ELSE_IS_TRIED, Bug, FaultyServer
from .honest import ClientSocket
from .need import PLAIN, lengths_over

_TEXT_ONLY = "Its tests send short words in English."


class BareReply(FaultyServer):
    bug: Bug = Bug(
        "bare-reply",
        summary="sends the payload back without a header",
        works="The client's test prints what it receives, and it looks right.",
        shows="The client takes the first four bytes of the payload for a length.",
        fix="A reply is a frame, too.",
        source="classroom habit: framing was meant for requests only",
        fails=("1.2", "1.3", "1.8"),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="no-header-in-reply",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        connection.sendall(payload)  # BUG: where is its length?


class LengthOfText(FaultyServer):
    bug: Bug = Bug(
        "length-of-text",
        summary="counts characters, and sends bytes",
        works=_TEXT_ONLY + " There a character is a byte.",
        shows="The first accent makes the header too small, and the stream is out of step.",
        fix="Count the bytes that are sent; better, leave payloads alone.",
        source="classroom habit: len() of a str",
        fails=("1.8", "1.10", "7.1"),
        cause="length-of-text",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        text = payload.decode(errors="surrogateescape")
        header = self.encode_length(len(text))  # BUG: in characters
        data = text.encode(errors="surrogateescape")
        connection.sendall(header + data + self.format.encode_trailer())


class Text(FaultyServer):
    bug: Bug = Bug(
        "text",
        summary="takes payloads for text in UTF-8",
        works=_TEXT_ONLY,
        shows="Every byte that is no UTF-8 comes back as three others, U+FFFD.",
        fix="Payloads are bytes; keep them so.",
        source="Aver, binary protocols out of reach: https://github.com/jasisz/aver/issues/763",
        fails=("1.8", "1.9", "1.10", "7.1"),
        cause="text-decoding",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        text = payload.decode(errors="replace")  # BUG: what cannot be decoded is lost
        super().write_frame(connection, text.encode())


class Strips(FaultyServer):
    bug: Bug = Bug(
        "strips",
        summary="strips white space from payloads",
        works=_TEXT_ONLY,
        shows="Blanks and line ends at the ends of payloads are gone.",
        fix="Send back what came.",
        source="classroom habit: data = sock.recv(1024).strip(), from examples of line protocols",
        fails=("1.8", "1.10", "7.1"),
        cause="strips-whitespace",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, payload.strip())  # BUG: blanks are content


class CString(FaultyServer):
    bug: Bug = Bug(
        "c-string",
        summary="takes a zero byte for the end of a payload",
        works=_TEXT_ONLY,
        shows="Payloads end at their first zero byte.",
        fix="The length says where a payload ends: memcpy and not strcpy, %.*s and not %s.",
        source="classroom habit: strlen() of what was received",
        fails=("1.8", "1.9", "1.10", "7.1"),
        cause="strips-whitespace",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, payload.split(b"\0")[0])  # BUG: a zero is a byte like any other


class TextMode(FaultyServer):
    bug: Bug = Bug(
        "text-mode",
        summary="takes a payload for one line",
        works=_TEXT_ONLY,
        shows="What comes after a line end is gone.",
        fix="Read by length; a payload may have any bytes in it.",
        source="classroom habit: readline(), from examples of line protocols",
        fails=("1.8", "1.10", "7.1"),
        cause="line-oriented",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        line, line_end, _ = payload.partition(b"\n")  # BUG: a payload may have many lines
        super().write_frame(connection, line + line_end)


class SevenBit(FaultyServer):
    bug: Bug = Bug(
        "seven-bit",
        summary="drops the highest bit of every byte",
        works=_TEXT_ONLY,
        shows="Bytes from 0x80 come back as others.",
        fix="Send back what came.",
        source="classroom habit: ASCII, and & 0x7f, from examples of terminals and mail",
        fails=("1.8", "1.9", "1.10", "7.1"),
        cause="content-changed",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, bytes(byte & 0x7F for byte in payload))  # BUG: a byte has 8 bits


class UpperCase(FaultyServer):
    bug: Bug = Bug(
        "upper-case",
        summary="replies in upper case",
        works="Its tests look whether a reply comes, and print it.",
        shows="Small letters come back as large ones; digits and blanks are right.",
        fix="An echo is what came.",
        source="classroom habit: data.upper(), from the example of socketserver in Python's documentation",
        fails=("1.3", "1.8"),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="case-changed",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, payload.upper())  # BUG: which is not what came


class AddsText(FaultyServer):
    bug: Bug = Bug(
        "adds-text",
        summary='replies with "echo:" before the payload',
        works="A person reads the reply, and finds it helpful.",
        shows="Every payload is five bytes longer than what was sent.",
        fix="An echo is what came, and nothing else.",
        source='classroom habit: sendall(b"echo:" + data)',
        fails=("1.2", "1.3", "1.8"),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="bytes-added",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, b"echo:" + payload)  # BUG: the client did not send that


class AddsTime(FaultyServer):
    bug: Bug = Bug(
        "adds-time",
        summary="puts the time before each payload",
        works="A person reads the reply, and finds it helpful.",
        shows="Every payload is longer than what was sent, and other bytes come each time.",
        fix="An echo is what came; times belong in the log.",
        source="classroom habit: the line of the log is what is sent",
        fails=("1.2", "1.3", "1.8"),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="bytes-added",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        now = f"[{time.time():.6f}] ".encode()
        super().write_frame(connection, now + payload)  # BUG: the client did not send that


class SaysOk(FaultyServer):
    bug: Bug = Bug(
        "says-ok",
        summary='replies "ok" to every frame',
        works="Its client looks whether a reply comes.",
        shows="No payload comes back.",
        fix="Send back the payload.",
        source="classroom habit: an acknowledgement where an echo was asked for",
        fails=("1.2", "1.3", "1.8"),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="same-reply",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, b"ok")  # BUG: and the payload?


class EndsAtQuit(FaultyServer):
    bug: Bug = Bug(
        "ends-at-quit",
        summary='takes the payload "quit" for the end of the session',
        works="Its client sends it last.",
        shows="A message with this word gets no echo, and the connection ends.",
        fix="Echo every payload; the end of the stream is the end of the session.",
        source="classroom habit: from chat servers, where a line is a command",
        fails=("1.10",),
        cause="word-taken-for-command",
    )

    def echo_frames(self, connection: ClientSocket) -> None:
        while (payload := self.read_frame(connection)) is not None and payload != b"quit":  # BUG
            self.write_frame(connection, payload)


class Resynchronizes(FaultyServer):
    bug: Bug = Bug(
        "resynchronizes",
        summary="looks for the beginning of a frame in payloads, in case it has lost count",
        works="Payloads in tests do not look like frames.",
        shows="A payload with a whole frame in it comes back as that frame.",
        fix="Count; TCP loses nothing, so there is nothing to find again.",
        source="classroom habit: from protocols on serial lines, where bytes get lost",
        fails=("1.9",),
        cause="looks-for-header-in-payload",
        needs=(PLAIN,),
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        header_bytes = self.format.header_bytes
        for at in range(min(64, len(payload) - header_bytes)):
            inner = payload[at + header_bytes :]
            if inner and payload[at : at + header_bytes] == self.encode_length(len(inner)):
                payload = inner  # BUG: that was content
                break
        super().write_frame(connection, payload)


class FixedBuffer(FaultyServer):
    bug: Bug = Bug(
        "fixed-buffer",
        summary="has room for 64 KiB less one byte, and cuts off what is longer",
        works="Messages in tests are short.",
        shows="Longer payloads come back cut.",
        fix="Let the buffer grow with what comes, up to a documented limit; refuse what is over it.",
        source="classroom habit: char buffer[65536], with a byte for the zero at the end",
        fails=("1.6", "1.7"),
        cause="fixed-buffer",
        needs=(lengths_over(65_535),),
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        super().write_frame(connection, payload[:65535])  # BUG: the rest is lost
