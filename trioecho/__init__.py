"""Length-prefixed frames on Trio: a decoder, a channel, and a server that stays up.

``await serve_frames(echo, await trio.open_tcp_listeners(50666))`` serves echoes;
a handler of your own goes where ``echo`` is. ``trioecho --help`` has the commands.
"""

from __future__ import annotations

from .channel import FrameChannel
from .client import open_frame_channel
from .clock import CounterClock
from .errors import (
    ClockError,
    FrameTimeoutError,
    FrameTooLargeError,
    FrameTooSmallError,
    IdleTimeoutError,
    IncompleteFrameError,
    LocalProtocolError,
    PayloadTooLargeError,
    ProtocolError,
    RemoteProtocolError,
    WriteTimeoutError,
)
from .framing import (
    DEFAULT_MAX_FRAME_LENGTH,
    FrameDecoder,
    FrameFormat,
    FrameRun,
    ReceiveBuffer,
    encode_frame,
)
from .limits import Limits
from .metrics import Report, ServiceTime
from .server import FrameServer, Handler, ServeResult, echo, reply_with, serve_frames

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MAX_FRAME_LENGTH",
    "ClockError",
    "CounterClock",
    "FrameChannel",
    "FrameDecoder",
    "FrameFormat",
    "FrameRun",
    "FrameServer",
    "FrameTimeoutError",
    "FrameTooLargeError",
    "FrameTooSmallError",
    "Handler",
    "IdleTimeoutError",
    "IncompleteFrameError",
    "Limits",
    "LocalProtocolError",
    "PayloadTooLargeError",
    "ProtocolError",
    "ReceiveBuffer",
    "RemoteProtocolError",
    "Report",
    "ServeResult",
    "ServiceTime",
    "WriteTimeoutError",
    "echo",
    "encode_frame",
    "open_frame_channel",
    "reply_with",
    "serve_frames",
]
