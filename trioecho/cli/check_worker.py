"""The program that checks one of several servers, in a process of its own; not a command for people.

Its standard input is a socket; at the other end is the process that started it (see
`check_messages`). The end of the stream asks to end early with what is known.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import trio

from ..base.heartbeats import BEAT_S, HEARTBEAT, SilenceWatch
from ..base.memory import available_bytes
from ..base.nursery import open_background_nursery
from ..base.processes import Program, outer_environment, own_program
from ..check.book.book import Rule
from ..check.clients.book import rule_of_either
from ..check.clients.suite import check_client
from ..check.output import Tested, Untested
from ..check.runner.suite import CannotCheckError, Observer, check
from ..check.spawned.memory_watch import MemoryBound
from ..check.verdict import Verdict
from ..connection.json_frames import JsonChannel
from ..errors import RemoteProtocolError
from .check_messages import (
    INTERRUPT,
    CaseBegan,
    CaseEnded,
    Job,
    Report,
    decode_check_message,
    encode_check_message,
)
from .shared.exit_codes import ExitCode
from .shared.signals import open_signals

# What servers may take of the memory that is left; those that are checked at a time share it.
_MEMORY_SHARE = 0.75
WORKER_PROGRAM = ("trioecho", "check-worker")


def check_worker_program(name: str) -> Program:
    """Return the program that runs `run_check_worker`."""
    module, *words = WORKER_PROGRAM
    return own_program(*words, "--name", name, module=module)


def memory_bound(at_a_time: int) -> MemoryBound | None:
    """Return what one of several servers on this machine may have; None for any."""
    if (available := available_bytes()) is None:
        return None
    share = int(available * _MEMORY_SHARE)
    return MemoryBound(share, available - share).shared_by(at_a_time)


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
            async with JsonChannel(connection) as channel:
                await check_for(channel)


async def check_for(channel: trio.abc.Channel[Any]) -> None:
    """Check what the other side of a channel gives to this one, and report to it."""
    if (job := await _receive_job(channel)) is None:
        return
    _take_environment(job)
    interrupt = trio.Event()
    silence = SilenceWatch()

    async def listen() -> None:
        # The other process may be gone, which is as good as a word.
        with contextlib.suppress(trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
            while await channel.receive() != INTERRUPT:
                silence.note_message()
        interrupt.set()

    async with open_background_nursery() as nursery:
        nursery.start_soon(listen)
        sending, sent = trio.open_memory_channel[Report | None](math.inf)
        async with trio.open_nursery() as reporting:
            reporting.start_soon(_send_all, sent, channel)
            with sending:
                async with open_background_nursery() as beating:
                    if job.elsewhere is not None:
                        beating.start_soon(_beat, sending)
                        beating.start_soon(
                            _end_when_silent, silence, job.elsewhere.most_silent_beats, nursery
                        )
                    sending.send_nowait(await check_job(job, _Reporter(sending), interrupt))


async def _receive_job(channel: trio.abc.Channel[Any]) -> Job | None:
    """Return what to check; None if the other process is gone, and wants nothing."""
    with contextlib.suppress(trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
        while True:
            message = decode_check_message(await channel.receive())
            if isinstance(message, Job):
                return message
    return None


def _take_environment(job: Job) -> None:
    """Let what is started find what it would find without this program."""
    environment = outer_environment() if job.environment is None else job.environment
    os.environ.clear()
    os.environ.update(environment)


async def _beat(sending: trio.MemorySendChannel[Report | None]) -> None:
    while True:
        sending.send_nowait(None)
        await trio.sleep(BEAT_S)


async def _end_when_silent(silence: SilenceWatch, most_beats: int, nursery: trio.Nursery) -> None:
    await silence.wait_for_silence(lambda: most_beats)
    nursery.cancel_scope.cancel()  # the other side hangs, and nobody would stop this check


async def check_job(job: Job, observer: Observer, interrupt: trio.Event) -> Tested:
    """Check a server or client in this process; its environment is this process's own."""
    settings = job.settings
    if job.elsewhere is not None:
        for path in job.elsewhere.files:
            if not await trio.Path(path).exists():
                reason = (
                    f"{job.elsewhere.where} has no {path}: what is checked on a cluster has to be under "
                    "the same path on each machine"
                )
                return Untested(job.target.name, reason, job.book)
        settings = replace(settings, memory_bound=memory_bound(job.elsewhere.at_a_time))
    try:
        return await (check_client if job.is_client else check)(
            job.target,
            settings,
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

    def __init__(self, sending: trio.MemorySendChannel[Report | None]) -> None:
        self._sending = sending

    def began(self, rule: Rule) -> None:
        self._sending.send_nowait(CaseBegan(rule.id))

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        self._sending.send_nowait(CaseEnded(rule.id, verdict, done, total))


async def _send_all(sent: trio.MemoryReceiveChannel[Report | None], channel: trio.abc.Channel[Any]) -> None:
    """Send all reports, and None as a heartbeat."""
    is_heard = True
    async for report in sent:
        if is_heard:
            try:
                await channel.send(HEARTBEAT if report is None else encode_check_message(report))
            except trio.BrokenResourceError:
                is_heard = False  # nobody is there; what runs ends by itself
