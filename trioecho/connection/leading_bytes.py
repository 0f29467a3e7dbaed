"""Receives what comes before the first frame of a connection, and not a byte more."""

from __future__ import annotations

import trio

from .transport import STREAM_ARRIVED_S, SocketTransport, StreamTransport, Transport, lost_error


async def receive_at_most(transport: Transport, most: int, *, only_arrived: bool = False) -> bytes | None:
    """Receive something, at most that many bytes; none at the peer's end. A checkpoint if it has to wait.

    Args:
      transport: plain: what is before TLS is not encrypted.
      most: how many bytes.
      only_arrived: whether to return None where nothing is here already.

    Raises:
      ConnectionLostError: the connection is lost.
      trio.ClosedResourceError: it was closed here.
    """
    if isinstance(transport, SocketTransport):
        while True:
            try:
                return transport.socket.recv(most)
            except BlockingIOError:
                if only_arrived:
                    return None
            except OSError as error:
                raise transport.translate_error(error) from error
            await transport.wait_readable()
    if not isinstance(transport, StreamTransport):
        raise TypeError(f"nothing comes before the first frame of a {type(transport).__name__}")
    with trio.move_on_after(STREAM_ARRIVED_S if only_arrived else float("inf")):
        try:
            return bytes(await transport._stream.receive_some(most))
        except trio.BrokenResourceError as error:
            raise lost_error(error) from error
    return None
