"""Length-prefixed frames on Trio: a decoder, a channel, and a server that stays up.

``await serve_frames(echo, await trio.open_tcp_listeners(26066))`` serves echoes;
a handler of your own goes where ``echo`` is. ``trioecho --help`` has the commands.
"""

from __future__ import annotations

# As in `typing`, whose import would take longer than all the rest of this module.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .base.clock import PerfCounterClock
    from .base.tls_files import TlsFiles, TlsFilesError
    from .cli.run_service import run_service
    from .client.frame_client import FrameClient
    from .client.opening import open_frame_client
    from .connection.channel import FrameChannel
    from .connection.connect import open_frame_channel
    from .connection.connection_info import ConnectionInfo
    from .connection.trio_errors import ConnectionLostError, EndOfMessagesError, RequestTimeoutError
    from .errors import (
        ConnectionEndedError,
        DuplicateKeyError,
        FrameTimeoutError,
        FrameTooLargeError,
        FrameTooSmallError,
        IdleTimeoutError,
        IncompleteFrameError,
        LocalProtocolError,
        MalformedFrameError,
        NoReplyError,
        NotConnectedError,
        PayloadTooLargeError,
        PeerTimeoutError,
        ProtocolError,
        RemoteProtocolError,
        UnexpectedReplyError,
        WriteTimeoutError,
    )
    from .framing import (
        DEFAULT_MAX_FRAME_LENGTH,
        FormatSyntaxError,
        Frame,
        FrameBatch,
        FrameDecoder,
        FrameFormat,
        encode_frame,
    )
    from .limits import Limits
    from .server.handlers import Handler, echo, reply_per_connection, reply_with
    from .server.proxy_protocol import ProxyProtocol
    from .server.report import Report, ServiceTime
    from .server.serving import FrameServer, ServeResult, serve_frames
else:
    # Imported when they are first asked for (PEP 562): frames need no Trio, and the
    # command needs to come to where it catches Ctrl-C.
    _HOMES = {
        "PeerTimeoutError": ".errors",
        "ConnectionEndedError": ".errors",
        "ConnectionInfo": ".connection.connection_info",
        "ConnectionLostError": ".connection.trio_errors",
        "PerfCounterClock": ".base.clock",
        "DEFAULT_MAX_FRAME_LENGTH": ".framing",
        "EndOfMessagesError": ".connection.trio_errors",
        "FrameChannel": ".connection.channel",
        "FormatSyntaxError": ".framing",
        "Frame": ".framing",
        "FrameDecoder": ".framing",
        "FrameFormat": ".framing",
        "FrameBatch": ".framing",
        "FrameServer": ".server.serving",
        "FrameTimeoutError": ".errors",
        "FrameTooLargeError": ".errors",
        "FrameTooSmallError": ".errors",
        "Handler": ".server.handlers",
        "IdleTimeoutError": ".errors",
        "IncompleteFrameError": ".errors",
        "Limits": ".limits",
        "LocalProtocolError": ".errors",
        "MalformedFrameError": ".errors",
        "PayloadTooLargeError": ".errors",
        "ProtocolError": ".errors",
        "ProxyProtocol": ".server.proxy_protocol",
        "RemoteProtocolError": ".errors",
        "Report": ".server.report",
        "ServeResult": ".server.serving",
        "ServiceTime": ".server.report",
        "TlsFiles": ".base.tls_files",
        "TlsFilesError": ".base.tls_files",
        "WriteTimeoutError": ".errors",
        "echo": ".server.handlers",
        "encode_frame": ".framing",
        "open_frame_channel": ".connection.connect",
        "reply_per_connection": ".server.handlers",
        "reply_with": ".server.handlers",
        "run_service": ".cli.run_service",
        "serve_frames": ".server.serving",
        "FrameClient": ".client.frame_client",
        "open_frame_client": ".client.opening",
        "DuplicateKeyError": ".errors",
        "NoReplyError": ".errors",
        "NotConnectedError": ".errors",
        "UnexpectedReplyError": ".errors",
        "RequestTimeoutError": ".connection.trio_errors",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *_HOMES})


__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MAX_FRAME_LENGTH",
    "ConnectionEndedError",
    "ConnectionInfo",
    "ConnectionLostError",
    "DuplicateKeyError",
    "EndOfMessagesError",
    "FormatSyntaxError",
    "Frame",
    "FrameBatch",
    "FrameChannel",
    "FrameClient",
    "FrameDecoder",
    "FrameFormat",
    "FrameServer",
    "FrameTimeoutError",
    "FrameTooLargeError",
    "FrameTooSmallError",
    "Handler",
    "IdleTimeoutError",
    "IncompleteFrameError",
    "Limits",
    "LocalProtocolError",
    "MalformedFrameError",
    "NoReplyError",
    "NotConnectedError",
    "PayloadTooLargeError",
    "PeerTimeoutError",
    "PerfCounterClock",
    "ProtocolError",
    "ProxyProtocol",
    "RemoteProtocolError",
    "Report",
    "RequestTimeoutError",
    "ServeResult",
    "ServiceTime",
    "TlsFiles",
    "TlsFilesError",
    "UnexpectedReplyError",
    "WriteTimeoutError",
    "echo",
    "encode_frame",
    "open_frame_channel",
    "open_frame_client",
    "reply_per_connection",
    "reply_with",
    "run_service",
    "serve_frames",
]
