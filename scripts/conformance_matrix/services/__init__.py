"""Services of other people, and echoes with the framing of other languages' libraries; each has its file."""

from __future__ import annotations

from ..candidate import Candidate
from . import (
    dnsmasq,
    erlang,
    netty,
    nodejs,
    nsd,
    pymodbus,
    pymodbustcp,
    thrift_nonblocking,
    thrift_threaded,
)

SERVICES: tuple[Candidate, ...] = (
    dnsmasq.CANDIDATE,
    nsd.CANDIDATE,
    thrift_threaded.CANDIDATE,
    thrift_nonblocking.CANDIDATE,
    pymodbus.CANDIDATE,
    pymodbustcp.CANDIDATE,
    erlang.CANDIDATE,
    nodejs.CANDIDATE,
    netty.CANDIDATE,
)
