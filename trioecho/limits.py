"""What a server allows: sizes, numbers and times, with the precedent for each default."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from .framing import DEFAULT_MAX_FRAME_LENGTH


@dataclass(frozen=True)
class Limits:
    """The limits of a server. A clock or limit set to 0 is off; so is a clock that is infinite.

    Attributes:
      max_frame_length: payload bytes that a frame may have, in either direction.
        1 MiB, as nginx allows a request body (client_max_body_size). Off, it is
        what the header can express; memory still grows only with what is received.
      max_connections: connections served at a time. When all are taken, the
        server stops accepting and the kernel's backlog waits. 10 000, as Redis
        (maxclients).
      idle_timeout_s: how long a connection may be silent between frames.
        300 s, as Envoy (stream_idle_timeout). When it or the next one is off, TCP
        keepalive finds peers that are gone without a word, after two minutes.
      frame_timeout_s: how long a frame may take from its first byte to its
        last; a byte now and then does not reset it. 60 s, as nginx gives a
        request header (client_header_timeout). Runs only while the server
        reads: time in which a handler works, or an echo is blocked, is not
        held against the peer.
      write_timeout_s: how long a send may wait until the kernel accepts a byte,
        because the peer reads too little. 60 s, as nginx (send_timeout).
      grace_s: how long a drain may take; past it, what is left is aborted.
        10 s, as ``docker stop`` waits before it kills.
      linger_s: how long a connection that was ended from this side goes on
        reading and discarding what its peer was still sending, so that no reset
        destroys the last echoes on their way. 5 s, as nginx (lingering_timeout).
      spin_s: while messages come one close upon the other, how long the server looks
        for the next one before it sleeps; more than 1 ms is 1 ms. It does so only while
        nearly every such wait ends with a message, and never while it is idle.
        50 us, about what it takes to sleep and to be woken: a spin in vain at most
        doubles that.
      tls_handshake_timeout_s: how long the handshake of TLS may take, from when the connection
        is accepted, or a balancer's header has come. 60 s, as nginx (ssl_handshake_timeout).
      proxy_header_timeout_s: how long a balancer may take for its header of the PROXY protocol, from when
        the connection is accepted. 30 s, as nginx (proxy_protocol_timeout).

    Raises:
      ValueError: a value is negative or not a number.
    """

    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH
    max_connections: int = 10_000
    idle_timeout_s: float = 300.0
    frame_timeout_s: float = 60.0
    write_timeout_s: float = 60.0
    grace_s: float = 10.0
    linger_s: float = 5.0
    spin_s: float = 50e-6
    tls_handshake_timeout_s: float = 60.0
    proxy_header_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if math.isnan(value) or value < 0:
                raise ValueError(f"{limit.name} must be 0 or more, not {value!r}")


def shortest_clock_s(limits: Limits) -> float:
    """Return the shortest of the three clocks of a connection; infinite when all are off."""
    return min(map(or_infinite, (limits.idle_timeout_s, limits.frame_timeout_s, limits.write_timeout_s)))


def or_infinite(setting: float) -> float:
    """Return the setting of a clock or limit, with infinity for 0, which means off."""
    return setting or math.inf
