"""The command line. Only here are arguments read, lines printed and signals handled."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. ``argv`` is ``sys.argv[1:]`` by default."""
    try:
        with _early_signals_do_nothing():
            # Imported here: it takes long enough for a user to press Ctrl-C meanwhile.
            from .program import run_command

            return run_command(argv)
    except KeyboardInterrupt:
        from .shared.exit_codes import ExitCode

        return ExitCode.INTERRUPTED


@contextlib.contextmanager
def _early_signals_do_nothing() -> Iterator[None]:
    """Keep SIGUSR1 and SIGUSR2 from ending a command that imports its modules, and does not handle them yet.

    They are not ignored as with SIG_IGN, which processes that are started meanwhile would inherit.
    """

    def do_nothing(number: int, frame: object) -> None:
        pass

    names = [name for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
    numbers = [number for name in names if signal.getsignal(number := signal.Signals[name]) == signal.SIG_DFL]
    with contextlib.suppress(ValueError):  # in another thread than the main one
        for number in numbers:
            signal.signal(number, do_nothing)
    try:
        yield
    finally:
        for number in numbers:
            if signal.getsignal(number) is do_nothing:  # else it is ignored, now that the command has ended
                signal.signal(number, signal.SIG_DFL)
