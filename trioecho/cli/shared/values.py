"""Readers of what users write on a command line: sizes, durations, addresses."""

from __future__ import annotations

import argparse
import functools
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ...base.addresses import format_address
from ...base.endpoint import checked_port, is_unix
from ...base.listen_address import ListenAddress, is_host, parse_listen_address
from ...base.printable import printable_line
from ...base.suggestion import did_you_mean, quoted
from ...base.unix_socket import Owner, parse_mode, parse_owner
from ...base.written_values import read_count, read_positive_count, read_seconds, read_size, read_size_range
from ...framing import PRESETS, FormatSyntaxError, FrameFormat

# Where ``trioecho serve`` listens. Clients' own ports are above it (Linux gives them out from
# 32768 on), Kubernetes' NodePorts, too (30000-32767); IANA has not assigned it.
DEFAULT_PORT = 26066
# Each is a process; a typing error must not fill the machine with them.
_MAX_WORKERS = 1024

_Value = TypeVar("_Value")


def refusal(text: str, reason: str) -> argparse.ArgumentTypeError:
    """Return the error to raise for what the user wrote; the reason says what would be right."""
    return argparse.ArgumentTypeError(f"{quoted(text)} {reason}")


class OneOf:
    """A reader of a word that is one of some.

    Attributes:
      names: these.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def __call__(self, text: str) -> str:
        if text not in self.names:
            raise refusal(text, f"is not one of {', '.join(self.names)}{_meant(text, self.names)}")
        return text


def one_of(*names: str) -> OneOf:
    """Return a reader of a word that is one of these."""
    return OneOf(names)


def _meant(text: str, names: tuple[str, ...]) -> str:
    hint = did_you_mean(text, names, "")
    return f"; {hint}" if hint else ""


def option_value(read: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Return a reader for argparse, which has an error of its own, of one that raises `ValueError`."""

    @functools.wraps(read)
    def read_option(text: str) -> _Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read_option


size: Callable[[str], int] = option_value(read_size)
seconds: Callable[[str], float] = option_value(read_seconds)
count: Callable[[str], int] = option_value(read_count)
positive_count: Callable[[str], int] = option_value(read_positive_count)


_size_range = option_value(read_size_range)


class SizeBounds(NamedTuple):
    """Sizes in bytes, both ends included."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least} B" if self.least == self.most else f"{self.least} to {self.most} B"


def size_range(text: str) -> SizeBounds:
    """Return one size, or two with a hyphen between them: ``64``, ``64-4096``, ``0-64KiB``."""
    return SizeBounds(*_size_range(text))


def frame_format(text: str) -> FrameFormat:
    """Return how frames are written: ``u32be``, ``u16le+header``, ``any1,varint4``, ``dns``."""
    try:
        return FrameFormat.parse(text)
    except FormatSyntaxError as error:
        if error.part:
            raise argparse.ArgumentTypeError(printable_line(str(error))) from None
        hint = did_you_mean(text.strip().lower(), PRESETS, "trioecho formats lists all")
        raise refusal(text, f"{error.reason}; {hint}") from None


def seed(text: str) -> int | None:
    """Return the seed of a random generator; None for ``random``, which is another seed each time."""
    return None if text == "random" else count(text)


def worker_count(text: str) -> int:
    """Return how many processes; 0 for as many as there are processors."""
    value = count(text)
    if value > _MAX_WORKERS:
        raise refusal(text, f"is more than any machine needs; {_MAX_WORKERS} at most")
    return value


def port(text: str) -> int:
    """Return a TCP port; 0 for any that is free."""
    if not re.fullmatch(r"\d{1,5}", text.strip(), re.ASCII) or int(text) > 0xFFFF:
        raise refusal(text, "is not a port; write a number from 0 to 65535")
    return int(text)


def host(text: str) -> str:
    """Return a host name or an IP address, with or without the brackets of IPv6."""
    name = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not is_host(name):
        raise refusal(text, "is not a host; write a name or an address as 127.0.0.1 or ::1")
    if re.fullmatch(r"[^:]*:\d+", name):
        raise refusal(text, "is a host with a port; give the port by itself, with --port")
    return name


class Address(NamedTuple):
    """Where a server listens; of a Unix socket, the host is ``unix:/path``, and the port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_address((self.host, self.port))


def address(text: str) -> Address:
    """Return the address of ``HOST:PORT``, of ``[::1]:PORT`` for IPv6, and of ``unix:/path`` with port 0."""
    if not is_unix(text):
        return tcp_address(text)
    try:
        return Address(text, checked_port(text, None))
    except ValueError as error:
        raise argparse.ArgumentTypeError(printable_line(str(error))) from None


def tcp_address(text: str) -> Address:
    """Return the address of ``HOST:PORT``, and of ``[::1]:PORT`` for IPv6."""
    if is_unix(text):
        raise refusal(text, "is a Unix socket, and this is for TCP alone; write HOST:PORT")
    name, colon, number = text.rpartition(":")
    if not colon or not name or (":" in name and not name.startswith("[")):
        raise refusal(
            text, "is not an address; write HOST:PORT, as 127.0.0.1:26066 or [::1]:26066, or unix:/path"
        )
    parsed = Address(host(name), port(number))
    if not parsed.port:
        raise refusal(text, "has port 0, to which nobody can connect")
    return parsed


def listen_address(text: str) -> ListenAddress | int:
    """Return where a service listens, as `parse_listen_address` does; of a number alone, the port."""
    if re.fullmatch(r"\d{1,5}", text.strip(), re.ASCII):
        return port(text)
    try:
        return parse_listen_address(text)
    except ValueError as error:
        raise refusal(text, str(error)) from None


def file_mode(text: str) -> int:
    """Return the mode of a socket's file: ``0660``."""
    try:
        return parse_mode(text)
    except ValueError as error:
        raise refusal(text, str(error)) from None


def file_owner(text: str) -> Owner:
    """Return the owner of a socket's file: ``USER``, ``USER:GROUP`` or ``:GROUP``."""
    try:
        return parse_owner(text)
    except ValueError as error:
        raise refusal(text, str(error)) from None
