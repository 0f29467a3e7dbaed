"""Bugs in what a client sends beside its messages, how it ends, and what it says."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys

from ..bug import Bug
from .honest import FaultyClient, Outcome

_RIGHT = "With a server that is right nobody looks."
_HABIT = "classroom habit"
# A child that outlives its parent, and has its connection.
_CHILD = "import time; time.sleep(600)"


class SaysGoodbye(FaultyClient):
    bug: Bug = Bug(
        "says-goodbye",
        summary="sends a line behind its last frame",
        works="The server waits for the rest of a frame, and the client is gone.",
        shows="A server logs a truncated frame for every client.",
        fix="Send frames, and nothing else.",
        source=_HABIT,
        fails=("C5.1",),
        cause="sends-part-of-frame",
    )

    def finish(self) -> None:
        self.sock.sendall(b"bye\n")  # BUG: four bytes are a header


class ClosesWithReset(FaultyClient):
    bug: Bug = Bug(
        "closes-with-reset",
        summary="resets its connection instead of ending it",
        works=_RIGHT,
        shows="A server logs a reset for every client, as of one that has crashed.",
        fix="Leave SO_LINGER alone.",
        source="advice against TIME_WAIT: a linger time of 0",
        fails=("C5.2",),
        cause="client-resets",
    )

    def finish(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # BUG: close() sends an RST


class LeavesChild(FaultyClient):
    bug: Bug = Bug(
        "leaves-child",
        summary="leaves its connection to a child that runs on",
        works=_RIGHT,
        shows="The server keeps a place for a client that is long gone.",
        fix="Let no child inherit a socket, and wait for children.",
        source="CWE-403: exposure of a file descriptor to an unintended process",
        fails=("C5.2",),
        cause="leaves-connection-open",
    )

    def finish(self) -> None:
        number = self.sock.fileno()
        subprocess.Popen(  # noqa: S603 - the words are ours  # BUG: it has the connection
            [sys.executable, "-c", _CHILD], pass_fds=[number]
        )


class FailsInSilence(FaultyClient):
    bug: Bug = Bug(
        "fails-in-silence",
        summary="says nothing about what is wrong",
        works=_RIGHT,
        shows="Nobody knows which reply was wrong, and why.",
        fix="Write a line to stderr.",
        source=_HABIT,
        fails=("C5.3",),
        cause="fails-in-silence",
    )

    def failed(self, error: Exception) -> Outcome:
        return Outcome(1, "")  # BUG: the error says what it is


class AlwaysZero(FaultyClient):
    bug: Bug = Bug(
        "always-zero",
        summary="says what is wrong, and ends with exit code 0",
        works="A person reads what it says.",
        shows="Scripts and graders take every run for a success.",
        fix="Return 1 from main, or call sys.exit(1).",
        source=_HABIT,
        fails=(
            *(f"C2.{number}" for number in range(1, 9)),
            *("C3", "C4.1", "C4.3", "C4.4", "C4.5"),
        ),
        may_fail=("C5.3",),
        cause="exit-code-always-0",
    )

    def failed(self, error: Exception) -> Outcome:
        return Outcome(0, super().failed(error).words)  # BUG: something was wrong
