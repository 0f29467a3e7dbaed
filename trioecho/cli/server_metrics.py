"""``--server-metrics``: what the server of a load reports of itself, beside what the clients measure."""

from __future__ import annotations

import argparse
import importlib
import logging
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

logger: logging.Logger = logging.getLogger(__name__)

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
        import_package("httpx", "httpx", "admin", "--server-metrics")
    return url


class ServerWatch:
    """Reads the metrics of a server once a second, for a board.

    To be made before the load begins: what it imports takes a while.

    Args:
      url: of the metrics.
      board: where they are shown.
    """

    def __init__(self, url: str, board: LoadBoard) -> None:
        from ..admin.server_metrics import ServerMetricsError, ServerTimes

        httpx: Any = importlib.import_module("httpx")
        self._url = url
        self._board = board
        self._times = ServerTimes()
        self._failures = (httpx.HTTPError, ServerMetricsError)
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)
        self._kinds: set[tuple[object, ...]] = set()

    async def run(self) -> None:
        """Read until cancelled; a failure is an event of the board, and the first of its kind a warning."""
        trouble = ""
        async with self._client:
            while True:
                mean_ms, failure = None, ""
                try:
                    mean_ms = self._times.mean_ms(await _read(self._client, self._url))
                except self._failures as error:
                    failure = f"the server's metrics cannot be read: {describe(error)}"
                    self._warn(error, failure)
                if failure != trouble and failure:
                    self._board.feed.note_event(failure)
                trouble = failure
                self._board.note_server(mean_ms)
                await trio.sleep(_INTERVAL_S)

    def _warn(self, error: Exception, failure: str) -> None:
        # The words of an error may differ each time, as when they have a line of what was read.
        kind = (type(error), getattr(getattr(error, "response", None), "status_code", None))
        if kind not in self._kinds:
            self._kinds.add(kind)
            logger.warning("--server-metrics %s: %s", self._url, failure)


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
