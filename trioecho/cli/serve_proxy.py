"""The options of ``trioecho serve`` for a balancer in front of it."""

from __future__ import annotations

import argparse

from ..limits import Limits
from ..server.proxy_protocol import ProxyProtocol
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError

# What means nothing without --proxy-protocol.
_FURTHER = ("proxy_allow_from", "proxy_header_timeout")


def add_proxy_protocol_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--proxy-protocol`` and what belongs to it."""
    add = parser.add_argument
    add(
        "--proxy-protocol",
        type=values.one_of("off", "v1", "v2", "auto"),
        metavar="{off,v1,v2,auto}",
        default="off",
        help="behind a balancer: every connection begins with a PROXY header of this version, or of either, "
        "which has the client's address (default: off)",
    )
    add(
        "--proxy-allow-from",
        type=_addresses,
        metavar="ADDRESS[,NETWORK...]",
        help="whose headers are believed; other peers are not served (default: 127.0.0.1,::1)",
    )
    add(
        "--proxy-header-timeout",
        type=values.seconds,
        metavar="TIME",
        help="time for the header (default: 30s, as nginx's proxy_protocol_timeout)",
    )


def _addresses(text: str) -> tuple[str, ...]:
    """Read addresses and networks with commas between them."""
    addresses = tuple(part.strip() for part in text.split(","))
    try:
        ProxyProtocol(allow_from=addresses)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return addresses


def proxy_protocol_of(arguments: argparse.Namespace) -> ProxyProtocol | None:
    """Return whose headers are believed; None if none come.

    Raises:
      CommandError: none come, and there are options for them.
    """
    if arguments.proxy_protocol == "off":
        for name in _FURTHER:
            if getattr(arguments, name) is not None:
                option = "--" + name.replace("_", "-")
                raise CommandError(
                    ExitCode.WRONG_USAGE,
                    f"{option} is for a balancer: give --proxy-protocol auto, too, or leave it out",
                )
        return None
    return ProxyProtocol(arguments.proxy_protocol, arguments.proxy_allow_from or ProxyProtocol().allow_from)


def proxy_header_timeout_of(arguments: argparse.Namespace) -> float:
    """Return the clock of a header, in seconds."""
    given: float | None = arguments.proxy_header_timeout
    return Limits().proxy_header_timeout_s if given is None else given
