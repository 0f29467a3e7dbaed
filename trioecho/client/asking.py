"""Ask a server that does not reply to frames of one format what it is instead."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Literal

import trio

from ..base.connect import open_stream
from ..framing import FrameFormat, encode_frame
from .strange_replies import name_of_service

# Many services speak only when a line is complete.
_HTTP_QUESTION = b"GET / HTTP/1.0\r\n\r\n"
_PAYLOAD = b"are you an echo?"
# For each question, of which there are five at most.
_PATIENCE_S = 0.5


async def ask_what_it_is(
    host: str, port: int, format: FrameFormat, *, sends_frames: bool = True, has_tls_option: bool = False
) -> str | None:
    """Ask the server what it is, and in the formats that are most often mistaken for this one.

    Each question has a connection of its own, for half a second.

    Args:
      host: where the server listens.
      port: likewise.
      format: in which it does not reply.
      sends_frames: whether to ask in other formats, too. A service that is no echo may act on them.
      has_tls_option: whether the command that asks can be told to use TLS.

    Returns:
      What it is or does, as the end of a sentence that begins with its address; None if
      the replies do not show it.
    """
    for question in (_HTTP_QUESTION, _client_hello()):
        reply = await _reply_to(host, port, question)
        if reply == question:
            return None  # a server that sends back every byte is an echo of every format
        # The beginning of an echo is no reply, whatever it looks like.
        if not question.startswith(reply[: len(question)]) and (name := name_of_service(reply)):
            return f"{name}: give --tls" if has_tls_option and name == "is a TLS server" else name
    for candidate in _similar(format) if sends_frames else ():
        frame = encode_frame(_PAYLOAD, format=candidate)
        if await _reply_to(host, port, frame) == frame:
            return f"replies to frames whose headers are {candidate}, not {format}: give --format {candidate}"
    return None


def _client_hello() -> bytes:
    """Return what a TLS client sends first; a TLS server replies to nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    ours = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), ours).do_handshake()
    return ours.read()


async def _reply_to(host: str, port: int, question: bytes) -> bytes:
    """Return what the server sends, until it has the length of the question, or the time is over."""
    received = b""
    with trio.move_on_after(_PATIENCE_S):
        try:
            async with await open_stream(host, port) as stream:
                await stream.send_all(question)
                while len(received) < len(question) and (data := await stream.receive_some()):
                    received += data
        except (OSError, UnicodeError, trio.BrokenResourceError):
            pass
    return received


def _similar(format: FrameFormat) -> Iterator[FrameFormat]:
    """Yield the formats with the other byte order, with the other way to count the header, and with both."""
    if not format.is_plain:
        return  # it has too many relatives
    other: Literal["big", "little"] = "little" if format.byte_order == "big" else "big"
    orders = (format.byte_order,) if format.header_bytes == 1 else (other, format.byte_order)
    for includes_header in (format.length_includes_header, not format.length_includes_header):
        for order in orders:
            candidate = FrameFormat(format.header_bytes, order, includes_header)
            if candidate != format:
                yield candidate
