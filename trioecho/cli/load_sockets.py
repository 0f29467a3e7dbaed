"""The options of a load for its sockets, by iperf's names."""

from __future__ import annotations

import argparse
import re
import socket

from ..base.endpoint import is_unix
from ..base.suggestion import did_you_mean
from ..load import SocketOptions
from ..load.engine.socket_setup import check_options
from ..load.socket_options import DSCP_NAMES, MAX_DSCP
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError

# Of TCP alone, by their attributes of `SocketOptions`.
_OF_TCP = ("receive_buffer", "congestion", "mss", "dscp")
_OPTIONS = {"receive_buffer": "--rcvbuf", "congestion": "--congestion", "mss": "--mss", "dscp": "--dscp"}


def add_socket_options(group: argparse._ArgumentGroup) -> None:
    """Add what sockets are asked for."""
    add = group.add_argument
    add(
        "--nodelay",
        action="store_true",
        help="send small segments at once (TCP_NODELAY); the default, and here to be said",
    )
    add(
        "--nagle",
        action="store_true",
        help="instead, let them wait for the acknowledgement of what was sent before",
    )
    add("--sndbuf", type=values.size, metavar="SIZE", help="of the send buffer (SO_SNDBUF); Linux doubles it")
    add("--rcvbuf", type=values.size, metavar="SIZE", help="likewise of the receive buffer (SO_RCVBUF)")
    add(
        "--congestion",
        metavar="NAME",
        help="algorithm of congestion control (TCP_CONGESTION), as cubic, reno or bbr",
    )
    add("--mss", type=values.positive_count, metavar="N", help="segments of at most N bytes (TCP_MAXSEG)")
    add(
        "--dscp",
        type=_dscp,
        metavar="{N,NAME}",
        help="code point of all packets: 0 to 63, or a name as ef, af11 or cs1",
    )


def _dscp(text: str) -> int:
    """Read a code point: ``46``, ``0x2e``, ``ef``."""
    word = text.strip().lower()
    if word in DSCP_NAMES:
        return DSCP_NAMES[word]
    if re.fullmatch(r"[0-9]{1,2}|0x[0-9a-f]{1,2}", word, re.ASCII):
        value = int(word, 16 if word.startswith("0x") else 10)
        if value <= MAX_DSCP:
            return value
    hint = did_you_mean(word, DSCP_NAMES, "write one as 46, ef, af11 or cs1")
    raise values.refusal(text, f"is neither a code point from 0 to 63 nor the name of one; {hint}")


def sockets_of(arguments: argparse.Namespace) -> SocketOptions:
    """Return what sockets are asked for.

    Raises:
      CommandError: it contradicts itself, or this machine cannot give it.
    """
    if arguments.nagle and arguments.nodelay:
        raise CommandError(
            ExitCode.WRONG_USAGE, "--nagle and --nodelay are opposites of each other; leave out one"
        )
    try:
        options = SocketOptions(
            not arguments.nagle,
            arguments.sndbuf,
            arguments.rcvbuf,
            arguments.congestion,
            arguments.mss,
            arguments.dscp,
        )
        host = arguments.address.host
        if is_unix(host):
            _refuse_tcp_options(options, arguments)
        elif arguments.cluster is None:  # else it is for other machines to say
            check_options(options, socket.AF_INET6 if ":" in host else socket.AF_INET)
    except ValueError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    return options


def _refuse_tcp_options(options: SocketOptions, arguments: argparse.Namespace) -> None:
    given = [_OPTIONS[name] for name in _OF_TCP if getattr(options, name) is not None]
    given += ["--nagle"] if arguments.nagle else []
    given += ["--nodelay"] if arguments.nodelay else []
    if given:
        raise ValueError(f"{given[0]} is for TCP, and {arguments.address} is a Unix socket; leave it out")
