"""A proxy that does to a connection what networks and bad peers do.

`trioecho.proxy.fault_stream` decides which bytes are passed on, `trioecho.proxy.delay_line` when;
neither does input or output. `trioecho.proxy.pump` and `trioecho.proxy.faulty_pump` move
bytes in one direction, `trioecho.proxy.proxied_connection` joins two of them, and
`trioecho.proxy.relay` accepts and connects.
"""

from __future__ import annotations

from .counts import Direction, ProxyCounts, counts_in_words
from .delay_line import DelayLine, TokenBucket
from .fault_stream import FaultStream
from .faults import CLEAN, Cut, Faults, FrameFault, Send, Step
from .recording import WireRecording
from .relay import relay_connections
from .tls_side import ProxyTls

__all__ = [
    "CLEAN",
    "Cut",
    "DelayLine",
    "Direction",
    "FaultStream",
    "Faults",
    "FrameFault",
    "ProxyCounts",
    "ProxyTls",
    "Send",
    "Step",
    "TokenBucket",
    "WireRecording",
    "counts_in_words",
    "relay_connections",
]
