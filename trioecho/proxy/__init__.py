"""A proxy that does to a connection what networks and bad peers do.

`trioecho.proxy.fault_stream` decides which bytes are passed on, `trioecho.proxy.delay_line` when;
neither does input or output. `trioecho.proxy.pump` and `trioecho.proxy.faulty_pump` move
bytes in one direction, `trioecho.proxy.proxied_connection` joins two of them, and
`trioecho.proxy.relay` accepts and connects. `trioecho.proxy.proxy_set` has several of those, which
can be changed while they run; the words for their faults are in `trioecho.proxy.fault_kinds`.
"""

from __future__ import annotations

from .circles import circle_in_words, circle_through
from .connection_limits import WHEN_FULL, ConnectionLimits
from .counts import Direction, ProxyCounts, counts_as_object, counts_in_words
from .delay_line import DelayLine, TokenBucket
from .fault_kinds import KINDS, PARAMETERS, FaultKind, FaultParameter
from .fault_stream import FaultStream
from .faults import CLEAN, Cut, Faults, FrameFault, FrameRule, NumbersOf, Send, Step
from .listening import CannotListenThereError
from .managed_proxy import ManagedProxy
from .named_fault import ConflictError, NamedFault, NotThereError, ProxyRequestError, read_fault
from .proxy_set import MOST_PROXIES, ProxySet
from .proxy_settings import ProxySettings, find_fault, format_target, read_proxy, read_target
from .recording import WireRecording
from .relay import Relay, relay_connections
from .timed_file import TimedFileRecording
from .tls_side import ProxyTls

__all__ = [
    "CLEAN",
    "KINDS",
    "MOST_PROXIES",
    "PARAMETERS",
    "WHEN_FULL",
    "CannotListenThereError",
    "ConflictError",
    "ConnectionLimits",
    "Cut",
    "DelayLine",
    "Direction",
    "FaultKind",
    "FaultParameter",
    "FaultStream",
    "Faults",
    "FrameFault",
    "FrameRule",
    "ManagedProxy",
    "NamedFault",
    "NotThereError",
    "NumbersOf",
    "ProxyCounts",
    "ProxyRequestError",
    "ProxySet",
    "ProxySettings",
    "ProxyTls",
    "Relay",
    "Send",
    "Step",
    "TimedFileRecording",
    "TokenBucket",
    "WireRecording",
    "circle_in_words",
    "circle_through",
    "counts_as_object",
    "counts_in_words",
    "find_fault",
    "format_target",
    "read_fault",
    "read_proxy",
    "read_target",
    "relay_connections",
]
