"""`run_service`: ``trioecho serve`` for a Python program that has a function of its own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import trio

from ..base.listen_address import ListenAddress, TcpAddress, parse_listen_address
from ..base.processors import count_processors
from ..base.tls_files import TlsFiles
from ..base.unix_socket import parse_owner
from ..framing import FrameFormat
from ..limits import Limits
from ..server.handler_loading import reference_to
from ..server.proxy_protocol import ProxyProtocol
from ..server.report import Report
from ..server.service import Served, Service, ServiceEndError, ServiceStartError
from ..server.workers.supervisor import divide
from .service import serve_until_signal
from .service_listeners import WhereToListen
from .service_run import ServiceSettings
from .shared.exit_codes import ExitCode
from .shared.output import CommandError

_Parsed = TypeVar("_Parsed")


def run_service(
    handler: Served | Callable[[], AbstractAsyncContextManager[Served]],
    *,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 26066,
    listen: str | Sequence[str] = (),
    ipv6only: bool = True,
    unix_mode: int | None = None,
    unix_owner: str | None = None,
    format: FrameFormat | None = None,
    limits: Limits | None = None,
    ssl_context: TlsFiles | ssl.SSLContext | None = None,
    proxy_protocol: ProxyProtocol | None = None,
    workers: int = 1,
    on_report: Callable[[Report], object] | None = None,
    report_interval_s: float = 2.0,
) -> int:
    """Serve a function until a signal ends the service, as ``trioecho serve`` does.

    This is a whole program: it runs Trio, and takes over signals, in the main thread. The first
    SIGTERM, SIGHUP or Ctrl-C drains, a second one stops at once, and SIGUSR1 reports now. With
    `TlsFiles`, SIGHUP has them read again, and drains nothing. None of
    them raises an exception. Within a program that runs Trio already, use `serve_frames`.

    Args:
      handler: what its argument says. ``(message: bytes)`` returns the reply to a message;
        plain or async, as `reply_with` takes. ``(connection: ConnectionInfo)`` makes one of these
        for each connection, as `reply_per_connection` takes. ``async (channel: FrameChannel)`` has a
        whole connection, as `serve_frames` takes. Without an argument it is an async context
        manager, which gives one of these: it is entered before the service listens, and left
        after the drain.
      host: name or address to listen on, or several.
      port: to listen on; 0 for any that is free.
      listen: where to listen instead, one address or several, as ``trioecho serve --listen`` has them:
        ``HOST:PORT``, ``[::]:PORT``, ``:PORT`` for every address, ``unix:/path``, or ``fd://3`` for a
        descriptor that listens.
      ipv6only: whether ``[::]`` is IPv6 alone; with False it has IPv4, too.
      unix_mode: of the file of a Unix socket, such as ``0o660``; None leaves it to the umask.
      unix_owner: of that file: ``USER``, ``USER:GROUP`` or ``:GROUP``; None for that of this process.
      format: how headers are written.
      limits: sizes, numbers and clocks.
      ssl_context: for TLS: `TlsFiles`, which each worker reads and which SIGHUP has read again; or
        the context of a server, with ``workers=1``. SIGHUP drains where there are no files.
      proxy_protocol: as in `serve_frames`, behind a balancer.
      workers: the number of processes that serve, 0 for as many as there are processors. With
        several, ``handler`` has to be at the top of a module, which each imports. In the file of
        the program itself, call `run_service` under ``if __name__ == "__main__":`` then.
      on_report: gets a `Report` at every interval and a final one; must return at
        once, and should not raise. By default each is printed on stdout, as a line.
      report_interval_s: seconds between reports; 0 for only the final one.

    Returns:
      The exit status of ``trioecho serve``: 0 drained, 4 drained but something was aborted after
      the grace, 74 the final report could not be written, 130 stopped by a second signal.

    The log, with the line ``listening on HOST:PORT``, goes to stderr, unless the program has given the
    logger ``trioecho`` or the root logger a handler.

    Raises:
      TypeError: ``handler`` is none of these, or it cannot be seen which.
      TlsFilesError: a `ValueError`; the files of TLS cannot be used.
      OSError: that address cannot be listened on.
      ValueError: an address of ``listen``, or ``unix_owner``, is none; or there is no file that
        ``unix_mode`` or ``unix_owner`` could be for.
      RuntimeError: Trio runs already; or workers cannot be started.
      ValueError: this is not the main thread; or other processes cannot import ``handler``, or
        there are more workers than connections.
      Whatever the context manager raises.
    """
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "run_service() runs Trio itself; where Trio runs already, use serve_frames(). In a file that "
            'workers import, it has to be under if __name__ == "__main__":'
        )
    limits = limits or Limits()
    workers = workers or count_processors()
    if workers > 1:
        divide(limits.max_connections, workers)
        if isinstance(ssl_context, ssl.SSLContext):
            raise ValueError(
                "several workers cannot share an SSLContext: give TlsFiles(...), which each reads"
            )
    where = WhereToListen(
        _addresses(host, port, [listen] if isinstance(listen, str) else listen),
        is_ipv6_only=ipv6only,
        unix_mode=unix_mode,
        unix_owner=None if unix_owner is None else _read("unix_owner", parse_owner, unix_owner),
        option="listen" if listen else "--port",
    )
    if where.unused_option:
        raise ValueError(f"{where.unused_option} is for a Unix socket that has a file{where.why_unused}")
    settings = ServiceSettings(
        where=where,
        format=format or FrameFormat(),
        limits=limits,
        tls=ssl_context,
        proxy_protocol=proxy_protocol,
        workers=workers,
        reference=reference_to(handler) if workers > 1 else None,
        on_report=on_report,
        report_interval_s=report_interval_s,
        is_whole_process=False,
    )
    try:
        return int(serve_until_signal(Service(handler), settings))  # as a plain number prints, in any Python
    except (CommandError, ServiceStartError, ServiceEndError) as error:
        failure = error
    raise _error_for_caller(failure)


def _addresses(host: str | Sequence[str], port: int, listen: Sequence[str]) -> tuple[ListenAddress, ...]:
    hosts = (host,) if isinstance(host, str) else tuple(host)
    if not listen:
        return (TcpAddress(hosts, port),)
    return tuple(_read("listen", parse_listen_address, text) for text in listen)


def _read(name: str, parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} {error}") from None


def _error_for_caller(failure: CommandError | ServiceStartError | ServiceEndError) -> BaseException:
    """Return what a caller of the library can catch: an `OSError`, or what the context manager has raised."""
    if isinstance(failure, CommandError) and failure.exit_code == ExitCode.UNAVAILABLE:
        return OSError(getattr(failure.__cause__, "errno", None), str(failure))
    return failure.__cause__ or RuntimeError(str(failure))
