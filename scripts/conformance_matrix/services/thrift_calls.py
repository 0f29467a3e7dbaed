"""Calls of a Thrift service with the one function ``ping``, in the binary protocol, and their replies."""

from __future__ import annotations

import json

from ..candidate import fault

# The version with the type of the message, the name, the sequence number, and an empty structure.
_CALL, _REPLY = "80010001", "80010002"


def _message(kind: str, number: int) -> dict[str, str]:
    return {"hex": f"{kind} 00000004 {b'ping'.hex()} {number:08x} 00"}


AS_LINES = "".join(
    json.dumps({**_message(_CALL, number), "reply": _message(_REPLY, number)}) + "\n"
    for number in (1, 2, 0x7FFFFFFF)
)
ENDS_AT_SIGTERM = fault(
    "6.2",
    why="Thrift's Python servers have no drain: nothing in them handles SIGTERM, so the process ends at "
    "once, and the kernel resets what it had not read.",
)
CHECK = ("--format", "thrift", "--ask", "{requests}", "--max-frame-length", "16384000")
LOAD = ("--format", "thrift", "--messages", "{requests}", "--reply", "recorded", "-c", "10", "-n", "500")
