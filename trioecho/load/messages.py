"""What a supervisor and its workers say to each other: JSON objects, one a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import trio

from ..histogram import Histogram
from .result import Interval, Progress
from .result_json import histogram_as_json, histogram_from_json, interval_as_json, interval_from_json

_RECEIVE_BYTES = 1 << 16


async def send(stream: trio.abc.SendStream, message: Mapping[str, Any]) -> None:
    """Send a message."""
    await stream.send_all(json.dumps(message).encode() + b"\n")


class Receiver:
    """The messages that come over a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._searched = 0

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end of the stream. A cancelled call loses nothing."""
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            data = await self._stream.receive_some(_RECEIVE_BYTES)
            if not data:
                return None
            self._buffer += data
        message: dict[str, Any] = json.loads(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return message


def progress_as_message(progress: Progress) -> dict[str, Any]:
    """A worker's progress; `progress_from_message` reads it."""
    return {
        "event": "progress",
        "phase": progress.phase,
        "t_s": progress.t_s,
        "interval": interval_as_json(progress.interval),
        "sent": progress.sent,
        "messages": progress.messages,
        "errors": dict(progress.errors),
        "connections": progress.connections,
        "planned": progress.planned,
        "send_lateness_ns": histogram_as_json(progress.send_lateness_ns),
    }


def progress_from_message(message: Mapping[str, Any]) -> Progress:
    """What `progress_as_message` gave."""
    fields = {name: value for name, value in message.items() if name != "event"}
    fields["interval"] = interval_from_json(fields["interval"])
    fields["send_lateness_ns"] = histogram_from_json(fields["send_lateness_ns"])
    return Progress(**fields)


_PHASES = ("connecting", "warming up", "measuring", "draining")


def merge_progress(parts: list[Progress], *, planned: int | None) -> Progress:
    """The progress of all workers, at the same moment, as one."""
    first = min(parts, key=lambda part: _PHASES.index(part.phase))
    interval = Interval(first.interval.t_s, first.interval.width_s)
    lateness = Histogram()
    errors: Counter[str] = Counter()
    for part in parts:
        interval.add(part.interval)
        lateness.merge(part.send_lateness_ns)
        errors.update(part.errors)
    return Progress(
        first.phase,
        first.t_s,
        interval,
        sum(part.sent for part in parts),
        sum(part.messages for part in parts),
        errors,
        sum(part.connections for part in parts),
        planned,
        lateness,
    )
