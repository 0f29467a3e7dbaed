"""Act 2 of the demo: why length-prefix framing survives partial and coalesced reads."""

from __future__ import annotations

import trio

from ..base.quantities import plural
from ..framing import encode_frame
from . import wire
from .page import Page

_WORDS = (b"hello", b"hi")
_CUTS_AT_A_TIME = 1000


async def show_framing(page: Page) -> None:
    """Show act 2: frames are found again whatever TCP does to the bytes."""
    page.heading("2. Why length-prefix framing survives partial and coalesced reads")
    page.paragraph(
        "TCP carries a stream of bytes. It keeps their order, but not where one send ended and the next "
        "began: a receive may return half a header, or several frames at once. The header says how many "
        "bytes of payload follow, so the bytes say where a frame ends, however they arrived. The "
        "decoder hands out what is complete, keeps what is not, and goes on when more comes."
    )
    stream = b"".join(encode_frame(word) for word in _WORDS)
    page.line()
    page.line(f"Coalesced: two frames, {len(stream)} bytes, in one send call:")
    for line in wire.hex_with_meaning(_WORDS):
        page.line(f"  {line}")
    received = await wire.over_tcp([stream])
    sizes = " + ".join(str(len(data)) for data in received)
    page.line(f"received over TCP by {plural(len(received), 'receive call')}: {sizes} bytes")
    coalesced = wire.frames_in(received)
    page.line(f"the decoder finds {plural(len(coalesced), 'frame')}: {_quoted(coalesced)}")
    page.line()

    page.line(f"Partial: the same {len(stream)} bytes, in a send call each:")
    pieces = await wire.over_tcp([bytes([byte]) for byte in stream])
    readings = list(wire.read_pieces(pieces))
    for line in wire.wire_table(readings):
        page.line(line)
    partial = [payload for reading in readings for payload in reading.frames]
    page.line()
    saw = (
        f"the decoder saw the {len(_WORDS)} that were sent, both times"
        if coalesced == partial == list(_WORDS)
        else f"but the decoder saw {_quoted(coalesced)} and {_quoted(partial)}, which is WRONG"
    )
    page.paragraph(
        f"A reader that took each receive for a message would have seen {plural(len(received), 'message')} "
        f"in the first case and {plural(len(pieces), 'message')} in the second; {saw}."
    )
    cuts = right = 0
    for cut in wire.all_cuts(stream):
        cuts += 1
        right += wire.frames_in(cut) == list(_WORDS)
        if cuts % _CUTS_AT_A_TIME == 0:
            await trio.lowlevel.checkpoint()
    page.paragraph(
        f"There are {cuts:,} ways to cut these {len(stream)} bytes into pieces; tried one by one, {right:,} "
        f"of them give the same {len(_WORDS)} frames."
    )
    page.claim(
        coalesced == partial == list(_WORDS) and right == cuts,
        f"Framing: {plural(len(received), 'receive')} or {len(pieces)}, the same {len(_WORDS)} frames; "
        f"so for {right:,} of {cuts:,} ways to cut them",
    )


def _quoted(payloads: list[bytes]) -> str:
    return ", ".join(f'"{payload.decode("ascii", "backslashreplace")}"' for payload in payloads)
