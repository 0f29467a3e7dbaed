"""Requests that every server of a protocol replies to, and that change nothing: a protocol a file."""

from __future__ import annotations

from collections.abc import Mapping

from .diameter import DIAMETER
from .dns import DNS
from .kafka import KAFKA
from .ldap import LDAP
from .memcached import MEMCACHED
from .modbus import MODBUS
from .mqtt import MQTT
from .nine_p import NINE_P
from .onc_rpc import ONC_RPC
from .polite_requests import PoliteRequests
from .postgres import POSTGRES
from .smpp import SMPP
from .thrift import THRIFT
from .why_not_asked import UNFRAMED_REPLIES, WHY_NOT_ASKED
from .zookeeper import ZOOKEEPER

__all__ = ["POLITE_REQUESTS", "UNFRAMED_REPLIES", "WHY_NOT_ASKED", "PoliteRequests"]

POLITE_REQUESTS: Mapping[str, PoliteRequests] = {
    "9p": NINE_P,
    "diameter": DIAMETER,
    "dns": DNS,
    "kafka": KAFKA,
    "ldap": LDAP,
    "memcached": MEMCACHED,
    "modbus": MODBUS,
    "mqtt": MQTT,
    "onc-rpc": ONC_RPC,
    "postgres": POSTGRES,
    "smpp": SMPP,
    "thrift": THRIFT,
    "zookeeper": ZOOKEEPER,
}
