"""The program that checks one of several servers, in a process of its own; not a command for people.

Its standard input is a socket; at the other end is the process that started it. Both send frames,
a pickle in each: a `Job` to here, and back `CaseBegan` and `CaseEnded`, then what came of it. An empty
frame, or the end of the stream, asks to end early with what is known.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from ..base.nursery import open_background_nursery
from ..base.processes import Program, own_program
from ..check.book.book import SERVERS, Book, Rule
from ..check.clients.book import CLIENTS, rule_of_either
from ..check.clients.suite import check_client
from ..check.output import Tested, Untested
from ..check.runner.suite import CannotCheckError, Observer, Settings, Target, check
from ..check.verdict import Verdict
from ..connection.channel import FrameChannel
from ..errors import RemoteProtocolError
from .shared.exit_codes import ExitCode
from .shared.signals import open_signals

# Bytes of the longest message: many times what the evidence of one server takes.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Job:
    """A server or client to check, and how.

    Attributes:
      target: which.
      settings: as of `check`.
      rules: the numbers of those to try.
      jobs: as of `check`.
      time_limit_s: as of `check`.
      environment: of the processes that are started.
      is_client: whether it is a client.
    """

    target: Target
    settings: Settings
    rules: tuple[str, ...]
    jobs: int
    time_limit_s: float
    environment: dict[str, str]
    is_client: bool = False

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


def open_report_channel(connected: socket.socket) -> FrameChannel:
    """Return a channel for messages of this protocol; it owns the socket from now on."""
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(connected))
    return FrameChannel(stream, max_frame_length=_MOST_BYTES)


def check_worker_program(name: str) -> Program:
    """Return the program that runs `run_check_worker`."""
    return own_program("check-worker", "--name", name)


def run_check_worker(words: Sequence[str]) -> int:
    """Check a server for the process that started this one; return the exit code.

    Args:
      words: a name, for a person who lists processes.
    """
    del words
    trio.run(_work, socket.socket(fileno=os.dup(0)))
    return ExitCode.OK


async def _work(connection: socket.socket) -> None:
    """Check; at a signal end at once, with all that was started."""
    with open_signals(is_last=True) as signals:
        async with open_background_nursery() as nursery:

            async def end_at_signal() -> None:
                await anext(signals)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_at_signal)
            async with open_report_channel(connection) as channel:
                await _check_for(channel)


async def _check_for(channel: FrameChannel) -> None:
    job: Job = pickle.loads(await channel.receive())  # noqa: S301 - from the process that started this one
    os.environ.clear()  # what finds this program's modules is no concern of a server
    os.environ.update(job.environment)
    interrupt = trio.Event()

    async def wait_for_interrupt() -> None:
        # That process may be gone, which is as good.
        with contextlib.suppress(trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
            await channel.receive()
        interrupt.set()

    async with open_background_nursery() as nursery:
        nursery.start_soon(wait_for_interrupt)
        sending, sent = trio.open_memory_channel[Report](math.inf)
        async with trio.open_nursery() as reporting:
            reporting.start_soon(_send_all, sent, channel)
            with sending:
                sending.send_nowait(await check_job(job, _Reporter(sending), interrupt))


async def check_job(job: Job, observer: Observer, interrupt: trio.Event) -> Tested:
    """Check a server or client in this process; its environment is this process's own."""
    try:
        return await (check_client if job.is_client else check)(
            job.target,
            job.settings,
            rules=[rule_of_either(each) for each in job.rules],
            jobs=job.jobs,
            observer=observer,
            time_limit_s=job.time_limit_s,
            interrupt=interrupt,
        )
    except CannotCheckError as error:
        return Untested(job.target.name, str(error), job.book)


class _Reporter:
    """Reports how the run goes on."""

    def __init__(self, sending: trio.MemorySendChannel[Report]) -> None:
        self._sending = sending

    def began(self, rule: Rule) -> None:
        self._sending.send_nowait(CaseBegan(rule.id))

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        self._sending.send_nowait(CaseEnded(rule.id, verdict, done, total))


async def _send_all(sent: trio.MemoryReceiveChannel[Report], channel: FrameChannel) -> None:
    is_heard = True
    async for report in sent:
        if is_heard:
            try:
                await channel.send(pickle.dumps(report))
            except trio.BrokenResourceError:
                is_heard = False  # nobody is there; what runs ends by itself
