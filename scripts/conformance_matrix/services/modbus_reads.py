"""Reads of registers over Modbus/TCP, and their replies."""

from __future__ import annotations

import json

# Read holding registers (function 3): from where, and how many. Register n holds 100 + n.
_READS = ((0, 2), (4, 4), (10, 1))


def _read(first: int, count: int) -> dict[str, object]:
    values = b"".join((100 + first + at).to_bytes(2, "big") for at in range(count))
    return {
        "hex": f"03 {first:04x} {count:04x}",
        "reply": {"hex": f"03 {len(values):02x} {values.hex()}"},
    }


AS_LINES = "".join(json.dumps(_read(*each)) + "\n" for each in _READS)
CHECK = ("--format", "modbus", "--ask", "{requests}")
LOAD = ("--format", "modbus", "--messages", "{requests}", "--reply", "recorded", "-c", "10", "-n", "200")
