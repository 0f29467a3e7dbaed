"""The header of the PROXY protocol, in which a balancer says whom it connects: read and written, without I/O.

Versions 1 and 2 of https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. A header comes
first on a connection, before TLS, and no byte of what follows may be taken with it: `wanted` is how
many bytes surely belong to it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
from typing import Literal, NamedTuple

ProxyVersion = Literal["v1", "v2", "auto"]
"""Which headers are accepted; ``"auto"`` for either version."""

# The longest line of version 1, by its specification.
MOST_LINE_BYTES = 107
# How many bytes may follow the fixed part of version 2: the addresses, and more than any known extension.
MOST_V2_BYTES = 4096

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LINE_BEGINS = b"PROXY "
_SHORTEST_LINE = b"PROXY UNKNOWN\r\n"
_FIXED_BYTES = len(_SIGNATURE) + 4
_PORT = rb"(0|[1-9][0-9]{0,4})"
_TCP_LINE = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) " + _PORT + b" " + _PORT + b"\r\n"
)
_TCP_LINE_SPACES = 5

# By the upper four bits of the 14th byte.
_UNSPECIFIED, _INET, _INET6, _UNIX = range(4)
_ADDRESSES = {
    _INET: struct.Struct("!4s4sHH"),
    _INET6: struct.Struct("!16s16sHH"),
    _UNIX: struct.Struct("108s108s"),
}
_IP_OF: dict[int, type[ipaddress.IPv4Address | ipaddress.IPv6Address]] = {
    socket.AF_INET: ipaddress.IPv4Address,
    socket.AF_INET6: ipaddress.IPv6Address,
}
_PROTOCOLS = {0: "unspecified", 1: "stream", 2: "datagram"}


class ProxyHeaderError(ValueError):
    """What came first on a connection is no header that is accepted."""


class NoProxyHeaderError(ProxyHeaderError):
    """It is no PROXY header at all.

    Attributes:
      first_bytes (bytes): what came instead.
    """

    def __init__(self, first_bytes: bytes) -> None:
        super().__init__(first_bytes)
        self.first_bytes = first_bytes

    def __str__(self) -> str:
        return f"the connection begins with {self.first_bytes!r}, and not with a PROXY header"


class ProxyVersionError(ProxyHeaderError):
    """It is a PROXY header of another version than the one that is accepted.

    Attributes:
      version (int): its own.
      accepted (int): the other.
    """

    def __init__(self, version: int, accepted: int) -> None:
        super().__init__(version, accepted)
        self.version = version
        self.accepted = accepted

    def __str__(self) -> str:
        return f"a PROXY header of version {self.version} came, and only version {self.accepted} is accepted"


class ProxyHeaderTooLongError(ProxyHeaderError):
    """The header is longer than any balancer sends; nothing of what is too much was stored.

    Attributes:
      length (int): its bytes, as far as they are known.
      limit (int): the most that are accepted.
    """

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(length, limit)
        self.length = length
        self.limit = limit

    def __str__(self) -> str:
        return f"the PROXY header has {self.length} bytes or more, over the limit of {self.limit}"


class MalformedProxyHeaderError(ProxyHeaderError):
    """The header begins as one, and breaks the rules of its version.

    Attributes:
      version (int): its own.
      reason (str): which rule.
      header (bytes): what came of it.
    """

    def __init__(self, version: int, reason: str, header: bytes) -> None:
        super().__init__(version, reason, header)
        self.version = version
        self.reason = reason
        self.header = header

    def __str__(self) -> str:
        return f"the PROXY header of version {self.version} {self.reason}: {self.header[:MOST_LINE_BYTES]!r}"


class IncompleteProxyHeaderError(ProxyHeaderError):
    """The connection has ended inside the header.

    Attributes:
      received (int): bytes of the header that came.
      missing (int): bytes that it lacked, at least.
    """

    def __init__(self, received: int, missing: int) -> None:
        super().__init__(received, missing)
        self.received = received
        self.missing = missing

    def __str__(self) -> str:
        return (
            f"the connection ended inside the PROXY header, after {self.received} bytes "
            f"and {self.missing} or more before its end"
        )


class ProxyHeader(NamedTuple):
    """What a balancer says of a connection.

    Attributes:
      version: 1 or 2.
      source: the socket address of the client, as `socket.getpeername` gives it; None if the connection
        is the balancer's own, or it does not say.
      destination: the socket address to which the client connected; None likewise.
    """

    version: int
    source: object = None
    destination: object = None


class ProxyHeaderParser:
    """Finds the header in what is received first on a connection.

    Attributes:
      received: what has come of it.

    Args:
      accepts: which versions.
    """

    def __init__(self, accepts: ProxyVersion = "auto") -> None:
        self.received: bytes = b""
        self._accepts = accepts

    @property
    def wanted(self) -> int:
        """How many bytes may be received next, since they surely belong to the header; at least 1."""
        received = self.received
        size = len(received)
        if received.startswith(_SIGNATURE[:1]):
            if size < _FIXED_BYTES:
                return _FIXED_BYTES - size
            return max(1, _FIXED_BYTES + int.from_bytes(received[14:16], "big") - size)
        if size < len(_SHORTEST_LINE):  # which is shorter than any header of version 2, too
            return len(_SHORTEST_LINE) - size
        return max(1, min(_missing_of_line(received), MOST_LINE_BYTES - size))

    def receive(self, data: bytes) -> ProxyHeader | None:
        """Take what was received, at most `wanted` bytes; return the header when it is whole.

        Args:
          data: nothing at the end of the peer's stream.

        Raises:
          ProxyHeaderError: it is none.
        """
        if not data:
            raise IncompleteProxyHeaderError(len(self.received), self.wanted)
        self.received += data
        self._check_beginning()
        return self._read_v2() if self.received.startswith(_SIGNATURE[:1]) else self._read_line()

    def _check_beginning(self) -> None:
        received = self.received
        for version, beginning in ((1, _LINE_BEGINS), (2, _SIGNATURE)):
            if beginning.startswith(received[: len(beginning)]):
                # A few bytes can still be of another protocol.
                if self._accepts not in ("auto", f"v{version}") and len(received) >= len(_LINE_BEGINS):
                    raise ProxyVersionError(version, 3 - version)
                return
        raise NoProxyHeaderError(received)

    def _read_line(self) -> ProxyHeader | None:
        line = self.received
        if b"\n" not in line:
            if len(line) >= MOST_LINE_BYTES:
                raise ProxyHeaderTooLongError(len(line) + 1, MOST_LINE_BYTES)
            return None
        if line.startswith((b"PROXY UNKNOWN ", _SHORTEST_LINE)) and line.endswith(b"\r\n"):
            return ProxyHeader(1)
        match = _TCP_LINE.fullmatch(line)
        if match is None:
            raise MalformedProxyHeaderError(1, "is not as its line has to be", line)
        family, *hosts, source_port, destination_port = (part.decode("ascii") for part in match.groups())
        inet = socket.AF_INET if family == "TCP4" else socket.AF_INET6
        try:
            # As the system writes them; it reads more than the specification has.
            source, destination = (socket.inet_ntop(inet, _IP_OF[inet](host).packed) for host in hosts)
        except ValueError:
            raise MalformedProxyHeaderError(1, f"has no two addresses of {family}", line) from None
        ports = int(source_port), int(destination_port)
        if max(ports) > 0xFFFF:
            raise MalformedProxyHeaderError(1, "has a port over 65535", line)
        return ProxyHeader(1, _address(source, ports[0]), _address(destination, ports[1]))

    def _read_v2(self) -> ProxyHeader | None:
        received = self.received
        if len(received) < _FIXED_BYTES:
            return None
        version, command = divmod(received[12], 16)
        family, protocol = divmod(received[13], 16)
        length = int.from_bytes(received[14:16], "big")
        if version != 2 or command > 1:
            raise self._malformed(f"has the version and command {received[12]:#04x}")
        if length > MOST_V2_BYTES:
            raise ProxyHeaderTooLongError(_FIXED_BYTES + length, _FIXED_BYTES + MOST_V2_BYTES)
        if command and (protocol not in _PROTOCOLS or family > _UNIX):
            raise self._malformed(f"has the family and protocol {received[13]:#04x}")
        layout = _ADDRESSES.get(family) if command and protocol else None
        if layout is not None and length < layout.size:
            raise self._malformed(f"has {length} bytes for addresses that take {layout.size}")
        if len(received) < _FIXED_BYTES + length:
            return None
        if layout is None:  # the balancer's own connection, or one of which it does not say more
            return ProxyHeader(2)
        parts = layout.unpack_from(received, _FIXED_BYTES)
        if family == _UNIX:
            return ProxyHeader(2, *map(_unix_address, parts))
        inet = socket.AF_INET if family == _INET else socket.AF_INET6
        source, destination = (socket.inet_ntop(inet, packed) for packed in parts[:2])
        return ProxyHeader(2, _address(source, parts[2]), _address(destination, parts[3]))

    def _malformed(self, reason: str) -> MalformedProxyHeaderError:
        return MalformedProxyHeaderError(2, reason, self.received[:_FIXED_BYTES])


def _missing_of_line(line: bytes) -> int:
    """Return how many bytes a line of version 1 still has at least."""
    missing = 2 - line.endswith(b"\r")
    if line.startswith(b"PROXY TCP"):  # each further field is a space and a character or more
        missing += 2 * max(0, _TCP_LINE_SPACES - line.count(b" ")) + line.endswith(b" ")
    return missing


def _unix_address(padded: bytes) -> str | bytes:
    path = padded.rstrip(b"\0")
    return path if path.startswith(b"\0") else os.fsdecode(path)  # the former is no path, but a name of Linux


def _address(host: str, port: int) -> tuple[object, ...]:
    return (host, port, 0, 0) if ":" in host else (host, port)


def encode_proxy_header(version: Literal["v1", "v2"], source: object, destination: object) -> bytes:
    """Return the header of a connection that one side has opened for another.

    Args:
      version: of the header.
      source: the client's socket address, as `socket.getsockname` gives it; where it is no pair of IP address
        and port, the header says that the connection is the sender's own.
      destination: the socket address to which the client connected.
    """
    if not (isinstance(source, tuple) and isinstance(destination, tuple)):
        return _SHORTEST_LINE if version == "v1" else _SIGNATURE + b"\x20\0\0\0"
    hosts = [ipaddress.ip_address(str(address[0]).partition("%")[0]) for address in (source, destination)]
    ports = [int(source[1]), int(destination[1])]
    ip = hosts[0].version
    if version == "v1":
        return f"PROXY TCP{ip} {hosts[0]} {hosts[1]} {ports[0]} {ports[1]}\r\n".encode("ascii")
    layout = _ADDRESSES[_INET if ip == 4 else _INET6]
    addresses = layout.pack(hosts[0].packed, hosts[1].packed, *ports)
    return _SIGNATURE + bytes((0x21, 0x11 if ip == 4 else 0x21)) + struct.pack("!H", layout.size) + addresses
