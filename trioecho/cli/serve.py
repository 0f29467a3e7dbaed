"""``trioecho serve``: the echo service, or one of a function."""

from __future__ import annotations

import argparse
import os
import sys

from ..base.functions_by_name import FunctionNotFoundError, FunctionReference
from ..base.tls_files import TlsFilesError
from ..server.handler_loading import load_service
from ..server.handlers import echo
from ..server.service import Service, ServiceEndError, ServiceStartError
from .serve_listening import where_to_listen
from .serve_options import add_serve_options, limits_of, workers_of
from .serve_proxy import proxy_protocol_of
from .service import serve_until_signal
from .service_run import ServiceSettings
from .service_upgrade import OwnCommand
from .shared.admin import admin_of
from .shared.exit_codes import ExitCode
from .shared.options import log_settings
from .shared.output import CommandError
from .shared.parser import Commands, Parser, add_command_parser
from .shared.server_tls_options import tls_of

_EPILOG = """\
MODULE:HANDLER is a function from a message to its reply, plain or async, a class of
which each connection gets such a function, a handler of a channel, or an async
context manager that gives one of these: it is entered in each process before that
serves, and left after the drain. A module is looked for
where Python looks, and last in this directory. A file may stand for the module:
shop.py:reply. Without one, the service echoes.

A clock or limit set to 0 is off.

With several workers the kernel divides connections among that many processes.
A worker that dies is replaced, and a client that connects meanwhile waits for
the new one. Reports, the log, a drain and the exit code are of the whole service.
--max-connections is divided evenly: a worker at its share accepts no more, even
if another has room.

With --certfile all connections are under TLS. The files are checked at the start.
SIGHUP then has them read again, for new connections, and drains nothing; if they
cannot be used, the old ones stay.

With --proxy-protocol a balancer in front (HAProxy, nginx) says who its client is,
and logs and handlers have the client's address. Samples: trioecho guide balancers.

The first SIGTERM, SIGHUP or Ctrl-C drains: no new connections, every frame that
has arrived is echoed, then everything is closed. A second one stops at once.
SIGUSR1 prints a report now. A SIGHUP that is ignored at the start (nohup) stays
ignored, and so does a SIGINT (a shell's &).

SIGUSR2 upgrades: this process starts the same command again, as it is installed and
configured by then, and hands its listening sockets over. When the new process
serves, the old one drains; no client is refused. If the new one cannot start, the
old one serves on.

--listen is for any address; --listen 8000 is --port 8000. The file of a Unix socket
that a dead service has left is removed when nobody answers on it; its own one is
removed when a drain begins.

--admin serves metrics and probes over HTTP (trioecho guide operate), beside the
service: if that fails later, the service goes on.

Sockets that a service manager passes (systemd's socket activation) are served instead
of what --listen, --host and --port say; where NOTIFY_SOCKET is set, it is told how
the service is.

exit codes:
  0    drained
  1    the workers died as soon as they were started, or the handler's context
       manager failed in the end
  2    wrong usage
  3    cannot listen on that address, or the handler's context manager cannot start
  4    drained, but something had to be aborted after the grace
  74   drained, but the final report could not be written
  130  stopped at once by a second signal

examples:
  trioecho serve
  trioecho serve --port 0 --metrics-format json >metrics.jsonl
  trioecho serve --host :: --max-frame-length 64KiB --idle-timeout 30s
  trioecho serve --listen :26066 --listen unix:/run/echo.sock --unix-mode 0660
  trioecho serve --workers 0
  trioecho serve --certfile cert.pem --keyfile key.pem
  trioecho serve --admin 127.0.0.1:26068 --drain-delay 5s
  trioecho serve shop:reply
  trioecho serve shop.py:reply --reload
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``serve`` and its options."""
    parser = add_command_parser(
        commands,
        "serve",
        run,
        summary=summary,
        description="Echo length-prefixed frames to any number of clients, or serve a function of your own.\n"
        "Reports go to stdout, the log to stderr.",
        epilog=_EPILOG,
    )
    add_serve_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends the service."""
    reference = FunctionReference(arguments.handler, os.getcwd()) if arguments.handler else None  # noqa: PTH109 - as a string
    settings = ServiceSettings(
        where=where_to_listen(arguments),
        format=arguments.format,
        limits=limits_of(arguments),
        tls=tls_of(arguments),
        proxy_protocol=proxy_protocol_of(arguments),
        workers=workers_of(arguments),
        reference=reference,
        reload=arguments.reload,
        is_json=arguments.metrics_format == "json",
        report_interval_s=arguments.metrics_interval,
        admin=admin_of(arguments),
        drain_delay_s=arguments.drain_delay,
        is_quiet_when_idle=arguments.quiet_when_idle,
        log=log_settings(arguments),
        command=OwnCommand.of_now(),
    )
    if arguments.reload:
        # Python takes a file for unchanged that was written in the same second and has the same size.
        sys.dont_write_bytecode = True
    try:
        service = Service(echo) if reference is None else load_service(reference)
        return serve_until_signal(service, settings)
    except (FunctionNotFoundError, TlsFilesError) as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from error
    except ServiceStartError as error:
        raise CommandError(ExitCode.UNAVAILABLE, str(error)) from error
    except ServiceEndError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from error
