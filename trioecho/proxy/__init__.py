"""A proxy that does to a connection what networks and bad peers do.

`trioecho.proxy.faults` decides what becomes of the bytes, and does no input or
output; `trioecho.proxy.relay` moves them.
"""

from __future__ import annotations

from .faults import CLEAN, Cut, Faults, FaultStream, FrameFault, Send, Step
from .relay import Direction, relay_connections

__all__ = [
    "CLEAN",
    "Cut",
    "Direction",
    "FaultStream",
    "Faults",
    "FrameFault",
    "Send",
    "Step",
    "relay_connections",
]
