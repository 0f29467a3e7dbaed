"""Where several rules come from."""

from __future__ import annotations

RUBRIC = "the course rubric"
BYTE_STREAM = "RFC 9293, 2.2: TCP is a byte stream; RFC 1122, 4.2.2.2: PSH is no record mark"
ERLANG = "Erlang {packet, 4}"
NETTY = "Netty LengthFieldBasedFrameDecoder"
TOKIO = "tokio-util LengthDelimitedCodec"
