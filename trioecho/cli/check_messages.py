"""What a check and the process that checks one of its servers send to each other: JSON documents.

What is in them are pickles, as text: results have the evidence of every case. Both sides run this
package, of one version, and one has started the other; over a cluster Dask carries them, whose own
messages are pickles, too. ::

    check                                             process
        Job          what to check        ---------->
                                          <----------  CaseBegan, CaseEnded of every case
        Interrupt    end early            ---------->
                                          <----------  Tested, and then it ends
        Heartbeat    on a cluster         <--------->  likewise
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.heartbeats import HEARTBEAT
from ..check.book.book import SERVERS, Book
from ..check.clients.book import CLIENTS
from ..check.output import Tested
from ..check.runner.suite import Settings, Target
from ..check.verdict import Verdict

INTERRUPT = {"Interrupt": dict[str, object]()}


@dataclass(frozen=True)
class Elsewhere:
    """What is different for a job on a worker of a cluster.

    Attributes:
      where: the worker and its machine, in words.
      files: that have to be there, under these paths.
      at_a_time: how many servers are checked on that machine at a time.
      most_silent_beats: after so many beats without a word of the other side, the process ends.
    """

    where: str
    files: tuple[str, ...]
    at_a_time: int
    most_silent_beats: int


@dataclass(frozen=True)
class Job:
    """A server or client to check, and how.

    Attributes:
      target: which.
      settings: as of `check`; on a cluster, the bound of memory is found out there.
      rules: the numbers of those to try.
      jobs: as of `check`.
      time_limit_s: as of `check`.
      environment: of the processes that are started; None for that of the other machine's worker.
      is_client: whether it is a client.
      elsewhere: what is different on a cluster; None on this machine.
    """

    target: Target
    settings: Settings
    rules: tuple[str, ...]
    jobs: int
    time_limit_s: float
    environment: dict[str, str] | None
    is_client: bool = False
    elsewhere: Elsewhere | None = None

    @property
    def book(self) -> Book:
        """The rules that it is held to."""
        return CLIENTS if self.is_client else SERVERS


@dataclass(frozen=True)
class CaseBegan:
    """A case has begun.

    Attributes:
      rule: its number.
    """

    rule: str


@dataclass(frozen=True)
class CaseEnded:
    """A case has a verdict.

    Attributes:
      rule: its number.
      verdict: for the time being.
      done: how many have one.
      total: how many there are.
    """

    rule: str
    verdict: Verdict
    done: int
    total: int


Report = CaseBegan | CaseEnded | Tested


def encode_check_message(message: Job | Report) -> dict[str, str]:
    """Return the message as a JSON document."""
    return {"Pickle": base64.b64encode(pickle.dumps(message)).decode()}


def decode_check_message(document: Mapping[str, Any]) -> Any:
    """Return the message of a document that `encode_check_message` made; None of a heartbeat."""
    if document == HEARTBEAT:
        return None
    return pickle.loads(base64.b64decode(document["Pickle"]))  # noqa: S301 - of the other side, as said above
