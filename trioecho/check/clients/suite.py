"""A run of the suite against one client."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Sequence

import trio

from ..book.rule import Rule
from ..client.settings import Settings
from ..preflight.result import CannotCheckError
from ..runner.ending import INTERRUPTED, RunEnding
from ..runner.host import Target
from ..runner.run import DEFAULT_JOBS, Observer, Unobserved
from ..runner.suite import DEFAULT_TIME_LIMIT_S, versions
from ..spawned.guard import open_guard
from ..spawned.spawned_process import SpawnError
from ..verdict import SuiteResult
from .book import CLIENTS
from .preflight import ClientPreflight, look_at_client
from .run import CONFIRM_FACTOR, ClientRuns
from .spawned_client import ClientStarter

DEFAULT_REPLY_TIMEOUT_S = Settings().reply_timeout_s


async def check_client(
    target: Target,
    settings: Settings,
    *,
    rules: Sequence[Rule] | None = None,
    jobs: int = DEFAULT_JOBS,
    observer: Observer | None = None,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    interrupt: trio.Event | None = None,
) -> SuiteResult:
    """Start a client again and again, each time against a server that does what one case asks for.

    Args:
      target: the client.
      settings: what all cases have in common; its ``command`` starts the client.
      rules: those to try, of the book of clients; None for all.
      jobs: how many cases may run side by side.
      observer: hears of every case.
      time_limit_s: how long the run may take, in seconds; what is not decided by then is
        inconclusive.
      interrupt: when it is set the run ends as if the time were spent.

    Raises:
      CannotCheckError: the client does not start, or does not connect; or the run was interrupted
        before its first case.

    Cancellation ends all clients that were started.
    """
    assert settings.command is not None  # noqa: S101 - for the type checker
    ending = RunEnding.within(time_limit_s, interrupt)
    rules = rules if rules is not None else CLIENTS.select([])
    began_at = datetime.datetime.now(datetime.timezone.utc)
    began = trio.current_time()
    runs: ClientRuns | None = None
    async with open_guard() as guard:
        bound = None if settings.memory_bound is None else settings.memory_bound.shared_by(jobs)
        starter = ClientStarter(settings.command, guard, settings.directory, bound)

        async def work() -> None:
            nonlocal runs
            preflight = await look_at_client(settings, starter)
            runs = ClientRuns(settings, starter, preflight, jobs, observer or Unobserved())
            await runs.all(rules)

        try:
            why = await ending.run(work)
        except SpawnError as error:
            raise CannotCheckError(str(error)) from None
    if runs is None:
        raise CannotCheckError(f"{why} before the first case")
    if why:
        runs.end_early(rules, why)
    diagnosis = runs.diagnosis()
    preflight = runs.preflight
    return SuiteResult(
        target=target.name,
        address="",
        command=target.command or target.name,
        seed=settings.seed,
        format=str(settings.wire),
        max_frame_length=None,
        round_trip_s=0.0,
        patience_s=preflight.notice_s,
        confirm_patience_s=CONFIRM_FACTOR * preflight.notice_s,
        jobs=jobs,
        results=tuple(runs.results(diagnosis, lambda case_id: _reproduce(target, settings, case_id))),
        causes=diagnosis.causes,
        notes=tuple(_notes(preflight, why)),
        started_at=began_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        elapsed_s=trio.current_time() - began,
        versions=versions(),
        cut_short=why,
        book=CLIENTS,
        client=preflight.facts,
    )


def _reproduce(target: Target, settings: Settings, case_id: str) -> str:
    words = ["trioecho", "check", *map(shlex.quote, target.words or ("--client", target.name))]
    words += [case_id, "--seed", str(settings.seed)]
    if str(settings.wire) != "u32be":
        words += ["--format", str(settings.wire)]
    if settings.reply_timeout_s != DEFAULT_REPLY_TIMEOUT_S:
        words += ["--reply-timeout", f"{settings.reply_timeout_s:g}s"]
    return " ".join(words)


def _notes(preflight: ClientPreflight, cut_short: str) -> list[str]:
    notes = []
    if cut_short:
        notes.append(f"{cut_short} before all cases were decided")
        if cut_short != INTERRUPTED:
            notes.append("--time-limit gives it more time")
    if preflight.blocker is not None:
        notes.append(f"only the simplest was tried, as {preflight.blocker.reason}")
    elif preflight.facts.messages == 1:
        notes.append("the client sends one message, so nothing is known of how it keeps several apart")
    return notes
