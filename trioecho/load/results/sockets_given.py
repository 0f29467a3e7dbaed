"""What the kernel gave to the sockets of a load."""

from __future__ import annotations

from dataclasses import dataclass

from ..socket_options import SocketOptions, dscp_in_words


@dataclass(frozen=True)
class SocketsGiven:
    """What the first connection of a process had when it was open, whatever was asked for.

    Attributes:
      nodelay: whether small segments are sent at once.
      send_buffer: bytes. Linux doubles what is asked for, since it keeps its own records there, too.
      receive_buffer: bytes; likewise.
      congestion: the algorithm of congestion control; None where the system does not say.
      mss: the largest segment, in bytes, at that time; likewise.
      dscp: the code point of packets; likewise.
    """

    nodelay: bool
    send_buffer: int
    receive_buffer: int
    congestion: str | None = None
    mss: int | None = None
    dscp: int | None = None

    def in_words(self, asked: SocketOptions) -> str:
        """Return what was given where something was asked for, a phrase; empty if nothing was."""
        words = []
        if asked.send_buffer is not None:
            words.append(f"send buffer {self.send_buffer:,} B")
        if asked.receive_buffer is not None:
            words.append(f"receive buffer {self.receive_buffer:,} B")
        if asked.congestion is not None and self.congestion is not None:
            words.append(f"congestion control {self.congestion}")
        if asked.mss is not None and self.mss is not None:
            words.append(f"segments of {self.mss:,} B")
        if asked.dscp is not None and self.dscp is not None:
            words.append(f"DSCP {dscp_in_words(self.dscp)}")
        if not asked.nodelay:
            words.append("no Nagle" if self.nodelay else "Nagle's algorithm")
        return ", ".join(words)
