"""The exit codes of all commands, in one table.

The help of a command says which of them it has, and when; the guide's page on
commands shows the table.
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What a process ends with.

    Attributes:
      meaning: in words, for all commands.
    """

    meaning: str

    OK = 0, "the command did what it was asked to, and found nothing wrong"
    FAILED = 1, "the command found something wrong or different, or could not finish its work"
    WRONG_USAGE = 2, "wrong usage, or something that this machine lacks: memory, descriptors, a file"
    UNAVAILABLE = 3, "no address to listen on, a start that failed, no server, or too little to decide by"
    ABORTED = 4, "the service drained, but something had to be aborted after the grace"
    SATURATED = 5, "the load generator was at its limit, so its figures describe itself"
    INTERNAL_ERROR = 70, "an error of trioecho itself (EX_SOFTWARE of sysexits.h)"
    CANNOT_WRITE = 74, "all is well, except that stdout could not be written (EX_IOERR)"
    OBJECTIVE_BROKEN = 99, "a load did not meet an objective"
    INTERRUPTED = 130, "interrupted by SIGINT, or the service by a second signal; 128 + N is signal N"

    def __new__(cls, number: int, meaning: str) -> ExitCode:
        """Make the member of this number."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        return member


class EndedBySignalError(Exception):
    """A signal has ended a command that has nothing more to say.

    Attributes:
      exit_code (int): what the process ends with.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_code: int = ended_by_signal(number)


def ended_by_signal(number: int) -> int:
    """Return the exit code of a command that a signal has ended in order, as shells write it."""
    return 128 + number
