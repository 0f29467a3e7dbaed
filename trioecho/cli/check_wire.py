"""Headers, as the command line has them, in the words of the suite."""

from __future__ import annotations

from ..check.client.laid_out_wire import LaidOutWire
from ..check.client.wire import Wire
from ..framing import FrameFormat, parse_layout


def wire_of(format: FrameFormat) -> Wire:
    """Describe the headers for the suite, which has its own idea of frames."""
    plain = format.header_bytes, format.byte_order, format.length_includes_header
    if format.is_plain:
        return Wire(*plain)
    layout = parse_layout(str(format))
    number = layout.number
    return LaidOutWire(
        *plain,
        words=str(format),
        kind=number.kind.value,
        most=number.most,
        least=number.least,
        flags=number.flags,
        counted=layout.counted,
        before=layout.before,
        behind=layout.behind,
        trailer=layout.trailer,
        padding_at=layout.padding_at,
    )
