"""A run of the suite against one server."""

from __future__ import annotations

import datetime
import platform
import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import trio

from ...base.addresses import format_address
from ...base.version import version_and_build
from ..book.book import Rule, select
from ..client.asked import Asked
from ..client.settings import Settings
from ..preflight.blocker import ONLY_FIRST
from ..preflight.preflight import run_preflight
from ..preflight.result import CannotCheckError, Preflight
from ..spawned.spawned_server import SpawnError
from ..verdict import AskedRequest, Asking, SuiteResult
from .ending import INTERRUPTED, RunEnding
from .host import Host, Target, open_host
from .run import DEFAULT_JOBS, Observer, Run, Unobserved

# Several times what any server takes that echoes what it is sent.
DEFAULT_TIME_LIMIT_S = 120.0

__all__ = [
    "DEFAULT_JOBS",
    "DEFAULT_TIME_LIMIT_S",
    "INTERRUPTED",
    "CannotCheckError",
    "Observer",
    "Settings",
    "Target",
    "check",
]


async def check(
    target: Target,
    settings: Settings,
    *,
    rules: Sequence[Rule] | None = None,
    jobs: int = DEFAULT_JOBS,
    observer: Observer | None = None,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    interrupt: trio.Event | None = None,
) -> SuiteResult:
    """Run cases against a server.

    Cases that do not disturb each other run side by side; then the others, one
    at a time. A case that failed because nothing came in time is run again,
    alone and with more patience, before that is believed.

    Args:
      target: the server.
      settings: what all cases have in common; its ``command`` is what starts the
        server if the target has no address.
      rules: those to try; None for all.
      jobs: how many cases may run side by side.
      observer: hears of every case.
      time_limit_s: how long the run may take, in seconds; what is not decided by then
        is inconclusive. It takes a second or two more until all connections, and a
        server that was started, are gone.
      interrupt: when it is set the run ends as if the time were spent.

    Raises:
      CannotCheckError: there is no server, it does not start, what listens
        there speaks something else, or the run was interrupted before its first case.

    Cancellation ends connections and servers that were started.
    """
    ending = RunEnding.within(time_limit_s, interrupt)
    began_at = datetime.datetime.now(datetime.timezone.utc)
    began = trio.current_time()
    if target.address is not None:
        settings = replace(settings, written_address=format_address(target.address))
    try:
        async with open_host(target, settings) as host:
            run, cut_short = await _run(
                host,
                settings,
                rules if rules is not None else select([]),
                jobs,
                observer or Unobserved(),
                ending,
            )
            address = await host.address(restart=False)
    except SpawnError as error:
        raise CannotCheckError(str(error)) from None
    diagnosis = run.diagnosis()
    preflight = run.preflight
    return SuiteResult(
        target=target.name,
        address=format_address(address),
        command=(target.command or target.name) if target.address is None else None,
        seed=settings.seed,
        format=str(settings.wire),
        max_frame_length=settings.max_frame_length,
        round_trip_s=preflight.pace.round_trip_s,
        patience_s=preflight.patience_s,
        confirm_patience_s=preflight.confirm_patience_s,
        jobs=run.jobs,
        results=tuple(run.results(diagnosis, partial(_reproduce, target, settings))),
        causes=diagnosis.causes,
        notes=(
            *_notes(preflight, run.jobs, jobs, cut_short, can_start=target.address is None),
            *_notes_on_replies(preflight, settings),
            *([f"under TLS: {settings.tls.agreed}"] if settings.tls is not None else []),
            *run.notes,
        ),
        started_at=began_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        elapsed_s=trio.current_time() - began,
        versions=versions(),
        cut_short=cut_short,
        asking=_asking(settings),
    )


async def _run(
    host: Host,
    settings: Settings,
    rules: Sequence[Rule],
    jobs: int,
    observer: Observer,
    ending: RunEnding,
) -> tuple[Run, str]:
    """Make the run; say why it ended early, or nothing if it did not."""
    run: Run | None = None

    async def work() -> None:
        nonlocal run
        preflight = await run_preflight(host.address, settings, host.spawner)
        run = Run(host, settings, preflight, jobs, observer)
        await run.all(rules)

    why = await ending.run(work)
    if run is None:
        raise CannotCheckError(f"{why} before the first case")
    if why:
        run.end_early(rules, why)
    return run, why


def _reproduce(target: Target, settings: Settings, case_id: str) -> str:
    words = ["trioecho", "check"]
    own_words = target.words or ((target.name,) if target.address else ("--spawn", target.name))
    words += map(shlex.quote, own_words)
    words += [case_id, "--seed", str(settings.seed)]
    options = settings.dialogue.options if isinstance(settings.dialogue, Asked) else ()
    if str(settings.wire) != "u32be" and "--preset" not in options:
        words += ["--format", str(settings.wire)]
    words += map(shlex.quote, options)
    words += map(shlex.quote, settings.tls.options if settings.tls is not None else ())
    if settings.max_frame_length is not None:
        words += ["--max-frame-length", str(settings.max_frame_length)]
    return " ".join(words)


def _notes(
    preflight: Preflight, jobs: int, wished_jobs: int, cut_short: str, *, can_start: bool
) -> list[str]:
    notes = []
    if cut_short:
        notes.append(f"{cut_short} before all cases were decided")
        if cut_short != INTERRUPTED:
            notes.append("--time-limit gives it more time")
    if preflight.blocker is not None:
        notes.append(f"only the simplest was tried, as {preflight.blocker.reason}")
        if preflight.blocker.cause_id == "answers-something-else":
            notes.append("--ask FILE checks a service that does not echo, with requests of its own")
        if preflight.blocker is ONLY_FIRST and not can_start:
            notes.append("--spawn gives such a server a fresh start for each connection")
        return notes
    if preflight.pace.is_slow:
        notes.append("the server is slow, so cases ask it for fewer echoes: " + preflight.pace.in_words)
    if not preflight.echoes:
        notes.append(
            "the first frame did not come back right, so no case waits longer than "
            f"{preflight.patience_s:g} s"
        )
    elif preflight.only_first is not None:
        notes.append(preflight.only_first.in_words)
    elif not preflight.is_concurrent and jobs < wished_jobs:
        notes.append("the server does not serve two connections at once, so cases ran one at a time")
    return notes


def _asking(settings: Settings) -> Asking | None:
    asked = settings.dialogue
    if not isinstance(asked, Asked):
        return None
    return Asking(
        asked.source,
        tuple(
            AskedRequest(each.payload, each.reply, each.left_out, each.has_varying_length)
            for each in asked.requests
        ),
        "" if asked.correlation is None else str(asked.correlation),
        len(asked.first_messages),
    )


def _notes_on_replies(preflight: Preflight, settings: Settings) -> list[str]:
    asked = settings.dialogue
    if not isinstance(asked, Asked):
        is_wrong = not preflight.echoes and preflight.blocker is None
        return ["--ask FILE checks a service that does not echo, with requests of its own"] * is_wrong
    if asked.order.is_other:
        return ["replies came in another order than their requests, each with its request's identifier"]
    if asked.tells_apart:
        return []
    return [
        "all replies look alike, so whether they came in order, and to the right connection, was not seen; "
        "requests with different replies show it"
    ]


def versions() -> dict[str, str]:
    """Return the versions of what a verdict may depend on."""
    return {
        "trioecho": version_and_build(),
        "python": platform.python_version(),
        "trio": trio.__version__,
        "platform": platform.platform(),
    }
