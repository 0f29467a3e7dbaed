"""Whose headers of the PROXY protocol a server believes: `ProxyProtocol`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from ..base.proxy_header import ProxyVersion


@dataclass(frozen=True)
class ProxyProtocol:
    """A balancer is in front, and says with the PROXY protocol whom it connects.

    Then every connection has to begin with such a header, before TLS. Anybody who can send one can
    claim any address, so it is accepted from certain peers only; others are not served at all.

    Attributes:
      accepts: the version of headers: ``"v1"`` (a line of text), ``"v2"`` (binary), or ``"auto"`` for both.
      allow_from: IP addresses and networks of the balancers, as ``"10.0.0.0/8"``. The peer of a Unix
        socket counts as 127.0.0.1.

    Raises:
      ValueError: there is no such version, or that is no address.
    """

    accepts: ProxyVersion = "auto"
    allow_from: tuple[str, ...] = ("127.0.0.1", "::1")

    def __post_init__(self) -> None:
        if self.accepts not in get_args(ProxyVersion):
            raise ValueError(f"accepts is one of {', '.join(get_args(ProxyVersion))}, not {self.accepts!r}")
        if not self.allow_from:
            raise ValueError("allow_from is empty, so nobody could connect")
        self._networks  # noqa: B018 - raises

    @cached_property
    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        networks = []
        for text in self.allow_from:
            try:
                networks.append(ipaddress.ip_network(text.strip(), strict=False))
            except ValueError:
                raise ValueError(
                    f"{text!r} is no IP address and no network; write one as 10.0.0.7 or 10.0.0.0/8"
                ) from None
        return networks

    def _is_allowed(self, peer: object) -> bool:
        """Return whether a peer may send headers, by its socket address; None where it has none."""
        host = "127.0.0.1"
        if isinstance(peer, tuple):
            host = str(peer[0]).partition("%")[0]
        address = ipaddress.ip_address(host)
        # IPv4 through a socket of IPv6.
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)
