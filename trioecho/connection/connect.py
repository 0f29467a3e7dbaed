"""Opens a connection to a framed service: `open_frame_channel`."""

from __future__ import annotations

import trio

from ..base.connect import open_tcp_stream
from ..framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from .channel import FrameChannel


async def open_frame_channel(
    host: str,
    port: int,
    *,
    format: FrameFormat | None = None,
    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    idle_timeout_s: float = 0,
    frame_timeout_s: float = 0,
    write_timeout_s: float = 0,
) -> FrameChannel:
    """Connect to a framed service.

    Args:
      host: a name or an address; of a name all addresses are tried (RFC 8305).
      port: the TCP port.
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have, in either direction.
      idle_timeout_s: a clock of the channel, in seconds, as in `Limits`; 0, the
        default here, is off. None of the three limits how long it takes to connect;
        for that use `trio.fail_after`.
      frame_timeout_s: likewise.
      write_timeout_s: likewise.

    Raises:
      ValueError: a size, a clock or a format that cannot be.
      OSError: no address could be connected to, a port of this machine on which nobody
        listens among them (a socket can meet itself there). A cancelled call leaves nothing open.
    """
    stream = await open_tcp_stream(host, port)
    try:
        return FrameChannel(
            stream,
            format=format,
            max_frame_length=max_frame_length,
            idle_timeout_s=idle_timeout_s,
            frame_timeout_s=frame_timeout_s,
            write_timeout_s=write_timeout_s,
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
