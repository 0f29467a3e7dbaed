"""``--server-metrics``: what the server of a load reports of itself, beside what the clients measure."""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio

from ..base.describe import describe
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError
from .shared.parser import Parser
from .shared.required_package import import_package

if TYPE_CHECKING:
    from ..admin.load_board import LoadBoard

_INTERVAL_S = 1.0
_TIMEOUT_S = 2.0
_MOST_BYTES = 1 << 20


def add_server_metrics_option(parser: Parser) -> None:
    """Add the option."""
    parser.add_argument(
        "--server-metrics",
        type=_read_url,
        metavar="URL",
        help="with --admin: show the service time that the server itself reports, which is a trioecho serve "
        "--admin, as http://127.0.0.1:26068/metrics",
    )


def _read_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise values.refusal(text, "is not the address of metrics; write http://127.0.0.1:26068/metrics")
    return text


def server_metrics_of(arguments: argparse.Namespace) -> str | None:
    """Return the URL; None if it was not given.

    Raises:
      CommandError: there is no page that would show it, or what reads it is not installed.
    """
    url: str | None = arguments.server_metrics
    if url is not None:
        if arguments.admin is None:
            raise CommandError(
                ExitCode.WRONG_USAGE, "--server-metrics is shown on the page of --admin: give that, too"
            )
        import_package("httpx", "httpx")
    return url


async def watch_server(url: str, board: LoadBoard) -> None:
    """Read the metrics once a second until cancelled; a failure is an event of the board."""
    httpx: Any = importlib.import_module("httpx")
    from ..admin.server_metrics import ServerMetricsError, ServerTimes

    times = ServerTimes()
    trouble = ""
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        while True:
            mean_ms, failure = None, ""
            try:
                mean_ms = times.mean_ms(await _read(client, url))
            except (httpx.HTTPError, ServerMetricsError) as error:
                failure = describe(error)
            if failure != trouble and failure:
                board.feed.note_event(f"the server's metrics cannot be read: {failure}")
            trouble = failure
            board.note_server(mean_ms)
            await trio.sleep(_INTERVAL_S)


async def _read(client: Any, url: str) -> str:
    """Return the text, at most as much of it as metrics have."""
    async with client.stream("GET", url, headers={"accept": "text/plain;version=0.0.4"}) as response:
        response.raise_for_status()
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _MOST_BYTES:
                break
    return body.decode("utf-8", "replace")
