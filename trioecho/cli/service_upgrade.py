"""SIGUSR2: another process takes the place of this one, with the same listening sockets.

It is started by the same command, so it has the code and the configuration of now. This process serves
until the other one does, and drains then; what is queued in the sockets meanwhile is for the other one.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import trio

from ..base.describe import describe
from ..base.handover import READY, VARIABLE, HandedSocket, Handover
from ..base.processes import signal_name, working_folder
from .service_listeners import ServiceListeners
from .shared.admin import AdminListeners

logger: logging.Logger = logging.getLogger("trioecho")

# A context manager may take long to start.
READY_WITHIN_S = 60.0
_END_S = 5.0


class UpgradeError(Exception):
    """The new process does not serve, and has ended; the message says why."""


class OwnCommand(NamedTuple):
    """How this process was started."""

    words: tuple[str, ...]
    folder: str

    @classmethod
    def of_now(cls) -> OwnCommand:
        """Return it; to be called before the working directory changes."""
        return cls((sys.executable, *sys.orig_argv[1:]), working_folder())


class Upgrades:
    """Starts the process that takes the place of this one, when it is asked to.

    Args:
      command: how this process was started; None where that cannot be done again.
    """

    def __init__(self, command: OwnCommand | None) -> None:
        self._command = command
        self._is_asked = trio.Event()
        self._successor: trio.Process | None = None
        self._is_over = False

    def ask(self) -> None:
        """Have it start one, or log why it does not; returns at once."""
        if self._command is None:
            return
        if self._successor is not None:
            logger.warning("SIGUSR2: ignored: process %d has taken over already", self._successor.pid)
        elif self._is_over:
            logger.warning("SIGUSR2: ignored: process %d drains, and is not replaced any more", os.getpid())
        elif self._is_asked.is_set():
            logger.warning("SIGUSR2: ignored: a process that takes the place of this one starts already")
        else:
            self._is_asked.set()

    async def wait_for_successor(self, handover: Callable[[], Handover]) -> trio.Process:
        """Return the process that serves in place of this one, once there is one.

        Args:
          handover: makes what it gets.

        Cancellation ends one that does not serve yet.
        """
        try:
            while True:
                await self._is_asked.wait()
                if self._command is not None:
                    try:
                        self._successor = await self._start(self._command, handover())
                        return self._successor
                    except UpgradeError as error:
                        logger.error("SIGUSR2: %s; process %d serves on", error, os.getpid())
                self._is_asked = trio.Event()
        finally:
            self._is_over = True

    async def _start(self, command: OwnCommand, handover: Handover) -> trio.Process:
        if os.getpid() == 1:
            raise UpgradeError("process 1 of a container cannot be replaced, as the container ends with it")
        logger.info("SIGUSR2: starting the process that takes the place of process %d", os.getpid())
        try:
            return await start_successor(command, handover, os.environ)
        except trio.Cancelled:
            logger.info("the process that was to take the place of process %d is ended, too", os.getpid())
            raise


def handover_of(
    listening: ServiceListeners,
    beside: Sequence[trio.socket.SocketType],
    wanted: str,
    admin: AdminListeners | None = None,
) -> Handover:
    """Return what this process hands over.

    Args:
      listening: what it listens on.
      beside: what its workers have on the same addresses.
      wanted: where it was to listen.
      admin: what ``--admin`` listens on; None for nothing.
    """
    descriptors = [] if admin is None else [each.socket.fileno() for each in admin.listeners]
    return Handover(
        process=os.getpid(),
        sockets=tuple(
            HandedSocket(listener.socket.fileno(), listener in listening.shared)
            for listener in listening.listeners
        ),
        beside=tuple(HandedSocket(each.fileno()) for each in beside),
        files=tuple(listening.files),
        names=tuple(listening.names),
        # They are closed if that has failed.
        admin=tuple(HandedSocket(number) for number in descriptors if number >= 0),
        admin_file=None if admin is None else admin.file,
        wanted=wanted,
    )


async def start_successor(
    command: OwnCommand, handover: Handover, environment: Mapping[str, str]
) -> trio.Process:
    """Start the process that takes the place of this one, and return it when it serves.

    Args:
      command: which.
      handover: what it gets, without the pipe.
      environment: of this process.

    Cancellation ends the new process.

    Raises:
      UpgradeError: it cannot be started, has ended, or does not serve in a minute.
    """
    reading, writing = os.pipe()
    async with trio.lowlevel.FdStream(reading) as pipe:
        try:
            process = await trio.lowlevel.open_process(
                [*command.words],
                env={
                    # The manager's watchdog is for whichever process is the main one.
                    **{name: value for name, value in environment.items() if name != "WATCHDOG_PID"},
                    VARIABLE: handover.with_ready(writing).as_text(),
                },
                cwd=command.folder or None,
                pass_fds=[*handover.descriptors, writing],
            )
        except OSError as error:
            where = "" if await trio.Path(command.folder).is_dir() else f" in {command.folder}"
            raise UpgradeError(f"the command cannot be started again{where}: {describe(error)}") from None
        finally:
            os.close(writing)
        is_ready = False
        try:
            with trio.move_on_after(READY_WITHIN_S) as scope:
                is_ready = await pipe.receive_some(len(READY)) == READY
            if not is_ready:
                raise UpgradeError(await _why_not_ready(process, is_late=scope.cancelled_caught))
        finally:
            if not is_ready and process.returncode is None:
                process.terminate()
    return process


async def _why_not_ready(process: trio.Process, *, is_late: bool) -> str:
    """Return why a process does not serve; it has ended then."""
    if is_late:
        process.terminate()
    with trio.move_on_after(_END_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        with trio.CancelScope(deadline=trio.current_time() + _END_S, shield=True):
            await process.wait()
    if is_late:
        return f"process {process.pid} did not serve within {READY_WITHIN_S:g} s, and was ended"
    code = process.returncode or 0
    how = f"was ended by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    return f"process {process.pid} {how} before it could serve"
