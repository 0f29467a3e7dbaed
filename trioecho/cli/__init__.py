"""The command line. Only here are arguments read, lines printed and signals handled."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. ``argv`` is ``sys.argv[1:]`` by default."""
    try:
        # Imported here: it takes long enough for a user to press Ctrl-C meanwhile.
        from .program import run_command

        return run_command(argv)
    except KeyboardInterrupt:
        from .shared.exit_codes import ExitCode

        return ExitCode.INTERRUPTED
