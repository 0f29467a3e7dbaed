"""Read what the kernel knows of a TCP connection: TCP_INFO, as Linux has it (tcp(7), linux/tcp.h).

The structure has grown at its end with the years, and never changed before it. So what is read is
as much as the kernel gives: an older one lacks the last fields, and what a younger one has behind them
is not asked for.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import NamedTuple

# Offsets in the structure, and what is there; see linux/tcp.h.
_FIELDS = struct.Struct(
    "="
    "8x I 56x"  # 8: rto
    "2I 4x I 16x I"  # 68: rtt, rttvar; 80: snd_cwnd; 100: total_retrans
    "40x 2I 4x I 8x"  # 144: notsent_bytes, min_rtt; 156: data_segs_out
    "3Q"  # 168: busy_time, rwnd_limited, sndbuf_limited
    "24x I 4x I"  # 216: dsack_dups; 224: rcv_ooopack
)
# Up to total_retrans: Linux 2.6 has no more.
_LEAST_BYTES = 104
# Where each of the optional fields ends.
_MIN_RTT_ENDS = 152
_DATA_SEGMENTS_END = 160
_TIMES_END = 192
_NEEDLESS_ENDS = 220
_OUT_OF_ORDER_ENDS = 228
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
# "No value" of tcpi_min_rtt, before there was a measurement.
_NO_MIN_RTT = 0xFFFFFFFF

HAS_TCP_INFO: bool = _TCP_INFO is not None
"""Whether this system has it in the layout that is known here."""


class TcpInfo(NamedTuple):
    """What the kernel knew of a connection at a moment. Times are in microseconds.

    Attributes:
      rto_us: after this time without an acknowledgement it sends again (retransmission timeout).
      rtt_us: the smoothed round-trip time; 0 before the first measurement.
      rtt_deviation_us: its mean deviation.
      congestion_window: segments that it may have in flight.
      retransmits: segments that were sent again, since the connection began.
      unsent_bytes: what was accepted from the program and never sent yet; None where the kernel is too old,
        as for all that follow.
      least_rtt_us: the shortest round trip of late; None before the first measurement, too.
      data_segments: segments with data that were sent, those that were sent again included.
      busy_us: the time in which there was something to send or to be acknowledged.
      window_limited_us: that of it in which the peer's receive window had no room.
      buffer_limited_us: that in which the send buffer was too small for more.
      needless_retransmits: segments that were sent again although the peer had them, as it said (D-SACK,
        RFC 2883): it was slow to acknowledge them, and none was lost.
      out_of_order: segments that came out of order: others before them were late, or lost.
    """

    rto_us: int
    rtt_us: int
    rtt_deviation_us: int
    congestion_window: int
    retransmits: int
    unsent_bytes: int | None = None
    least_rtt_us: int | None = None
    data_segments: int | None = None
    busy_us: int | None = None
    window_limited_us: int | None = None
    buffer_limited_us: int | None = None
    needless_retransmits: int | None = None
    out_of_order: int | None = None


def parse_tcp_info(data: bytes) -> TcpInfo:
    """Return what a ``struct tcp_info`` of any length says.

    Raises:
      ValueError: it is shorter than that of the oldest kernel that is known.
    """
    size = len(data)
    if size >= _OUT_OF_ORDER_ENDS:
        values = _FIELDS.unpack_from(data)
        least = values[6]
        return TcpInfo(*values) if least != _NO_MIN_RTT else TcpInfo(*values)._replace(least_rtt_us=None)
    if size < _LEAST_BYTES:
        raise ValueError(f"a struct tcp_info has {_LEAST_BYTES} bytes at least, not {size}")
    values = _FIELDS.unpack_from(data.ljust(_FIELDS.size, b"\0"))
    info = TcpInfo(*values[:5])
    if size >= _MIN_RTT_ENDS:
        least = values[6]
        info = info._replace(unsent_bytes=values[5], least_rtt_us=None if least == _NO_MIN_RTT else least)
    if size >= _DATA_SEGMENTS_END:
        info = info._replace(data_segments=values[7])
    if size >= _TIMES_END:
        info = info._replace(busy_us=values[8], window_limited_us=values[9], buffer_limited_us=values[10])
    if size >= _NEEDLESS_ENDS:
        info = info._replace(needless_retransmits=values[11])
    return info


def read_tcp_info(sock: socket.socket) -> TcpInfo | None:
    """Return what the kernel knows of a TCP socket; None where it does not say.

    That is another system than Linux, another kind of socket, or one that is closed.
    """
    if _TCP_INFO is None:
        return None
    try:
        return parse_tcp_info(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _OUT_OF_ORDER_ENDS))
    except (OSError, ValueError):
        return None
