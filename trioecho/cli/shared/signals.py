"""What every command does with a signal.

=========  ==============================================================
SIGINT     end in order: drain, or report what is known; a second one ends at once
SIGTERM    the same
SIGHUP     the same; where there is something to read again, such as certificates, read it again
SIGUSR1    report now, where a command has reports; otherwise nothing
SIGUSR2    upgrade, where a command can: another process takes its place; otherwise nothing
=========  ==============================================================

SIGINT and SIGHUP that were ignored when the command was started stay ignored:
``nohup`` asks for the one, and a shell without job control, which starts something
with ``&``, for the other. SIGTERM always ends.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from types import FrameType
from typing import TypeVar

import trio

from ...base.nursery import open_background_nursery
from .exit_codes import EndedBySignalError

_T = TypeVar("_T")


def _those_here(*names: str) -> frozenset[signal.Signals]:
    """Return the signals of these names that this system has; Windows lacks most."""
    return frozenset(getattr(signal, name) for name in names if hasattr(signal, name))


_ENDING = _those_here("SIGINT", "SIGTERM", "SIGHUP")
_STAY_IGNORED = _those_here("SIGINT", "SIGHUP")
_HANGUP = _those_here("SIGHUP")
_REPORT = _those_here("SIGUSR1")
_UPGRADE = _those_here("SIGUSR2")


class EndingSignals:
    """An iterator over the numbers of signals that end a command; it handles the others itself.

    A task must wait for the next one for as long as the command runs.
    """

    def __init__(
        self,
        early: list[int],
        received: AsyncIterator[int],
        on_report: Callable[[], object],
        on_hangup: Callable[[], object] | None,
        on_upgrade: Callable[[], object] = lambda: None,
    ) -> None:
        self._early = early
        self._received = received
        self._on_report = on_report
        self._on_hangup = on_hangup
        self._on_upgrade = on_upgrade

    def __aiter__(self) -> EndingSignals:
        return self

    async def __anext__(self) -> int:
        """Wait for the next signal that ends the command."""
        while True:
            if self._early:
                await trio.lowlevel.checkpoint()
                number = self._early.pop(0)
            else:
                number = await anext(self._received)
            if number in _HANGUP and self._on_hangup is not None:
                self._on_hangup()
                continue
            if number in _ENDING:
                return number
            if number in _REPORT:
                self._on_report()
            if number in _UPGRADE:
                self._on_upgrade()


def run_until_signal(main: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
    """Run a Trio program that the first signal cancels; return what it returns.

    It never sees a KeyboardInterrupt, which would come between any two steps, also in
    places where Trio or an async generator cannot take one.

    Args:
      main: the program.
      arguments: it is called with them.

    Raises:
      EndedBySignalError: a signal has cancelled it.
    """

    async def run() -> _T:
        number = 0
        with open_signals() as signals:
            async with open_background_nursery() as nursery:

                async def end_at_signal() -> None:
                    nonlocal number
                    number = await anext(signals)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(end_at_signal)
                return await main(*arguments)
        raise EndedBySignalError(number)

    return trio.run(run)


@contextlib.contextmanager
def open_signals(
    on_report: Callable[[], object] = lambda: None,
    *,
    on_hangup: Callable[[], object] | None = None,
    on_upgrade: Callable[[], object] = lambda: None,
    is_last: bool = False,
) -> Iterator[EndingSignals]:
    """Receive signals in place of their default actions, in the main thread of a Trio program.

    Args:
      on_report: called at SIGUSR1; must return at once.
      on_hangup: called at SIGHUP, which then ends nothing; must return at once. None if it ends the command.
      on_upgrade: called at SIGUSR2; must return at once.
      is_last: whether the process has nothing left to do after the block. A signal
        that comes then is ignored: it must not change the exit code.
    """
    heeded = _ENDING - _ignored_at_start() | _REPORT | _UPGRADE
    early: list[int] = []
    # No signal is lost, or takes its default action, while Trio takes over and gives back.
    with (
        _handlers(dict.fromkeys(heeded, early.append), is_last=is_last),
        trio.open_signal_receiver(*heeded) as received,
    ):
        yield EndingSignals(early, received, on_report, on_hangup, on_upgrade)


@contextlib.contextmanager
def handle_signals(
    on_terminate: Callable[[], object], on_interrupt: Callable[[], object], wakeup: socket.socket
) -> Iterator[None]:
    """Handle signals in a program without Trio, which they interrupt at any place; afterwards, ignore them.

    Args:
      on_terminate: called at SIGTERM and SIGHUP.
      on_interrupt: called at SIGINT.
      wakeup: gets a byte at each signal, and does not wait. A signal that comes just before the
        program waits for something does not interrupt that wait.
    """
    actions: dict[signal.Signals, Callable[[int], object]] = {
        number: lambda _: None for number in _REPORT | _UPGRADE
    }
    for number in _ENDING - _ignored_at_start():
        actions[number] = partial(_call, on_interrupt if number == signal.SIGINT else on_terminate)
    before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    try:
        with _handlers(actions, is_last=True):
            yield
    finally:
        signal.set_wakeup_fd(before)


def _call(action: Callable[[], object], number: int) -> None:
    action()


def ignore_signals() -> None:
    """Ignore all of them: the process that started this one gets them as well, and acts."""
    for number in _ENDING | _REPORT | _UPGRADE:
        signal.signal(number, signal.SIG_IGN)


def _ignored_at_start() -> frozenset[signal.Signals]:
    return frozenset(number for number in _STAY_IGNORED if signal.getsignal(number) == signal.SIG_IGN)


@contextlib.contextmanager
def _handlers(actions: dict[signal.Signals, Callable[[int], object]], *, is_last: bool) -> Iterator[None]:
    """Call an action with the number of each signal that comes; afterwards, handle signals as before."""

    def handler(number: int, frame: FrameType | None) -> None:
        actions[signal.Signals(number)](number)

    before = {number: signal.signal(number, handler) for number in actions}
    try:
        yield
    finally:
        for number, previous in before.items():
            # The interpreter replaces handlers while it shuts down, but it keeps SIG_IGN.
            signal.signal(number, signal.SIG_IGN if is_last else previous or signal.SIG_DFL)
