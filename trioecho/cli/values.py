"""What people type after an option: sizes, durations, addresses."""

from __future__ import annotations

import argparse
import math
import re
from typing import Literal, NamedTuple

from ..framing import FrameFormat

_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_DURATION_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

_HEADER_BYTES: dict[str, Literal[1, 2, 4, 8]] = {"8": 1, "16": 2, "32": 4, "64": 8}

# What a frame's 4-byte header can express.
_MAX_SIZE = (1 << 32) - 1
# Each is a process of its own; a slip of the finger must not fill the machine with them.
_MAX_WORKERS = 1024
# Longer than anybody means, and short enough for every clock of the system.
_MAX_DURATION_S = 365 * 24 * 3600.0


def size(text: str) -> int:
    """Bytes: ``65536``, ``64KiB``, ``1MiB``."""
    match = re.fullmatch(r"(\d{1,20})\s*([a-z]*)", text.strip(), re.ASCII | re.IGNORECASE)
    unit = _SIZE_UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write bytes as 65536, 64KiB or 1MiB")
    value = int(match[1]) * unit
    if value > _MAX_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is more than a frame can have, {_MAX_SIZE} bytes")
    return value


class SizeRange(NamedTuple):
    """Sizes in bytes, both ends included."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least} B" if self.least == self.most else f"{self.least} to {self.most} B"


def size_range(text: str) -> SizeRange:
    """A size, or two with a hyphen between them: ``64``, ``64-4096``, ``0-64KiB``."""
    least, hyphen, most = text.partition("-")
    sizes = SizeRange(size(least), size(most if hyphen else least))
    if sizes.least > sizes.most:
        raise argparse.ArgumentTypeError(f"{text!r} has its larger size first; write {most}-{least}")
    return sizes


def frame_format(text: str) -> FrameFormat:
    """How headers are written: ``u32be``, ``u16le``, ``u8``, ``u32be+header``."""
    match = re.fullmatch(r"u(8|(16|32|64)(be|le))(\+header)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a frame format; write u32be for 4 bytes, most significant first, or u8, u16le, "
            "u64be ..., with +header behind it if the length counts the header"
        )
    return FrameFormat(
        header_bytes=_HEADER_BYTES[match[2] or match[1]],
        byte_order="little" if (match[3] or "").lower() == "le" else "big",
        length_includes_header=bool(match[4]),
    )


def duration(text: str) -> float:
    """Seconds: ``10``, ``10s``, ``500ms``, ``2m``."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", text.strip(), re.ASCII | re.IGNORECASE)
    unit = _DURATION_UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write 10, 10s, 500ms or 2m")
    value = float(match[1]) * unit
    if not math.isfinite(value) or value > _MAX_DURATION_S:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than a year; to switch a clock off, write 0")
    return value


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999999999")
    return int(text)


def positive_count(text: str) -> int:
    """A whole number, 1 or more."""
    value = count(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is too few; at least 1")
    return value


def worker_count(text: str) -> int:
    """How many processes; 0 for as many as there are processors."""
    value = count(text)
    if value > _MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is more than any machine needs; {_MAX_WORKERS} at most")
    return value


def port(text: str) -> int:
    """A TCP port; 0 for any that is free."""
    if not re.fullmatch(r"\d{1,5}", text.strip(), re.ASCII) or int(text) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 0 to 65535")
    return int(text)


def host(text: str) -> str:
    """A host name or an IP address, with or without the brackets of IPv6."""
    name = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    labels = name.rstrip(".").split(".")
    if not re.fullmatch(r"[^\s/@\[\]]+", name) or not all(0 < len(label) < 64 for label in labels):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a host; write a name or an address as 127.0.0.1 or ::1"
        )
    return name


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """``HOST:PORT``, and ``[::1]:PORT`` for IPv6."""
    name, colon, number = text.rpartition(":")
    if not colon or not name or (":" in name and not name.startswith("[")):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an address; write HOST:PORT, as 127.0.0.1:50666 or [::1]:50666"
        )
    parsed = Address(host(name), port(number))
    if not parsed.port:
        raise argparse.ArgumentTypeError(f"{text!r} has port 0, to which nobody can connect")
    return parsed
