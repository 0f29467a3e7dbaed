"""A server as a child process: start it, read its lines, wait until it says where it listens."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from functools import partial

import trio

from .addresses import listening_port
from .describe import describe
from .nursery import open_background_nursery
from .processes import Program


class ChildServerError(Exception):
    """A server did not start, or did not end; the message is one line."""


class ChildServer:
    """A server process that listens; `open_child_server` gives it.

    Attributes:
      pid (int): of its process.
      port (int): where it listens.
      last_log_line (str): what it has written last on stderr; empty before.
    """

    def __init__(self, process: trio.Process) -> None:
        self.pid: int = process.pid
        self.port: int = 0
        self.last_log_line: str = ""
        self._process = process
        self._listens_or_has_ended = trio.Event()
        self._outputs_left = 0
        self._has_no_output = trio.Event()

    def terminate(self) -> None:
        """Send SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    async def wait_ended(self, timeout_s: float) -> int:
        """Wait until the process has ended and all its lines were taken; return its exit code.

        Raises:
          ChildServerError: it does not end in time.
        """
        with trio.move_on_after(timeout_s):
            exit_code = await self._process.wait()
            await self._has_no_output.wait()
            return exit_code
        raise ChildServerError(f"the server has not ended {timeout_s:g} s after SIGTERM")

    async def _wait_listening(self, timeout_s: float) -> None:
        with trio.move_on_after(timeout_s) as patience:
            await self._listens_or_has_ended.wait()
        if patience.cancelled_caught:
            raise ChildServerError(f"the server does not listen after {timeout_s:g} s")
        if not self.port:
            last = self.last_log_line
            raise ChildServerError(
                f"the server did not start; {f'its last line was: {last}' if last else 'it wrote nothing'}"
            )

    async def _read(self, stream: trio.abc.ReceiveStream, take_line: Callable[[str], object]) -> None:
        """Take each line, so that the server never waits for a reader."""
        rest = b""
        async for data in stream:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                take_line(line.decode(errors="replace"))
        self._outputs_left -= 1
        if not self._outputs_left:
            self._has_no_output.set()
            self._listens_or_has_ended.set()

    def _take_log_line(self, line: str) -> None:
        self.last_log_line = line
        if not self.port and (port := listening_port(line)) is not None:
            self.port = port
            self._listens_or_has_ended.set()


@contextlib.asynccontextmanager
async def open_child_server(
    program: Program,
    *,
    start_timeout_s: float,
    kill_after_s: float,
    on_start: Callable[[int], object] = lambda pid: None,
    on_output_line: Callable[[str], object] | None = None,
) -> AsyncIterator[ChildServer]:
    """Start a server, and wait until it listens; its process is gone when the block is left.

    Args:
      program: what to start.
      start_timeout_s: how long the server may take until it listens.
      kill_after_s: the time from SIGTERM to SIGKILL when the block is left; 0 to kill at once.
      on_start: called with the number of the process when it has been started.
      on_output_line: called with each line on stdout; None if nobody reads stdout.

    Raises:
      ChildServerError: the server did not start.
    """

    async def end(process: trio.Process) -> None:
        # Trio cancels this as soon as the process has ended.
        if kill_after_s:
            process.terminate()
            await trio.sleep(kill_after_s)
        process.kill()

    start = partial(
        trio.run_process,
        program.command,
        env=program.env,
        cwd=program.cwd,
        check=False,
        stdout=subprocess.DEVNULL if on_output_line is None else subprocess.PIPE,
        stderr=subprocess.PIPE,
        deliver_cancel=end,
    )
    async with open_background_nursery() as nursery:
        try:
            process: trio.Process = await nursery.start(start)
        except OSError as error:
            raise ChildServerError(f"the server did not start: {describe(error)}") from None
        on_start(process.pid)
        server = ChildServer(process)
        for stream, take_line in ((process.stdout, on_output_line), (process.stderr, server._take_log_line)):
            if stream is not None and take_line is not None:
                server._outputs_left += 1
                nursery.start_soon(server._read, stream, take_line)
        await server._wait_listening(start_timeout_s)
        yield server
