"""Bytes on the wire, made and read without the project's own framing.

So a mistake in the framing cannot hide itself.
"""

from __future__ import annotations


def frame(payload: bytes) -> bytes:
    return header(len(payload)) + payload


def frames(*payloads: bytes) -> bytes:
    return b"".join(map(frame, payloads))


def header(length: int) -> bytes:
    return length.to_bytes(4, "big")


def whole_frames(wire: bytes | bytearray) -> list[bytes]:
    """The payloads on a wire that ends after a whole frame."""
    payloads = []
    while wire:
        end = 4 + int.from_bytes(wire[:4], "big")
        assert len(wire) >= end, "the wire ends inside a frame"
        payloads.append(bytes(wire[4:end]))
        wire = wire[end:]
    return payloads


def split_frames(wire: bytes) -> tuple[list[bytes], bytes]:
    """The whole frames of a wire, headers included, and what is left."""
    frames = []
    while len(wire) >= 4 and len(wire) >= 4 + int.from_bytes(wire[:4], "big"):
        end = 4 + int.from_bytes(wire[:4], "big")
        frames.append(wire[:end])
        wire = wire[end:]
    return frames, wire
