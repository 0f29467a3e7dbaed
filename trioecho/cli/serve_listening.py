"""The options of ``trioecho serve`` that say where it listens."""

from __future__ import annotations

import argparse

from ..base.listen_address import ListenAddress, TcpAddress
from .service_listeners import WhereToListen
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError

_DEFAULT_HOST = "127.0.0.1"


def add_serve_listening_options(parser: argparse._ActionsContainer) -> None:
    """Add them."""
    # What a configuration file has of one does not matter when the other is given.
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--listen",
        type=values.listen_address,
        metavar="ADDRESS",
        action="append",
        help="where to listen: HOST:PORT, [::]:PORT, :PORT for every address, unix:/path, or fd://3 for a "
        "descriptor that listens; may be given several times (default: 127.0.0.1:26066)",
    )
    parser.add_argument(
        "--host",
        type=values.host,
        metavar="HOST",
        action="append",
        help="name or address to listen on, with --port; may be given several times (default: 127.0.0.1)",
    )
    either.add_argument(
        "--port",
        type=values.port,
        metavar="PORT",
        help=f"TCP port to listen on; 0 for any that is free (default: {values.DEFAULT_PORT})",
    )
    parser.add_argument(
        "--ipv6only",
        type=values.one_of("on", "off"),
        metavar="{on,off}",
        default="on",
        help="whether [::] is IPv6 alone, as nginx says it; off has IPv4, too (default: on)",
    )
    parser.add_argument(
        "--unix-mode",
        type=values.file_mode,
        metavar="MODE",
        help="mode of the file of a Unix socket, as 0660; who may write may connect (default: by the umask)",
    )
    parser.add_argument(
        "--unix-owner",
        type=values.file_owner,
        metavar="USER[:GROUP]",
        help="owner of the file of a Unix socket, or :GROUP (default: the user that starts the service)",
    )


def where_to_listen(arguments: argparse.Namespace) -> WhereToListen:
    """Return where the service listens.

    Raises:
      CommandError: options contradict each other.
    """
    hosts = tuple(arguments.host or [_DEFAULT_HOST])
    port = values.DEFAULT_PORT if arguments.port is None else arguments.port
    wanted: list[ListenAddress | int] = arguments.listen or [port]
    if arguments.host and not any(isinstance(each, int) for each in wanted):
        raise _wrong_usage("--listen has the host: leave out --host, or give each address with --listen")
    addresses = tuple(TcpAddress(hosts, each) if isinstance(each, int) else each for each in wanted)
    where = WhereToListen(
        addresses,
        is_ipv6_only=arguments.ipv6only == "on",
        unix_mode=arguments.unix_mode,
        unix_owner=arguments.unix_owner,
        option="--listen" if arguments.listen else "--port",
    )
    if where.unused_option:
        option = "--" + where.unused_option.replace("_", "-")
        raise _wrong_usage(
            f"{option} is for a Unix socket that has a file{where.why_unused}: "
            "give --listen unix:/path, too, or leave it out"
        )
    return where


def _wrong_usage(message: str) -> CommandError:
    return CommandError(ExitCode.WRONG_USAGE, message)
