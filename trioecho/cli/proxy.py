"""``trioecho proxy``: faults on the way between a client and a server."""

from __future__ import annotations

import argparse
import socket
import sys

import trio

from ..base.addresses import listening_line
from ..base.describe import describe
from ..base.endpoint import is_unix
from ..base.listen_address import TcpAddress
from ..base.open_files import connections_that_fit
from ..proxy import ProxyCounts, counts_in_words, relay_connections
from .proxy_options import MAX_CONNECTIONS, add_proxy_options, faults_of, recording_of, tls_of_proxy
from .shared import values
from .shared.admin import admin_of
from .shared.admin_apart import refuse_same_address
from .shared.admin_server import AdminServer
from .shared.exit_codes import ExitCode
from .shared.listening import open_listeners
from .shared.log import NonBlockingLogHandler, open_log, open_log_writer
from .shared.non_blocking_writer import NonBlockingWriter
from .shared.options import (
    chosen_seed,
    log_settings,
)
from .shared.output import CommandError
from .shared.parser import Commands, Parser, add_command_parser
from .shared.signals import open_signals

_FLUSH_S = 0.5

# Its client's socket and its server's.
_DESCRIPTORS_EACH = 2
# A user who did not choose a limit learns only of one below this.
_FEW = 1000

_EPILOG = """\
Bytes, ends of streams and resets are passed on both ways. The proxy never reads
from a side faster than the other side reads. Every frame has the fault, unless
--on-frame or --probability choose some; each fault is a line on stderr, at most
20 a second. The same --seed does the same to the same bytes.

A delay counts from the arrival of a piece; delays overlap, the order stays. At
most 4 MiB in each direction are on their way. The clock ticks in milliseconds.
With --slice the receiving kernel may join pieces again; --gap keeps them apart.
--bandwidth applies to each connection and direction; after a pause the bytes of
100 ms may pass at once.
--duplicate and --swap pass frames of more than 256 MiB as they are.

--record-dir keeps the first 100 connections, and 64 MiB of each direction. A file of
it can be given to --messages, --ask and formats --of.

TLS passes as it is, and its records have no frames to find. With --certfile the
proxy ends the TLS of clients, and with --target-tls it begins one of its own to
the server: faults and recordings are then of what is inside.

A stalled connection is reset when a side has left it and nothing has passed
for 1 s.

SIGTERM, SIGHUP or Ctrl-C resets all connections and ends the proxy; its last
line, on stdout, counts what has passed. SIGUSR1 prints such a line at once.

exit codes:
  0  stopped by a signal
  2  wrong usage
  3  cannot listen on that address

examples:
  trioecho proxy 127.0.0.1:26066 --port 26067 --slice 1-3 --gap 1ms
  trioecho proxy 127.0.0.1:26066 --port 26067 --corrupt --on-frame 7
  trioecho proxy 127.0.0.1:26066 --port 26067 --reset --probability 0.001
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``proxy`` and its options."""
    parser = add_command_parser(
        commands,
        "proxy",
        run,
        summary=summary,
        description="Pass connections on to a server, and do to them what networks and bad peers do.",
        epilog=_EPILOG,
    )
    add_proxy_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pass connections on until a signal ends the proxy."""
    counts = ProxyCounts()
    return trio.run(_proxy, arguments, counts, _admin_server(arguments, counts))


async def _proxy(arguments: argparse.Namespace, counts: ProxyCounts, admin: AdminServer | None) -> int:
    to_server, to_client = faults_of(arguments)
    await _check_host(arguments.address)
    tls = tls_of_proxy(arguments)
    seed = chosen_seed(arguments)
    recording = recording_of(arguments)
    host = arguments.host or "127.0.0.1"
    if admin is not None:
        await refuse_same_address(admin.address, [TcpAddress((host,), arguments.port)], "the proxy")
    listeners = await open_listeners(host, arguments.port)
    try:
        if admin is not None:
            await admin.listen()
    except CommandError:
        for listener in listeners:
            await listener.aclose()
        raise
    of_log = log_settings(arguments)
    report, log = NonBlockingWriter(sys.stdout), open_log_writer(sys.stderr, of_log)
    logger = open_log(NonBlockingLogHandler(log, of_log))
    with open_signals(lambda: report.write_line(counts_in_words(counts)), is_last=True) as signals:
        async with trio.open_nursery() as nursery:
            for writer in (report, log):
                nursery.start_soon(writer.run)
            max_connections = connections_that_fit(arguments.max_connections, _DESCRIPTORS_EACH)

            async def relay() -> None:
                await relay_connections(
                    listeners,
                    *arguments.address,
                    to_server=to_server,
                    to_client=to_client,
                    seed=seed,
                    max_connections=max_connections,
                    counts=counts,
                    recording=recording,
                    tls=tls,
                )

            nursery.start_soon(relay)
            logger.info(listening_line(listener.socket.getsockname() for listener in listeners))
            if admin is not None:
                nursery.start_soon(admin.run)
                admin.log_where()
            wanted = arguments.max_connections
            if max_connections != wanted and (wanted != MAX_CONNECTIONS or max_connections < _FEW):
                logger.info(
                    "the limit of open files leaves room for %d connections at a time; more wait "
                    "(ulimit -n raises it)",
                    max_connections,
                )
            await anext(signals)
            nursery.cancel_scope.cancel()
        report.write_line(f"final: {counts_in_words(counts)}")
        for writer in (report, log):
            writer.flush(_FLUSH_S)
    return ExitCode.OK


def _admin_server(arguments: argparse.Namespace, counts: ProxyCounts) -> AdminServer | None:
    """Return what serves ``--admin``; it does not listen yet."""
    address = admin_of(arguments)
    if address is None:
        return None
    from ..admin.proxy_pages import proxy_pages

    return AdminServer(address, proxy_pages(counts))


async def _check_host(address: values.Address) -> None:
    """Refuse a name that cannot be encoded: it would fail with every connection, and not before."""
    if is_unix(address.host):
        return
    try:
        await trio.socket.getaddrinfo(*address, flags=socket.AI_NUMERICHOST)
    except UnicodeError as error:
        raise CommandError(
            ExitCode.WRONG_USAGE, f"{address.host!r} cannot be the name of a host: {describe(error)}"
        ) from error
    except OSError:
        pass  # it is not an address, but a name, which is resolved for each connection
