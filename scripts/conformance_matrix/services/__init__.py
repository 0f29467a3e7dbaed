"""Services of other people, and echoes with the framing of other languages' libraries; each has its file."""

from __future__ import annotations

from ..candidate import Candidate
from . import (
    dnsmasq,
    erlang,
    mosquitto,
    netty,
    nodejs,
    nsd,
    postgresql,
    pymodbus,
    pymodbustcp,
    thrift_nonblocking,
    thrift_threaded,
    zookeeper,
)

SERVICES: tuple[Candidate, ...] = (
    dnsmasq.CANDIDATE,
    nsd.CANDIDATE,
    zookeeper.CANDIDATE,
    thrift_threaded.CANDIDATE,
    thrift_nonblocking.CANDIDATE,
    pymodbus.CANDIDATE,
    pymodbustcp.CANDIDATE,
    postgresql.CANDIDATE,
    mosquitto.CANDIDATE,
    erlang.CANDIDATE,
    nodejs.CANDIDATE,
    netty.CANDIDATE,
)
