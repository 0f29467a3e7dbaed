"""``trioecho proxy``: faults on the way between a client and a server."""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from collections.abc import Iterator

import trio

from ..base.addresses import listening_line
from ..base.describe import describe
from ..base.endpoint import is_unix
from ..base.open_files import connections_that_fit
from ..proxy import (
    ManagedProxy,
    ProxyRequestError,
    ProxySet,
    ProxySettings,
    ProxyTls,
    TimedFileRecording,
    counts_in_words,
)
from .proxy_options import (
    MAX_CONNECTIONS,
    add_proxy_options,
    check_recording,
    checked_circles,
    client_limits_of,
    recording_of,
    settings_of,
    settings_of_file,
    tls_of_proxy,
)
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
from .standard_input import wait_for_end_of_stdin

logger: logging.Logger = logging.getLogger(__name__)

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

--record writes a line of JSON for each piece, with its time, up to 1 GiB; trioecho
load --replay sends it again.

--proxies names a TOML file, in which each proxy stands below [[proxy]], with name,
target, listen and faults: faults = [{ fault = "corrupt", on-frame = 7 }].
--admin has an API that changes proxies and faults while connections last; the
proxy of the command line is called proxy. trioecho guide proxy explains both.

A stalled connection is reset when a side has left it and nothing has passed
for 1 s.

SIGTERM, SIGHUP or Ctrl-C resets all connections and ends the proxy; its last
line, on stdout, counts what has passed. SIGUSR1 prints such a line at once.

exit codes:
  0  stopped by a signal, or by the end of stdin
  2  wrong usage
  3  cannot listen on that address

examples:
  trioecho proxy 127.0.0.1:26066 --port 26067 --slice 1-3 --gap 1ms
  trioecho proxy 127.0.0.1:26066 --port 26067 --corrupt --on-frame 7
  trioecho proxy 127.0.0.1:26066 --port 26067 --reset --probability 0.001
  trioecho proxy --proxies proxies.toml --admin 127.0.0.1:26080
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
    tls = tls_of_proxy(arguments)
    settings = _settings(arguments, tls)
    check_recording(arguments)
    proxies = ProxySet(
        limits=client_limits_of(arguments),
        most_connections=connections_that_fit(_most_open(arguments, settings), _DESCRIPTORS_EACH),
        tls=tls,
        is_changeable=arguments.admin is not None,
        on_listening=_log_listening,
    )
    return trio.run(_proxy, arguments, settings, proxies, _admin_server(arguments, proxies))


def _settings(arguments: argparse.Namespace, tls: ProxyTls) -> list[ProxySettings]:
    if arguments.proxies is not None:
        if arguments.address is not None:
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"with --proxies, {arguments.proxies} has the targets; leave out HOST:PORT",
            )
        return checked_circles(settings_of_file(arguments, chosen_seed(arguments), tls))
    if arguments.address is not None:
        return checked_circles([settings_of(arguments, chosen_seed(arguments), tls)])
    if arguments.admin is None:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "where is the server? Give HOST:PORT, or --proxies FILE, or --admin ADDRESS to add proxies later",
        )
    return []


async def _proxy(
    arguments: argparse.Namespace,
    settings: list[ProxySettings],
    proxies: ProxySet,
    admin: AdminServer | None,
) -> int:
    is_only = arguments.address is not None
    for each in settings:
        await _check_host(values.Address(*each.target))
    recordings = [recording_of(arguments, each) for each in settings]
    if admin is not None:
        await refuse_same_address(admin.address, [each.listen for each in settings], "the proxy")
    opened = await _open_all(settings, arguments.proxies, admin)
    of_log = log_settings(arguments)
    report, log = NonBlockingWriter(sys.stdout), open_log_writer(sys.stderr, of_log)
    open_log(NonBlockingLogHandler(log, of_log))

    def report_counts(prefix: str = "") -> None:
        for line in _count_lines(proxies, is_only=is_only):
            report.write_line(f"{prefix}{line}")

    refusal: ProxyRequestError | None = None
    with open_signals(report_counts, is_last=True) as signals:
        async with trio.open_nursery() as nursery:
            for writer in (report, log):
                nursery.start_soon(writer.run)
            await nursery.start(proxies.run)
            try:
                for each, listeners, recording in zip(settings, opened, recordings, strict=True):
                    await proxies.add(each, listeners=listeners, recording=recording, is_only=is_only)
            except ProxyRequestError as error:
                refusal = error
            else:
                if admin is not None:
                    nursery.start_soon(admin.run)
                    admin.log_where()
                _log_few_connections(_most_wanted(arguments, settings))
                if arguments.end_with_stdin:
                    nursery.start_soon(_end_with_stdin, nursery.cancel_scope)
                await anext(signals)
            nursery.cancel_scope.cancel()
        for recording in recordings:
            if isinstance(recording, TimedFileRecording):
                recording.close()
        if refusal is None:
            report_counts("final: ")
        for writer in (report, log):
            writer.flush(_FLUSH_S)
    if refusal is not None:  # raised here, as a nursery would make a group of it
        raise CommandError(ExitCode.WRONG_USAGE, str(refusal)) from refusal
    return ExitCode.OK


async def _end_with_stdin(scope: trio.CancelScope) -> None:
    await wait_for_end_of_stdin()
    scope.cancel()


async def _open_all(
    settings: list[ProxySettings], path: str | None, admin: AdminServer | None
) -> list[list[trio.SocketListener] | None]:
    """Listen for every proxy that is enabled, and for the pages, before any of it begins.

    Raises:
      CommandError: an address cannot be listened on, or a proxy leads back to itself; nothing is left
        open.
    """
    opened: list[list[trio.SocketListener] | None] = []
    try:
        for each in settings:
            hosts, port = each.listen.hosts, each.listen.port
            if path is None:
                opened.append(await open_listeners(hosts, port))
            elif each.enabled:
                opened.append(await _open_named(each, path))
            else:
                opened.append(None)
        # Names have their addresses now.
        checked_circles(settings, [[each.socket.getsockname() for each in one or ()] for one in opened])
        if admin is not None:
            await admin.listen()
    except CommandError:
        for listener in (each for listeners in opened for each in listeners or ()):
            await listener.aclose()
        raise
    return opened


async def _open_named(settings: ProxySettings, path: str) -> list[trio.SocketListener]:
    try:
        return await open_listeners(settings.listen.hosts, settings.listen.port, option="--listen")
    except CommandError as error:
        raise CommandError(error.exit_code, f"{path}: {settings.name}: {error}") from error


def _most_wanted(arguments: argparse.Namespace, settings: list[ProxySettings]) -> int:
    """Return how many connections at a time a proxy may have; 0 for any number."""
    wanted = [each.limits.max_connections for each in settings] or [arguments.max_connections]
    return max(wanted) if all(wanted) else 0


def _most_open(arguments: argparse.Namespace, settings: list[ProxySettings]) -> int:
    """Return how many connections open files are asked for; 0 for any number."""
    most = _most_wanted(arguments, settings)
    if arguments.admin is not None or not most:
        return 0  # whatever the limits become later
    return max(MAX_CONNECTIONS, most) + 1  # the one more is there until it is reset


def _log_listening(proxy: ManagedProxy) -> None:
    logger.info("%s%s", proxy.log_name, listening_line(proxy.addresses))


def _log_few_connections(wanted: int) -> None:
    most = connections_that_fit(wanted, _DESCRIPTORS_EACH)
    if most != wanted and (wanted != MAX_CONNECTIONS or most < _FEW):
        logger.info(
            "the limit of open files leaves room for %d connections at a time; more wait "
            "(ulimit -n raises it)",
            most,
        )


def _count_lines(proxies: ProxySet, *, is_only: bool) -> Iterator[str]:
    """Yield what each proxy has done if there are several, and at last what all have done."""
    if not (is_only and len(proxies) == 1):
        for proxy in proxies:
            yield f"{proxy.name}: {counts_in_words(proxy.counts)}"
    yield counts_in_words(proxies.total())


def _admin_server(arguments: argparse.Namespace, proxies: ProxySet) -> AdminServer | None:
    """Return what serves ``--admin``; it does not listen yet."""
    where = admin_of(arguments)
    if where is None:
        return None
    from ..admin.http_connection import HttpLimits
    from ..admin.proxy_api import proxy_api
    from ..admin.proxy_pages import proxy_pages

    # Tests command it, and must not wait for their turn as strangers do.
    limits = HttpLimits(accepts=1000, receives=4000, requests=800)
    return AdminServer(where, proxy_pages(proxies), commands=proxy_api(proxies), limits=limits)


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
