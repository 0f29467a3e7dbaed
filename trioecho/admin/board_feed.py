"""What the live page is told: samples and events, kept for who comes later, as server-sent events.

The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import trio

from ..base.histogram import Histogram

BoardKind = Literal["service", "load"]

# A board shows at most as many samples: half an hour of reports every 2 s.
MOST_SAMPLES = 900
_MOST_EVENTS = 50
# A client that is behind by more begins anew.
_MOST_BEHIND = 60
# So that a connection that is lost is noticed at both ends.
_KEEP_ALIVE_S = 15.0
# How long a browser waits before it connects again.
_RETRY_MS = 2000
# Of the heat map: bin b is from 10**(b/8) to 10**((b+1)/8) microseconds.
_BINS_PER_DECADE = 8
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(eq=False)
class _Stream:
    """How far one client is: the number of messages that it was given, and that it has taken."""

    yielded: int
    told: int = -1


class BoardFeed:
    """Everything that the page is told, in the order in which it happened.

    Args:
      kind: which board it is.
      title: its heading.
      about: a line below that.
      clock: returns the time of an event, in seconds, as samples have it.
    """

    def __init__(self, kind: BoardKind, title: str, about: str, clock: Any = time.time) -> None:
        self._kind = kind
        self._title = title
        self._about = about
        self._clock = clock
        self._samples: deque[Mapping[str, Any]] = deque(maxlen=MOST_SAMPLES)
        self._events: deque[Mapping[str, Any]] = deque(maxlen=_MOST_EVENTS)
        self._state: Mapping[str, str] = {"name": "starting", "text": "starting"}
        self._latest: Mapping[str, Any] = _NOTHING
        self._told: deque[bytes] = deque(maxlen=_MOST_BEHIND)
        self._count = 0
        self._has_news = trio.Event()
        self._streams: list[_Stream] = []
        self._has_told = trio.Event()

    def note_sample(self, sample: Mapping[str, Any], latest: Mapping[str, Any] = _NOTHING) -> None:
        """Add what was measured in an interval, and what is only of interest until the next sample."""
        self._samples.append(sample)
        self._latest = latest
        self._tell("sample", {**sample, **latest})

    def note_event(self, text: str) -> None:
        """Add something that happened now."""
        event = {"t": self._clock(), "text": text}
        self._events.append(event)
        self._tell("event", event)

    def note_state(self, name: str, text: str) -> None:
        """Change the state; ``name`` is what the page's style knows."""
        self._state = {"name": name, "text": text}
        self._tell("state", self._state)

    def set_about(self, title: str, about: str) -> None:
        """Change the heading, for those who come from now on."""
        self._title, self._about = title, about

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield all that there is, and then what is new, until cancelled."""
        stream = _Stream(self._count)
        self._streams.append(stream)
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode() + self._hello()
            while True:
                part = await self._next_part(stream)
                yield part
        finally:
            self._streams.remove(stream)
            self._note_told()

    async def _next_part(self, stream: _Stream) -> bytes:
        stream.told = stream.yielded
        self._note_told()
        if stream.told == self._count:
            with trio.move_on_after(_KEEP_ALIVE_S):
                await self._has_news.wait()
        missed, stream.yielded = self._count - stream.told, self._count
        if not missed:
            return b": still here\n\n"
        return self._hello() if missed > len(self._told) else b"".join([*self._told][-missed:])

    async def wait_until_told(self) -> None:
        """Wait until everybody who listens has taken what came last; cancel it to wait no longer."""
        while any(stream.told < self._count for stream in self._streams):
            await self._has_told.wait()

    def _note_told(self) -> None:
        self._has_told.set()
        self._has_told = trio.Event()

    def _hello(self) -> bytes:
        samples = list(self._samples)
        if samples:
            samples[-1] = {**samples[-1], **self._latest}
        return _as_event(
            "hello",
            {
                "kind": self._kind,
                "title": self._title,
                "about": self._about,
                "most": MOST_SAMPLES,
                "samples": samples,
                "events": [*self._events],
                "state": self._state,
            },
        )

    def _tell(self, name: str, data: Mapping[str, Any]) -> None:
        self._told.append(_as_event(name, data))
        self._count += 1
        self._has_news.set()
        self._has_news = trio.Event()


def _as_event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def heat_bins(times_ns: Histogram) -> list[tuple[int, int]]:
    """Return how many times are in each bin of the heat map, upwards."""
    bins: dict[int, int] = {}
    below = 0
    for highest_ns, up_to in times_ns.steps():
        at = math.floor(_BINS_PER_DECADE * math.log10(max(highest_ns, 1) / 1000))
        bins[at] = bins.get(at, 0) + up_to - below
        below = up_to
    return sorted(bins.items())
