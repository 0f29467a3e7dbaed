"""A server as a process of its own: start it, hear its reports, stop it."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from .page import DemoError

# Generous, as an interpreter may have to start on a machine that is busy.
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 15.0
# What a process gets between being asked to end and being killed, when the demo is interrupted.
_KILL_AFTER_S = 2.0

SERVE = ("trioecho", "serve", "--metrics-format", "json")
TIMED_SERVER = ("trioecho.demo.timed_server",)


@dataclass(frozen=True)
class ServerReport:
    """What the demo needs of a report line, as written by `trioecho.report.report_as_json`.

    Attributes:
      interval_s: length of the interval in seconds.
      messages: messages in the interval.
      messages_total: messages since the start.
      messages_per_s: as the server computed it.
      service_ms: service times: ``mean``, ``p50``, ``p99``; None without messages.
      course_sample_ms: the same messages timed the course sample's way; empty if the server did not.
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
    """A report from its JSON line.

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
    """A server process that is running; `running_server` gives it.

    Attributes:
      port (int): where it listens, on 127.0.0.1.
      reports (list[ServerReport]): those that came so far.
    """

    def __init__(self, process: trio.Process, on_report: Callable[[ServerReport], object] | None) -> None:
        self.port: int = 0
        self.reports: list[ServerReport] = []
        self._process = process
        self._on_report = on_report
        self._last_words = "nothing"  # the last line on its stderr
        self._is_listening = trio.Event()
        self._news = trio.Event()  # a report, or an end of output; replaced at each
        self._output_ended = 0
        self._bad_line: DemoError | None = None

    async def wait_listening(self) -> None:
        """Wait until it listens.

        Raises:
          DemoError: it ended instead, or takes too long.
        """
        with trio.move_on_after(_START_TIMEOUT_S) as patience:
            await self._is_listening.wait()
        if patience.cancelled_caught:
            raise DemoError(f"the server does not listen after {_START_TIMEOUT_S:g} s")
        if not self.port:
            raise DemoError(f"the server did not start; its last line was: {self._last_words}")

    async def wait_reported(self, messages: int, timeout_s: float) -> None:
        """Wait until the reports cover so many messages.

        Raises:
          DemoError: they do not in time, or something came that is no report.
        """
        with trio.move_on_after(timeout_s):
            while self._bad_line is None:
                if self.reports and self.reports[-1].messages_total >= messages:
                    return
                await self._news.wait()
        raise self._bad_line or DemoError(f"no report of {messages} messages within {timeout_s:g} s")

    def terminate(self) -> None:
        """Send SIGTERM, which begins the drain."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    async def wait_stopped(self) -> tuple[int, ServerReport]:
        """Wait for the end, after `terminate`; the exit code and the final report.

        Raises:
          DemoError: it does not end, or makes no final report.
        """
        with trio.move_on_after(_STOP_TIMEOUT_S) as patience:
            exit_code = await self._process.wait()
            while self._output_ended < 2:
                await self._news.wait()
        if patience.cancelled_caught:
            raise DemoError(f"the server has not ended {_STOP_TIMEOUT_S:g} s after SIGTERM")
        if self._bad_line is not None:
            raise self._bad_line
        if not self.reports or not self.reports[-1].final:
            raise DemoError(
                f"the server ended (exit code {exit_code}) without a final report: {self._last_words}"
            )
        return exit_code, self.reports[-1]

    async def _read(self, stream: trio.abc.ReceiveStream, take_line: Callable[[str], object]) -> None:
        """Give each line to ``take_line``, so that the process never waits for a reader."""
        rest = b""
        async for data in stream:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                take_line(line.decode(errors="replace"))
        self._output_ended += 1
        self._is_listening.set()  # or never will
        self._notify()

    def _take_report(self, line: str) -> None:
        try:
            report = parse_report(line)
        except DemoError as error:
            self._bad_line = self._bad_line or error
        else:
            self.reports.append(report)
            if self._on_report is not None:
                self._on_report(report)
        self._notify()

    def _take_log(self, line: str) -> None:
        self._last_words = line
        if match := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
            self.port = int(match[1])
            self._is_listening.set()

    def _notify(self) -> None:
        self._news.set()
        self._news = trio.Event()


@contextlib.asynccontextmanager
async def running_server(
    module: Sequence[str],
    *,
    port: int = 0,
    on_report: Callable[[ServerReport], object] | None = None,
) -> AsyncIterator[Server]:
    """A server in a process of its own, which is gone when the block is left, however.

    Args:
      module: what to run with ``python -m``: `SERVE` or `TIMED_SERVER`.
      port: where it shall listen; 0 for any port that is free.
      on_report: called with each report as it comes.

    Raises:
      DemoError: it does not start.
    """
    command = [sys.executable, "-m", *module, "--port", str(port)]
    start = partial(
        trio.run_process,
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        deliver_cancel=_end,
    )
    failure = None
    async with trio.open_nursery() as nursery:
        try:
            try:
                process: trio.Process = await nursery.start(start)
            except OSError as error:
                raise DemoError(f"the server did not start: {error}") from None
            assert process.stdout is not None  # noqa: S101 - for the type checker, as is the next
            assert process.stderr is not None  # noqa: S101
            server = Server(process, on_report)
            nursery.start_soon(server._read, process.stdout, server._take_report)
            nursery.start_soon(server._read, process.stderr, server._take_log)
            await server.wait_listening()
            yield server
        except DemoError as error:
            failure = error  # to be raised outside of the nursery, which would wrap it
        nursery.cancel_scope.cancel()  # ends the process, if it still runs
    if failure is not None:
        raise failure


async def _end(process: trio.Process) -> None:
    """Ask, wait, kill. Trio cancels this as soon as the process has ended."""
    process.terminate()
    await trio.sleep(_KILL_AFTER_S)
    process.kill()
