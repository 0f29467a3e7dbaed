"""Decoders alone: the same bytes, in one process, without a socket."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from trioecho import FrameDecoder, encode_frame

from .table import markdown, spread

_MAX_FRAME_LENGTH = 16 << 20

# A decoder that needs longer than this for a task does it once: what it needs is
# quadratic in the bytes, and nobody waits for five repetitions of that.
_LONG_S = 5.0

Decode = Callable[[Sequence[bytes]], Awaitable[int]]
"""Takes the pieces of a stream as they came; returns how many frames were in it."""

_NOTES = f"""\
One process, no socket: the decoder's own work, by the process's own clock of processor
time; the pieces are in memory before it starts. `next_frames` gives all frames that are
complete, as a handler of messages gets them, `next_frame` one at a time; `next_batch` hands
frames on as they came, without an object for each, as an echo can. All but that make a
bytes object of every payload. AnyIO's stream is awaited for every header and every payload: its figures
have the cost of these coroutines in them, though none of them ever waits. A decoder
that takes longer than {_LONG_S:.0f} s does a task once.
"""


async def _next_frame(pieces: Sequence[bytes]) -> int:
    decoder = FrameDecoder(max_frame_length=_MAX_FRAME_LENGTH)
    for piece in pieces:
        decoder.receive_data(piece)
        while decoder.next_frame() is not None:
            pass
    return decoder.frames_decoded


async def _next_frames(pieces: Sequence[bytes]) -> int:
    decoder = FrameDecoder(max_frame_length=_MAX_FRAME_LENGTH)
    for piece in pieces:
        decoder.receive_data(piece)
        while decoder.next_frames():
            pass
    return decoder.frames_decoded


async def _next_batch(pieces: Sequence[bytes]) -> int:
    decoder = FrameDecoder(max_frame_length=_MAX_FRAME_LENGTH)
    for piece in pieces:
        decoder.receive_data(piece)
        while decoder.next_batch() is not None:
            pass
    return decoder.frames_decoded


class _DeletingBuffer:
    """A bytearray from whose front what was taken is deleted, as in h11."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, piece: bytes) -> None:
        self._data += piece

    def maybe_frame(self) -> bytes | None:
        if len(self._data) < 4:
            return None
        length = int.from_bytes(self._data[:4], "big")
        if length > _MAX_FRAME_LENGTH:
            raise ValueError("frame too large")
        if len(self._data) < 4 + length:
            return None
        payload = bytes(self._data[4 : 4 + length])
        del self._data[: 4 + length]
        return payload


async def _deleting_buffer(pieces: Sequence[bytes]) -> int:
    buffer = _DeletingBuffer()
    frames = 0
    for piece in pieces:
        buffer.add(piece)
        while buffer.maybe_frame() is not None:
            frames += 1
    return frames


def _twisted() -> Decode:
    from twisted.protocols.basic import Int32StringReceiver

    class Receiver(Int32StringReceiver):
        MAX_LENGTH = _MAX_FRAME_LENGTH
        frames = 0

        def stringReceived(self, string: bytes) -> None:  # noqa: N802 - Twisted's name for it
            self.frames += 1

    async def decode(pieces: Sequence[bytes]) -> int:
        receiver = Receiver()
        for piece in pieces:
            receiver.dataReceived(piece)
        return receiver.frames

    return decode


def _anyio() -> Decode:
    import anyio
    from anyio.abc import ByteReceiveStream
    from anyio.streams.buffered import BufferedByteReceiveStream

    class Pieces(ByteReceiveStream):
        def __init__(self, pieces: Sequence[bytes]) -> None:
            self._pieces = iter(pieces)

        async def receive(self, max_bytes: int = 65536) -> bytes:
            for piece in self._pieces:
                return piece
            raise anyio.EndOfStream

        async def aclose(self) -> None:
            pass

    async def decode(pieces: Sequence[bytes]) -> int:
        stream = BufferedByteReceiveStream(Pieces(pieces))
        frames = 0
        try:
            while True:
                length = int.from_bytes(await stream.receive_exactly(4), "big")
                if length > _MAX_FRAME_LENGTH:
                    raise ValueError("frame too large")
                await stream.receive_exactly(length)
                frames += 1
        except anyio.IncompleteRead:
            return frames

    return decode


def decoders() -> dict[str, Decode]:
    """Return those that can run here, by name; the others are compared with the first."""
    found: dict[str, Decode] = {
        "trioecho next_frames": _next_frames,
        "trioecho next_frame": _next_frame,
        "trioecho next_batch": _next_batch,
    }
    for name, make in (("Twisted Int32StringReceiver", _twisted), ("AnyIO buffered stream", _anyio)):
        try:
            found[name] = make()
        except ImportError as error:
            print(f"{name}: left out, {error.name} is not installed", file=sys.stderr, flush=True)
    found["a buffer as in h11"] = _deleting_buffer
    return found


def cut(wire: bytes, piece_bytes: int) -> list[bytes]:
    """Return the same bytes in pieces, the last one perhaps shorter."""
    return [wire[start : start + piece_bytes] for start in range(0, len(wire), piece_bytes)]


@dataclass(frozen=True)
class Task:
    """Something to decode.

    Attributes:
      title: as over its table.
      pieces: a stream, as it came.
      frames: how many frames are in it.
      amount: what a rate counts.
      unit: in words.
    """

    title: str
    pieces: list[bytes]
    frames: int
    amount: float
    unit: str


def tasks(scale: float = 1.0) -> list[Task]:
    """Return the three; ``scale`` makes them smaller."""
    small = encode_frame(bytes(range(64)))
    many, few = int(250_000 * scale), int(1_000_000 * scale) // len(small)
    huge = encode_frame(bytes(int((16 << 20) * scale)))
    bytewise = cut(small * few, 1)
    return [
        Task("64 B frames, in pieces of 64 KiB", cut(small * many, 1 << 16), many, many, "frames/s"),
        Task(
            f"one frame of {len(huge) / (1 << 20):.3g} MiB, in pieces of 1 KiB",
            cut(huge, 1 << 10),
            1,
            len(huge) / 1e6,
            "MB/s",
        ),
        Task(f"64 B frames, in {len(bytewise):,} pieces of 1 B", bytewise, few, len(bytewise), "pieces/s"),
    ]


async def time_all(contenders: Mapping[str, Decode], task: Task, repeats: int) -> dict[str, list[float]]:
    """Return the rates of each, in the order of repetitions, beginning each with another one.

    Raises:
      RuntimeError: one did not find all frames.
    """
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for repetition in range(repeats):
        shift = repetition * len(order) // repeats
        for name in order[shift:] + order[:shift]:
            if rates[name] and task.amount / rates[name][0] > _LONG_S:
                continue
            before_s = time.process_time()
            frames = await contenders[name](task.pieces)
            rates[name].append(task.amount / (time.process_time() - before_s))
            if frames != task.frames:
                raise RuntimeError(f"{name} found {frames} frames, where {task.frames} are")
    return rates


def report(rates: Mapping[str, Sequence[float]], unit: str) -> str:
    """Return a table of rates, and of the first one's divided by each other's."""
    first = next(iter(rates))
    rows = [["", unit, f"{first} / it"]]
    for name, of_decoder in rates.items():
        # Of the repetitions that both have.
        ratio = spread(ours / its for ours, its in zip(rates[first], of_decoder, strict=False))
        once = ", once" if len(of_decoder) < len(rates[first]) else ""
        rows.append([name, f"{spread(of_decoder)}{once}", "" if name == first else str(ratio)])
    return markdown(rows)


def main(*, repeats: int, quick: bool) -> int:
    """Measure and print; return the exit code."""
    contenders = decoders()
    for task in tasks(0.1 if quick else 1.0):
        rates = trio.run(time_all, contenders, task, repeats)
        print(f"{task.title}\n\n{report(rates, task.unit)}\n", flush=True)
    print(_NOTES, end="", flush=True)
    return 0
