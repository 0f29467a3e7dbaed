"""The options of a load for how its connections come and go."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Callable, Sequence

from ..base.endpoint import is_unix
from ..load import Churn, Span
from ..load.churn import parse_source
from ..load.engine.local_addresses import check_source
from . import load_values
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError


def add_connection_options(group: argparse._ArgumentGroup) -> None:
    """Add how connections come and go."""
    add = group.add_argument
    add(
        "--reconnect",
        action="store_true",
        help="open a connection again that is lost, with growing, random waits while that fails; what was in "
        "flight on it is lost, and the outage is in every report",
    )
    add(
        "--per-connection",
        type=_counts,
        metavar="N[-M]",
        help="end a connection in order after N messages, or N to M at random, and open a new one",
    )
    add(
        "--lifetime",
        type=_times,
        metavar="TIME[-TIME]",
        help="the same after a time, as 30s or 10s-1m",
    )
    add(
        "--connect-rate",
        type=load_values.connect_rate,
        metavar="RATE",
        help="begin at most so many new connections/s, at the start and later",
    )
    add(
        "--bind",
        "--source",
        type=_source,
        metavar="ADDR[%DEV]",
        dest="sources",
        action="append",
        default=[],
        help="connect from this address of this machine, over this network device if there is one; given "
        "several times, from each in turn; on a --cluster each machine takes those that are its own",
    )
    add(
        "--proxy-protocol",
        type=values.one_of("v1", "v2"),
        metavar="{v1,v2}",
        help="begin each connection with a PROXY header of its own addresses, as a balancer does",
    )


def _counts(text: str) -> Span:
    """Read a number of messages, or two with a hyphen between them: ``100``, ``50-150``."""
    return _span(text, values.positive_count)


def _times(text: str) -> Span:
    """Read a time, or two with a hyphen between them: ``30s``, ``10s-1m``."""
    span = _span(text, values.seconds)
    if not span.least:
        raise values.refusal(text, "is no lifetime; a connection lives for more than 0 s")
    return span


def _span(text: str, read: Callable[[str], float]) -> Span:
    least, hyphen, most = text.partition("-")
    span = Span(read(least), read(most if hyphen else least))
    if span.least > span.most:
        raise values.refusal(text, f"has its larger end first; write {most}-{least}")
    return span


def _source(text: str) -> str:
    """Read an address, perhaps with a device."""
    try:
        source = str(parse_source(re.sub(r"\[(.*)\]", r"\1", text.strip())))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return source


def churn_of(arguments: argparse.Namespace, *, is_on_cluster: bool = False) -> Churn:
    """Return how connections come and go.

    Args:
      arguments: of the command line.
      is_on_cluster: whether the machines of a cluster open them; each finds out which addresses are its own.

    Raises:
      CommandError: the options contradict each other.
    """
    try:
        churn = Churn(
            arguments.reconnect,
            arguments.per_connection,
            arguments.lifetime,
            arguments.connect_rate,
            tuple(arguments.sources),
        )
    except ValueError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    if not is_on_cluster:
        _refuse_foreign(churn.sources)
    if churn.sources:
        if is_unix(arguments.address.host):
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"--bind is for TCP, and {arguments.address} has no addresses to connect from",
            )
        _refuse_other_family(arguments.address.host, churn.sources[0])
    return churn


def _refuse_foreign(sources: Sequence[str]) -> None:
    for source in sources:
        try:
            check_source(source)
        except ValueError as error:
            raise CommandError(ExitCode.WRONG_USAGE, f"argument --bind: {error}") from None


def _refuse_other_family(host: str, source: str) -> None:
    try:
        server = ipaddress.ip_address(host)
    except ValueError:  # a name, whose addresses are not known yet
        return
    if server.version != parse_source(source).address.version:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"--bind {source} and the server {host} are not both of IPv4, or both of IPv6",
        )
