"""Frames, as the command line has them, in the words of the faulty servers and clients."""

from __future__ import annotations

from ..faulty.header_format import HeaderFormat
from ..framing import FrameFormat, parse_layout


def header_format_of(format: FrameFormat) -> HeaderFormat:
    """Describe frames for the faulty servers and clients, which have their own idea of them."""
    layout = parse_layout(str(format))
    number = layout.number
    return HeaderFormat(
        kind=number.kind.value,
        least=number.least,
        most=number.most,
        byte_order=number.byte_order,
        flags=number.flags,
        counted=layout.counted,
        before=layout.before,
        behind=layout.behind,
        trailer=layout.trailer,
        padding_at=layout.padding_at,
    )
