"""``trioecho client``: send messages and verify every echo."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ..base.addresses import format_address
from ..base.quantities import in_rate
from ..client.session import CannotVerifyError, EchoPlan, verify_server
from ..client.verifying import EchoError, EchoSummary
from .shared import values
from .shared.exit_codes import EndedBySignalError, ExitCode
from .shared.options import (
    add_address,
    add_format_option,
    add_seed_option,
    check_expressible,
    chosen_seed,
)
from .shared.output import CommandError, print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.signals import run_until_signal
from .shared.tls_options import add_client_tls_options, tls_connecting_of

_EPILOG = """\
Messages go out one at a time; each echo is compared, in content and order,
before the next is sent. No two messages are alike. A server that does not
echo the first message is asked what it is.

exit codes:
  0  every echo came back right
  1  an echo was wrong, or did not come
  2  wrong usage
  3  the server cannot be reached, or does not reply to frames

examples:
  trioecho client 127.0.0.1:26066
  trioecho client '[::1]:26066' -n 1000 --size 0-64KiB
  trioecho client localhost:26066 --tls --cacert ca.pem
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``client`` and its options."""
    parser = add_command_parser(
        commands,
        "client",
        run,
        summary=summary,
        description="Send messages to an echo service and verify every echo.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add_address(parser)
    add(
        "-n",
        "--messages",
        type=values.positive_count,
        metavar="N",
        default=100,
        help="messages on the connection (default: %(default)s)",
    )
    add(
        "--size",
        type=values.size_range,
        metavar="SIZE",
        default=values.SizeBounds(64, 64),
        help="payload of a message: 64, 4KiB, or a range as 0-64KiB (default: 64)",
    )
    add_format_option(parser)
    add_seed_option(parser, "decides the sizes")
    add(
        "--timeout",
        type=values.seconds,
        metavar="TIME",
        default=10.0,
        help="longest wait for an echo; 0 for no limit (default: 10s)",
    )
    add_client_tls_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send, verify, report."""
    sizes: values.SizeBounds = arguments.size
    check_expressible("--size", sizes.most, arguments.format)
    tls = tls_connecting_of(arguments)
    plan = EchoPlan(
        arguments.address.host,
        arguments.address.port,
        messages=arguments.messages,
        least_bytes=sizes.least,
        most_bytes=sizes.most,
        seed=chosen_seed(arguments),
        timeout_s=arguments.timeout,
        format=arguments.format,
        ssl_context=tls.context,
        server_hostname=tls.server_hostname,
    )
    summary = EchoSummary()
    failure: Exception | None = None
    try:
        run_until_signal(verify_server, plan, summary)
    except CannotVerifyError as error:
        raise CommandError(ExitCode.UNAVAILABLE, str(error)) from None
    except EchoError as error:
        failure = CommandError(ExitCode.FAILED, str(error))
    except EndedBySignalError as error:
        failure = error
    for line in _summary_lines(summary, plan, sizes):
        print_result(line)
    if failure is not None:
        raise failure
    return ExitCode.OK


def _summary_lines(summary: EchoSummary, plan: EchoPlan, sizes: values.SizeBounds) -> Iterator[str]:
    right, wanted = summary.messages, plan.messages
    counted = f"all {right:,}" if right == wanted else f"{right:,} of {wanted:,}"
    yield f"{format_address((plan.host, plan.port))}: {counted} messages ({sizes}) came back right"
    if right:
        trips = summary.round_trip_ns
        percentiles = ", ".join(
            f"{name} {(value or 0) / 1e6:.3f}"
            for name, value in (
                ("p50", trips.percentile(50)),
                ("p99", trips.percentile(99)),
                ("max", trips.max),
            )
        )
        rate = right / summary.elapsed_s if summary.elapsed_s else 0
        yield f"time {summary.elapsed_s:.3f} s, {in_rate(rate)} messages/s, round trip ms: {percentiles}"
