"""Random streams of frames, and the shortest form of one that fails."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ...base.random_bytes import random_bytes
from .dialogue import ECHO, Dialogue
from .wire import Wire

_SIZES = (0, 1, 2, 3, 4, 5, 8, 13, 64, 255, 256, 1000, 4096, 20_000)


@dataclass(frozen=True)
class Stream:
    """Frames, and where the stream of them is cut.

    Attributes:
      payloads: of the frames, in order.
      cuts: offsets in the stream, ascending, where a piece ends.
    """

    payloads: tuple[bytes, ...]
    cuts: tuple[int, ...]

    def pieces(self, wire: Wire) -> list[bytes]:
        """Return what to send, piece by piece."""
        data = wire.frames(*self.payloads)
        edges = [0, *(cut for cut in self.cuts if cut < len(data)), len(data)]
        return [data[start:end] for start, end in pairwise(edges) if start < end]

    def __str__(self) -> str:
        sizes = [len(payload) for payload in self.payloads]
        frames = (
            f"a frame of {sizes[0]} byte{'s' * (sizes[0] != 1)}"
            if len(sizes) == 1
            else f"frames of {', '.join(map(str, sizes))} bytes"
        )
        cuts = f", cut after byte {', '.join(map(str, self.cuts))}" if self.cuts else ", in one piece"
        return frames + cuts


def random_stream(source: random.Random, wire: Wire, longest: int, dialogue: Dialogue = ECHO) -> Stream:
    """Make some frames of all sizes, or of requests, cut anywhere.

    Args:
      source: of randomness.
      wire: how headers are written.
      longest: the longest payload that is allowed, in bytes.
      dialogue: what may be sent.
    """
    sizes = [size for size in _SIZES if size <= longest]
    count = source.randint(1, 12)
    payloads = tuple(_payload(source, wire, sizes, dialogue) for _ in range(count))
    size = len(wire.frames(*payloads))
    cuts = sorted({source.randrange(1, size) for _ in range(source.randint(0, 6))} if size > 1 else ())
    return Stream(payloads, tuple(cuts))


def _payload(source: random.Random, wire: Wire, sizes: list[int], dialogue: Dialogue) -> bytes:
    number = 0 if dialogue.is_echo else source.randrange(1 << 16)
    request = dialogue.request(number)
    return _random_payload(source, wire, source.choice(sizes)) if request is None else request


def _random_payload(source: random.Random, wire: Wire, length: int) -> bytes:
    kind = source.randrange(4)
    if kind == 0:
        return bytes(length)
    if kind == 1:
        return (wire.header(min(length, wire.largest_payload)) * (length // wire.header_bytes + 1))[:length]
    return random_bytes(source, length)


async def shortest(
    stream: Stream, wire: Wire, still_fails: Callable[[Stream], Awaitable[bool]], *, most_tries: int
) -> Stream:
    """Find the shortest form of a failing stream that still fails, in at most ``most_tries`` tries.

    Every simpler form is tried in turn, the simplest first; from one that fails
    as well it goes on. This is how QuickCheck shrinks.
    """
    tries = 0
    is_shrinking = True
    while is_shrinking:
        is_shrinking = False
        for simpler in _simpler(stream, wire):
            if tries >= most_tries:
                return stream
            tries += 1
            if await still_fails(simpler):
                stream = simpler
                is_shrinking = True
                break
    return stream


def _simpler(stream: Stream, wire: Wire) -> Iterator[Stream]:
    payloads, cuts = stream.payloads, stream.cuts
    count = len(payloads)
    # Fewer frames: halves first, then without each.
    size = count // 2
    while size:
        for start in range(0, count, size):
            rest = payloads[:start] + payloads[start + size :]
            if rest:
                yield _moved(rest, payloads, cuts, start, size, wire)
        size //= 2
    # Fewer cuts.
    if len(cuts) > 1:
        yield Stream(payloads, ())
    for number in range(len(cuts)):
        yield Stream(payloads, cuts[:number] + cuts[number + 1 :])
    # Shorter payloads, then plainer ones.
    for number, payload in enumerate(payloads):
        for length in sorted({0, 1, len(payload) // 2, len(payload) - 1}):
            if 0 <= length < len(payload):
                yield _with_payload(stream, number, payload[:length], wire)
        plain = b"a" * len(payload)
        if payload != plain:
            yield _with_payload(stream, number, plain, wire)
    # Earlier cuts.
    for number, cut in enumerate(cuts):
        least = cuts[number - 1] + 1 if number else 1
        for earlier in sorted({least, (least + cut) // 2, cut - 1}):
            if least <= earlier < cut:
                yield Stream(payloads, (*cuts[:number], earlier, *cuts[number + 1 :]))


def _moved(
    rest: tuple[bytes, ...],
    payloads: tuple[bytes, ...],
    cuts: tuple[int, ...],
    start: int,
    count: int,
    wire: Wire,
) -> Stream:
    """Leave out some frames; keep the other cuts at the same places in their frames."""
    before = len(wire.frames(*payloads[:start]))
    removed = len(wire.frames(*payloads[start : start + count]))
    kept = [
        cut if cut <= before else cut - removed for cut in cuts if cut <= before or cut > before + removed
    ]
    return _valid(rest, kept, wire)


def _with_payload(stream: Stream, number: int, payload: bytes, wire: Wire) -> Stream:
    payloads = (*stream.payloads[:number], payload, *stream.payloads[number + 1 :])
    end = len(wire.frames(*stream.payloads[: number + 1]))
    shorter = len(stream.payloads[number]) - len(payload)
    cuts = [cut if cut < end else cut - shorter for cut in stream.cuts]
    return _valid(payloads, cuts, wire)


def _valid(payloads: tuple[bytes, ...], cuts: list[int], wire: Wire) -> Stream:
    size = len(wire.frames(*payloads))
    return Stream(payloads, tuple(sorted({cut for cut in cuts if 0 < cut < size})))


def random_garbage(source: random.Random, wire: Wire) -> bytes:
    """Make bytes in which no frame is whole: other protocols, and headers that are cut off or enormous."""
    enormous = wire.number(wire.largest_number)
    kinds = [
        wire.header(min(200, wire.largest_payload))[: max(1, wire.header_bytes - 1)],
        wire.header(min(200, wire.largest_payload)) + source.randbytes(source.randrange(200)),
    ]
    if wire.header_bytes == 1:
        kinds = kinds[1:]
    if wire.header_bytes >= 4:
        # Of these the first bytes announce more than anybody sends.
        kinds += [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + source.randbytes(64),
            b"SSH-2.0-OpenSSH_9.6\r\n",
            enormous + source.randbytes(source.randrange(2000)),
            b"\xff" + source.randbytes(source.randrange(4, 3000)),
        ]
    chosen = source.choice(kinds)
    payloads, rest = wire.split(chosen)
    # With some formats the beginning of such a thing is a whole frame.
    return rest if payloads else chosen
