"""Check a server in a process of its own, so that whatever it does to the suite concerns no other server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import trio

from ..base.nursery import open_background_nursery
from ..base.own_process import OwnProcess, run_own_process
from ..base.printable import printable_line
from ..check.clients.book import rule_of_either
from ..check.output import Tested, Untested
from ..check.runner.suite import Observer
from ..check.spawned.spawned_process import in_words_of
from ..connection.json_frames import open_json_pair
from ..errors import RemoteProtocolError
from .check_messages import (
    INTERRUPT,
    CaseBegan,
    CaseEnded,
    Job,
    decode_check_message,
    encode_check_message,
)
from .check_worker import check_worker_program


async def check_apart(job: Job, observer: Observer, interrupt: trio.Event) -> Tested:
    """Check a server as `check` does, in another process.

    Args:
      job: what to check.
      observer: hears of every case.
      interrupt: when it is set the run ends with what is known.

    Cancellation ends that process, and what it has started.

    Raises:
      OSError: the process cannot be started.
    """
    channel, theirs = open_json_pair()
    async with channel, open_background_nursery() as nursery:
        with theirs:
            # Ctrl-C is for this process, which then interrupts.
            program = check_worker_program(job.target.name)
            own: OwnProcess = await nursery.start(run_own_process, program, theirs.fileno())
        outcome = await follow_check(channel, job, observer, interrupt)
        exit_code = await own.process.wait()
        if outcome is not None:
            return outcome
        line = await own.last_words()
    said = f"; its last line was: {printable_line(line)}" if line else ""
    return Untested(
        job.target.name,
        f"the process that checked it ended {in_words_of(exit_code)} without a result{said}",
        job.book,
    )


async def follow_check(
    channel: trio.abc.Channel[Any],
    job: Job,
    observer: Observer,
    interrupt: trio.Event,
    on_message: Callable[[], object] = lambda: None,
) -> Tested | None:
    """Let a process check a server; return what came of it, or None if it has ended without that.

    Args:
      channel: to the process.
      job: what to check.
      observer: hears of every case.
      interrupt: when it is set the run ends with what is known.
      on_message: called after every message.
    """
    # One that is killed leaves half of a message, or none.
    with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
        async with open_background_nursery() as nursery:
            await channel.send(encode_check_message(job))
            nursery.start_soon(_hand_on, interrupt, channel)
            async for document in channel:
                on_message()
                report = decode_check_message(document)
                if isinstance(report, CaseBegan):
                    observer.began(rule_of_either(report.rule))
                elif isinstance(report, CaseEnded):
                    observer.ended(rule_of_either(report.rule), report.verdict, report.done, report.total)
                elif report is not None:
                    outcome: Tested = report
                    return outcome
    return None


async def _hand_on(interrupt: trio.Event, channel: trio.abc.Channel[Any]) -> None:
    await interrupt.wait()
    with contextlib.suppress(trio.BrokenResourceError):  # it is done
        await channel.send(INTERRUPT)
