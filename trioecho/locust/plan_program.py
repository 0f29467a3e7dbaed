"""The program that checks, carries out and joins a load beside a process of Locust.

It is `trioecho.cli.locust_plan`, a process of its own: in those of Locust, gevent has replaced too much for
Trio, and its greenlets would have a part of the processor that measures.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.processes import own_program, signal_name, working_folder
from ..errors import ConnectionEndedError
from ..framing import FrameFormat, encode_frame
from .connection import BlockingConnection
from .errors import ReplyTimeoutError

# Bytes of the longest document: as of `connection.json_frames`.
_MOST_BYTES = 64 << 20
# An engine sends something every second. After its start, the first message may take longer.
_MOST_SILENT_S = 60.0
_KEPT_WORDS_BYTES = 1 << 14


class PlanFailedError(Exception):
    """A load on the workers of Locust has failed: it cannot be, or a part of it was lost.

    Attributes:
      reason (str): why, a sentence.
      exit_code (int): what a load command would end with.
    """

    def __init__(self, reason: str, exit_code: int = 1) -> None:
        super().__init__(reason, exit_code)
        self.reason = reason
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.reason

    def __repr__(self) -> str:
        # By which Locust counts failures, and what its table of them shows.
        return f"PlanFailedError: {self.reason}"


@dataclass(frozen=True)
class CheckedPlan:
    """A load that can be.

    Attributes:
      words: the address and the options.
      plan: as of `LoadPlan.to_dict`.
      schema: of plans and results, by which other versions are known.
      timeout_s: how long a reply may take.
    """

    words: tuple[str, ...]
    plan: Mapping[str, Any]
    schema: str
    timeout_s: float

    @property
    def connections(self) -> int:
        """How many it has."""
        return int(self.plan["connections"])


def check_plan(words: Sequence[str]) -> CheckedPlan:
    """Return what an address and the options of a load come to.

    Raises:
      PlanFailedError: there can be no such load.
    """
    program = own_program("locust-plan", "check", working_folder(), *words)
    done = subprocess.run(  # noqa: S603 - ourselves
        program.command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**(program.env or {}), "PYTHONIOENCODING": "utf-8"},
        cwd=None if program.cwd is None else program.cwd,
        check=False,
    )
    if done.returncode:
        raise PlanFailedError(_last_line(done.stderr), done.returncode)
    return CheckedPlan(tuple(words), **json.loads(done.stdout))


def join_parts(words: Sequence[str], joined: Mapping[str, Any]) -> int:
    """Join the parts of a load, print and write its reports; return the exit code of a load command."""
    program = own_program("locust-plan", "join", working_folder(), *words)
    done = subprocess.run(  # noqa: S603 - ourselves
        program.command, input=json.dumps(joined).encode(), env=program.env, cwd=program.cwd, check=False
    )
    return done.returncode


class PlanEngine:
    """A process that carries out a part of a load; several greenlets may send to it, and one receives.

    Args:
      words: the address and the options of the load.
    """

    def __init__(self, words: Sequence[str]) -> None:
        program = own_program("locust-plan", "carry-out", working_folder(), *words)
        ours, theirs = socket.socketpair()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - it lasts as long as the engine
        self._sending = threading.Lock()
        self._connection = BlockingConnection(ours, FrameFormat(), _MOST_BYTES)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - ourselves
                    program.command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=self._words,
                    env=program.env,
                    cwd=program.cwd,
                    start_new_session=True,  # signals of a terminal are for Locust, which ends it in order
                )
        except BaseException:
            self._connection.close()
            self._words.close()
            raise

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def give(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Send a `LoadMessage`; an engine that is gone gets none, which `messages` says."""
        self.give_document({kind: fields})

    def give_document(self, document: Mapping[str, Any]) -> None:
        """Send a document."""
        with self._sending, contextlib.suppress(ConnectionEndedError):
            self._connection.send(encode_frame(json.dumps(document).encode()), _MOST_SILENT_S)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield what it sends: kinds of `LoadMessage`, and their fields as they are in JSON.

        Raises:
          PlanFailedError: it has ended, or hangs. Whoever has what it waits for does not go on until then.
        """
        while True:
            try:
                document = json.loads(self._connection.receive(_MOST_SILENT_S).payload)
            except ReplyTimeoutError as error:
                raise PlanFailedError(f"its engine sent nothing for {error.seconds:g} s") from None
            except ConnectionEndedError:
                raise self._failure() from None
            [(kind, fields)] = document.items()
            yield kind, fields

    def kill(self) -> None:
        """End it at once, which `messages` sees."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def end(self) -> None:
        """End it at once, and wait until it is gone; it may be called twice."""
        self._connection.close()
        self.kill()
        self._process.wait()
        self._words.close()

    def _failure(self) -> PlanFailedError:
        exit_code = self._process.wait()
        self._words.seek(0)
        said = _last_line(self._words.read()[-_KEPT_WORDS_BYTES:].decode(errors="replace"))
        if exit_code < 0:
            return PlanFailedError(f"its engine was killed by {signal_name(-exit_code)}")
        return PlanFailedError(said, exit_code or 1)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "its engine ended, and said nothing"
