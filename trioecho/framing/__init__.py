"""Length-prefixed frames, without input or output.

A frame on the wire, in the default format::

    +----+----+----+----+----------------- - - -+
    |  N, unsigned,     |  payload, N bytes      |
    |  big-endian       |  (N may be 0)          |
    +----+----+----+----+----------------- - - -+
      header, 4 bytes

TCP carries bytes, not messages: one receive may give half a header or a
thousand frames. A `FrameDecoder` takes the bytes as they come and gives the
frames back as they were sent:

>>> decoder = FrameDecoder()
>>> decoder.receive_data(encode_frame(b"hello") + encode_frame(b"world")[:6])
>>> decoder.next_frame(), decoder.next_frame()
(b'hello', None)
>>> decoder.receive_data(encode_frame(b"world")[6:])
>>> decoder.next_frame()
b'world'

Nothing here waits, sends or knows the time, so all of it can be tested with
bytes alone (https://sans-io.readthedocs.io).
"""

from __future__ import annotations

from .connection_decoder import ConnectionDecoder
from .decoder import FrameBatch, FrameDecoder
from .diagnosis import RAISE_LIMIT, diagnose
from .foreign_protocols import recognize
from .format_language import FormatSyntaxError, parse_layout
from .frame_format import DEFAULT_MAX_FRAME_LENGTH, Frame, FrameFormat, encode_frame
from .large_frame import BlockPool
from .presets import PRESETS, Preset
from .receive_buffer import ReceiveBuffer

__all__ = [
    "DEFAULT_MAX_FRAME_LENGTH",
    "PRESETS",
    "RAISE_LIMIT",
    "BlockPool",
    "ConnectionDecoder",
    "FormatSyntaxError",
    "Frame",
    "FrameBatch",
    "FrameDecoder",
    "FrameFormat",
    "Preset",
    "ReceiveBuffer",
    "diagnose",
    "encode_frame",
    "parse_layout",
    "recognize",
]
