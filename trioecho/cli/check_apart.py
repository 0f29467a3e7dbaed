"""Check a server in a process of its own, so that whatever it does to the suite concerns no other server."""

from __future__ import annotations

import contextlib
import pickle
import socket
import subprocess

import trio

from ..base.nursery import open_background_nursery
from ..base.printable import printable_line
from ..check.clients.book import rule_of_either
from ..check.output import Tested, Untested
from ..check.runner.suite import Observer
from ..check.spawned.spawned_process import in_words_of
from ..connection.channel import FrameChannel
from ..errors import RemoteProtocolError
from .check_worker import CaseBegan, CaseEnded, Job, Report, check_worker_program, open_report_channel

_KEPT_WORDS_BYTES = 1 << 14


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
    ours, theirs = socket.socketpair()
    words: list[bytes] = []
    async with open_report_channel(ours) as channel, open_background_nursery() as nursery:
        with theirs:
            process: trio.Process = await nursery.start(_run_process, job.target.name, theirs)
        nursery.start_soon(_keep_last_words, process, words)
        outcome: Tested | None = None
        # One that is killed leaves half of a message, or none.
        with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
            await channel.send(pickle.dumps(job))
            nursery.start_soon(_hand_on, interrupt, channel)
            async for message in channel:
                report: Report = pickle.loads(message)  # noqa: S301 - from the process that was started here
                if isinstance(report, CaseBegan):
                    observer.began(rule_of_either(report.rule))
                elif isinstance(report, CaseEnded):
                    observer.ended(rule_of_either(report.rule), report.verdict, report.done, report.total)
                else:
                    outcome = report
        exit_code = await process.wait()
    if outcome is not None:
        return outcome
    lines = b"".join(words).decode(errors="replace").strip().splitlines()
    said = f"; its last line was: {printable_line(lines[-1])}" if lines else ""
    return Untested(
        job.target.name,
        f"the process that checked it ended {in_words_of(exit_code)} without a result{said}",
        job.book,
    )


async def _run_process(
    name: str, connection: socket.socket, task_status: trio.TaskStatus[trio.Process]
) -> None:
    program = check_worker_program(name)
    await trio.run_process(
        program.command,
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        env=program.env,
        cwd=program.cwd,
        start_new_session=True,  # Ctrl-C is for this process, which then interrupts
        task_status=task_status,
    )


async def _keep_last_words(process: trio.Process, words: list[bytes]) -> None:
    stderr = process.stderr
    if stderr is None:
        raise TypeError("the standard error of a worker must be a pipe")
    while data := await stderr.receive_some():
        words[:] = [(b"".join(words) + data)[-_KEPT_WORDS_BYTES:]]


async def _hand_on(interrupt: trio.Event, channel: FrameChannel) -> None:
    await interrupt.wait()
    with contextlib.suppress(trio.BrokenResourceError):  # it is done
        await channel.send(b"")
