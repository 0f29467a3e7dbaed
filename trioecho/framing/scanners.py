"""Which scanner a decoder has."""

from __future__ import annotations

import functools

from ..base.build import IS_COMPILED
from .frame_format import FrameFormat
from .layout import Layout, NumberKind
from .layout_scanning import LayoutScanner, VarintScanner
from .native_scanning import MOST_NATIVE, NativeScanner
from .scanning import Scanner, StructScanner


@functools.lru_cache
def scanner_of(frame_format: FrameFormat, max_frame_length: int) -> Scanner:
    """Return what finds frames of that format and limit; all decoders of a server share it."""
    layout = frame_format._layout
    if layout is not None:
        number = layout.number
        if number.kind is NumberKind.VARINT and Layout(number) == layout:
            return VarintScanner(number.most, max_frame_length)
        return LayoutScanner(layout, max_frame_length)
    if IS_COMPILED and max_frame_length < MOST_NATIVE:
        return NativeScanner(frame_format, max_frame_length)
    return StructScanner(frame_format, max_frame_length)
