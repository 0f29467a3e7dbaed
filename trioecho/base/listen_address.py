"""Where a service listens, as users write it: ``HOST:PORT``, ``:PORT``, ``unix:/path``, ``fd://3``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .addresses import format_address
from .unix_socket import check_path

# Of both families. A machine without IPv6 leaves out the second one.
EVERY_HOST = ("0.0.0.0", "::")  # noqa: S104 - for who asks for it
_FORMS = "write HOST:PORT, [::1]:PORT, :PORT, unix:/path or fd://3"


@dataclass(frozen=True)
class TcpAddress:
    """A TCP port on some hosts.

    Attributes:
      hosts: names or addresses.
      port: 0 for any that is free; the same one on all hosts.
    """

    hosts: tuple[str, ...]
    port: int

    def __str__(self) -> str:
        return " and ".join(format_address((host, self.port)) for host in self.hosts)


@dataclass(frozen=True)
class UnixAddress:
    """A Unix socket; with an @ in front a name of Linux that is no file."""

    path: str

    @property
    def has_file(self) -> bool:
        """Whether a file stands for it, so that a mode and an owner say who may connect."""
        return not self.path.startswith("@")

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True)
class DescriptorAddress:
    """A descriptor of a socket that listens already, which the process has inherited."""

    number: int

    def __str__(self) -> str:
        return f"fd://{self.number}"


ListenAddress = TcpAddress | UnixAddress | DescriptorAddress


def parse_listen_address(text: str) -> ListenAddress:
    """Return the address that a user has written.

    Raises:
      ValueError: it is none; the message goes on after the text.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        check_path(path)
        return UnixAddress(path)
    if text.startswith("fd:"):
        if not (match := re.fullmatch(r"fd:(?://)?(\d{1,7})", text, re.ASCII)):
            raise ValueError("is no descriptor; write its number, as fd://3")
        return DescriptorAddress(int(match[1]))
    host, colon, number = text.strip().rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not is_bracketed):
        raise ValueError(f"is not an address to listen on; {_FORMS}")
    if not re.fullmatch(r"\d{1,5}", number, re.ASCII) or int(number) > 0xFFFF:
        raise ValueError("has no port; write a number from 0 to 65535 behind the last colon")
    if not host or host == "*":
        return TcpAddress(EVERY_HOST, int(number))
    name = host[1:-1] if is_bracketed else host
    if not is_host(name):
        raise ValueError(f"has no host; {_FORMS}")
    return TcpAddress((name,), int(number))


def is_host(name: str) -> bool:
    """Return whether this can be the name of a host, or an IP address."""
    try:
        name.encode("idna")  # as the resolver wants it: each label from 1 to 63 characters
    except UnicodeError:
        return False
    return re.fullmatch(r"[^\s/@\[\]\x00-\x1f\x7f]+", name) is not None
