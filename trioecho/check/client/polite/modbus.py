"""Modbus/TCP: the Modbus Application Protocol over a header with a transaction of each request's own."""

from __future__ import annotations

from .polite_requests import PoliteRequests, number

_UNIT = 1
_READ_COILS, _READ_HOLDING_REGISTERS, _READ_INPUT_REGISTERS = 1, 3, 4
# Few devices have the last address, so that the reply is mostly an exception, and no value that changes.
_LAST = 0xFFFF


def _read(function: int) -> bytes:
    behind = bytes((_UNIT, function)) + number(_LAST, 2) + number(1, 2)
    return number(1, 2) + number(0, 2) + number(len(behind), 2) + behind


MODBUS = PoliteRequests(
    "reads of a holding register, an input register and a coil at the last address, of unit 1",
    (_read(_READ_HOLDING_REGISTERS), _read(_READ_INPUT_REGISTERS), _read(_READ_COILS)),
    correlate="header+0:2",
)
