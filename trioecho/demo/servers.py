"""A server of the demo, in a process of its own: start it, read its reports, stop it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from ..base.child_server import ChildServer, ChildServerError, open_child_server
from ..base.processes import own_program
from .page import DemoError

# Much longer than an interpreter takes to start on a busy machine.
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 15.0
# The time from SIGTERM to SIGKILL when the demo is interrupted.
_KILL_AFTER_S = 2.0

SERVE = ("trioecho", "serve", "--metrics-format", "json")
TIMED_SERVER = ("trioecho.demo.timed_server",)


@dataclass(frozen=True)
class ServerReport:
    """What the demo needs of a report line, which `trioecho.server.report_lines.report_as_json` makes.

    Attributes:
      interval_s: length of the interval in seconds.
      messages: messages in the interval.
      messages_total: messages since the start.
      messages_per_s: as the server computed it.
      service_ms: service times: ``mean``, ``p50``, ``p99``; None without messages.
      course_sample_ms: the same messages timed as the course sample does; empty if the server does not.
      final: whether it is the server's last.
    """

    interval_s: float
    messages: int
    messages_total: int
    messages_per_s: float
    service_ms: dict[str, float | None]
    course_sample_ms: dict[str, float | None]
    final: bool


def parse_report(line: str) -> ServerReport:
    """Return the report of a JSON line.

    Raises:
      DemoError: the line is something else.
    """
    try:
        fields: dict[str, Any] = json.loads(line)
        return ServerReport(
            interval_s=fields["interval_s"],
            messages=fields["messages"],
            messages_total=fields["messages_total"],
            messages_per_s=fields["messages_per_s"],
            service_ms=fields["service_ms"],
            course_sample_ms=fields.get("course_sample_ms", {}),
            final=fields["final"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DemoError(f"the server wrote a line that is no report: {line!r}") from None


class Server:
    """A server of the demo that runs; `open_server` gives it.

    Attributes:
      reports (list[ServerReport]): those that came so far.
    """

    def __init__(self, on_report: Callable[[ServerReport], object]) -> None:
        self.reports: list[ServerReport] = []
        self._on_report = on_report
        self._process: ChildServer
        self._news = trio.Event()  # a report, or a line that is none; replaced at each
        self._bad_line: DemoError | None = None

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._process.port

    async def wait_reported(self, messages: int, timeout_s: float) -> None:
        """Wait until the reports cover this number of messages.

        Raises:
          DemoError: they do not in time, or a line came that is no report.
        """
        with trio.move_on_after(timeout_s):
            while self._bad_line is None:
                if self.reports and self.reports[-1].messages_total >= messages:
                    return
                await self._news.wait()
        raise self._bad_line or DemoError(f"no report of {messages} messages within {timeout_s:g} s")

    def terminate(self) -> None:
        """Send SIGTERM, which begins the drain."""
        self._process.terminate()

    async def wait_stopped(self) -> tuple[int, ServerReport]:
        """Wait for the end, after `terminate`; return the exit code and the final report.

        Raises:
          DemoError: it does not end, or makes no final report.
        """
        exit_code = await self._process.wait_ended(_STOP_TIMEOUT_S)
        if self._bad_line is not None:
            raise self._bad_line
        if not self.reports or not self.reports[-1].final:
            last = self._process.last_log_line
            raise DemoError(f"the server ended (exit code {exit_code}) without a final report: {last}")
        return exit_code, self.reports[-1]

    def _take_line(self, line: str) -> None:
        try:
            report = parse_report(line)
        except DemoError as error:
            self._bad_line = self._bad_line or error
        else:
            self.reports.append(report)
            self._on_report(report)
        self._news.set()
        self._news = trio.Event()


@contextlib.asynccontextmanager
async def open_server(
    module: Sequence[str],
    *,
    port: int = 0,
    on_report: Callable[[ServerReport], object] = lambda report: None,
) -> AsyncIterator[Server]:
    """Start a server in a process of its own; the process is gone when the block is left.

    Args:
      module: what to run with ``python -m``, and its arguments: `SERVE` or `TIMED_SERVER`.
      port: where it must listen; 0 for any port that is free.
      on_report: called with each report as it comes.

    Raises:
      DemoError: it does not start.
    """
    server = Server(on_report)
    program = own_program(*module[1:], "--port", str(port), module=module[0])
    try:
        async with open_child_server(
            program._replace(env=_without_settings(program.env or {})),
            start_timeout_s=_START_TIMEOUT_S,
            kill_after_s=_KILL_AFTER_S,
            on_output_line=server._take_line,
        ) as server._process:
            yield server
    except ChildServerError as error:
        raise DemoError(str(error)) from None


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the user's options for ``trioecho serve``: a demo has its own."""
    return {
        name: value
        for name, value in environment.items()
        if name != "TRIOECHO_CONFIG" and not name.startswith("TRIOECHO_SERVE_")
    }
