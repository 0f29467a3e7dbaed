"""Circles of proxies that lead to each other: one client would become as many connections as there can be."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# Where who connects to one of these comes to. (To localhost by IPv6 first, if anything listens there.)
_CONNECTED_TO = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked for


class Hop(NamedTuple):
    """What a proxy leads from, and to.

    Attributes:
      name: of the proxy.
      listens: hosts and ports where clients connect; those with port 0 are nobody's target.
      target: host and port of its server.
    """

    name: str
    listens: Sequence[tuple[str, int]]
    target: tuple[str, int]


def circle_through(start: Hop, others: Iterable[Hop]) -> list[str]:
    """Return the names of the proxies on the way from one back to it; none if it leads elsewhere.

    What is called a circle is one: targets are not looked up, so one that leads over a name, over another
    process or over another machine is not seen.

    Args:
      start: the proxy.
      others: all others of the process.
    """
    hops = [start, *others]
    way = [start]
    while True:
        target = way[-1].target
        ahead = next((hop for hop in hops if any(_is_at(each, target) for each in hop.listens)), None)
        if ahead is None:
            return []
        if ahead is start:
            return [hop.name for hop in way]
        if ahead in way:  # a circle, and its own matter: this proxy only leads into it
            return []
        way.append(ahead)


def circle_in_words(names: Sequence[str]) -> str:
    """Return what is wrong with a circle, and what would be right.

    Args:
      names: of its proxies, of which the first is at fault.
    """
    by = f" by {', '.join(names[1:])}" if names[1:] else ""
    return f"it leads back to {names[0]}{by}; give the server's address"


def _is_at(listens: tuple[str, int], target: tuple[str, int]) -> bool:
    """Return whether who connects to a target is sure to come to what listens there."""
    (host, port), (wanted, wanted_port) = listens, target
    if port != wanted_port or not port:
        return False
    if host == wanted:
        return True
    listening = _address_of("127.0.0.1" if host == "localhost" else host)
    connecting = _address_of(_CONNECTED_TO.get(wanted, wanted))
    if listening is None or connecting is None or listening.version != connecting.version:
        return False
    # What listens everywhere has the other addresses of this machine, too; which those are is not known here.
    return listening == connecting or (listening.is_unspecified and connecting.is_loopback)


def _address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
