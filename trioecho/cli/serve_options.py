"""The options of ``trioecho serve``, and the limits and workers that they ask for."""

from __future__ import annotations

import argparse

from ..base.processors import count_processors
from ..framing import DEFAULT_MAX_FRAME_LENGTH
from ..limits import Limits
from ..server.workers.shared_ports import can_share_ports
from .serve_listening import add_serve_listening_options
from .serve_proxy import add_proxy_protocol_options, proxy_header_timeout_of
from .shared import values
from .shared.admin import add_admin_option
from .shared.exit_codes import ExitCode
from .shared.options import (
    add_format_option,
    add_log_options,
    add_max_connections_option,
    add_max_frame_length_option,
    add_workers_option,
    check_expressible,
)
from .shared.output import CommandError
from .shared.parser import Parser
from .shared.server_tls_options import add_tls_options


def add_serve_options(parser: Parser) -> None:
    """Add all options."""
    limits = Limits()
    add = parser.add_argument
    add(
        "handler",
        nargs="?",
        metavar="MODULE:HANDLER",
        help="the function to serve, such as shop:reply or shop.py:reply; without one, echoes",
    )
    add_serve_listening_options(parser)
    add_format_option(parser)
    add_max_frame_length_option(
        parser, "largest payload of a frame (default: 1MiB, as nginx's client_max_body_size)"
    )
    add_max_connections_option(parser, limits.max_connections, remark=", as Redis's maxclients")
    add_workers_option(
        parser,
        "processes that serve; 0 for as many as there are processors, by affinity and by the control group's "
        "quota",
    )
    add(
        "--reload",
        action="store_true",
        help="while you write MODULE:HANDLER: when one of its source files changes, drain and start anew",
    )
    for option, default, text in (
        (
            "--idle-timeout",
            limits.idle_timeout_s,
            "silence between frames (default: 5m, as Envoy's stream_idle_timeout)",
        ),
        (
            "--frame-timeout",
            limits.frame_timeout_s,
            "time from a frame's first byte to its last (default: 1m, as nginx)",
        ),
        (
            "--write-timeout",
            limits.write_timeout_s,
            "time since the kernel last accepted a byte to send (default: 1m, as nginx)",
        ),
        (
            "--tls-handshake-timeout",
            limits.tls_handshake_timeout_s,
            "time for the handshake, with --certfile (default: 1m, as nginx)",
        ),
        ("--grace", limits.grace_s, "the longest that a drain may take (default: 10s, as docker stop)"),
    ):
        add(option, type=values.seconds, metavar="TIME", default=default, help=text)
    add_tls_options(parser)
    add_proxy_protocol_options(parser)
    add(
        "--spin",
        type=values.seconds,
        metavar="TIME",
        default=limits.spin_s,
        help="while messages come one close upon the other, look for the next one that long before sleeping; "
        "at most 1ms; 0 spares the processor and makes such clients slower (default: 50us)",
    )
    add(
        "--metrics-interval",
        type=values.seconds,
        metavar="TIME",
        default=2.0,
        help="time from report to report; 0 for the final one only (default: 2s)",
    )
    add(
        "--metrics-format",
        type=values.one_of("text", "json"),
        metavar="{text,json}",
        default="text",
        help="a line of text for people, or a line of JSON (default: text)",
    )
    add(
        "--quiet-when-idle",
        action="store_true",
        help="leave out reports of a time in which nothing happened, when the one before was of such a time",
    )
    add_admin_option(parser, "a page to watch, /metrics for Prometheus, /livez, /readyz and /report")
    add(
        "--drain-delay",
        type=values.seconds,
        metavar="TIME",
        default=0.0,
        help="time from the first signal, when /readyz turns to 503, until no more connections are accepted "
        "(default: 0)",
    )
    add_log_options(parser)


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Return the limits of the service.

    Raises:
      CommandError: the headers cannot express the largest payload.
    """
    max_frame_length = DEFAULT_MAX_FRAME_LENGTH
    if arguments.max_frame_length is not None:
        max_frame_length = arguments.max_frame_length
        check_expressible("--max-frame-length", max_frame_length, arguments.format)
    return Limits(
        max_frame_length=max_frame_length,
        max_connections=arguments.max_connections,
        idle_timeout_s=arguments.idle_timeout,
        frame_timeout_s=arguments.frame_timeout,
        write_timeout_s=arguments.write_timeout,
        tls_handshake_timeout_s=arguments.tls_handshake_timeout,
        proxy_header_timeout_s=proxy_header_timeout_of(arguments),
        grace_s=arguments.grace,
        spin_s=arguments.spin,
    )


def workers_of(arguments: argparse.Namespace) -> int:
    """Return the number of processes that serve.

    Raises:
      CommandError: this system cannot serve with that many, or there are more than connections.
    """
    workers: int = arguments.workers or count_processors()
    if arguments.reload:
        _check_reload(arguments.handler)
    if workers > 1:
        _check_workers(workers, arguments.max_connections)
    return workers


def _check_reload(handler: str | None) -> None:
    if handler is None:
        raise CommandError(
            ExitCode.WRONG_USAGE, "--reload is for a function of your own: give it as MODULE:HANDLER, too"
        )
    if not can_share_ports():
        raise CommandError(
            ExitCode.WRONG_USAGE, "--reload: on this system a process cannot inherit a port from another"
        )


def _check_workers(workers: int, max_connections: int) -> None:
    if not can_share_ports():
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"--workers {workers}: this system does not let processes share a port (it has no SO_REUSEPORT); "
            "leave it at --workers 1",
        )
    if 0 < max_connections < workers:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"--max-connections {max_connections} is less than one for each of {workers} workers",
        )
