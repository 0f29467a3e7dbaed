"""A run of the suite against one server."""

from __future__ import annotations

import datetime
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata

import trio

from .book import Rule, select
from .causes import CAUSES
from .first_look import survey
from .host import Host, Target, joined, open_host
from .probe import Settings
from .run import DEFAULT_JOBS, Observer, Run, Unobserved
from .server import SpawnError
from .survey import CannotCheckError, Survey
from .verdict import SuiteResult

# Several times what any server takes that echoes what it is sent.
DEFAULT_TIME_LIMIT_S = 120.0
INTERRUPTED = "the run was interrupted"

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
    ending = _Ending(
        trio.current_time() + time_limit_s, f"the {time_limit_s:g} s for this run were spent", interrupt
    )
    began_at = datetime.datetime.now(datetime.timezone.utc)
    began = trio.current_time()
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
    found = run.survey
    return SuiteResult(
        target=target.name,
        address=joined(address),
        command=target.name if target.address is None else None,
        seed=settings.seed,
        format=str(settings.wire),
        max_frame_length=settings.max_frame_length,
        round_trip_s=found.pace.round_trip_s,
        patience_s=found.patience_s,
        confirm_patience_s=found.confirm_patience_s,
        jobs=run.jobs,
        results=tuple(run.results(diagnosis, partial(_reproduce, target, settings))),
        causes=tuple(CAUSES[cause_id] for cause_id in diagnosis.overall),
        notes=tuple(_notes(found, run.jobs, jobs, cut_short)),
        started_at=began_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        elapsed_s=trio.current_time() - began,
        versions=_versions(),
        cut_short=cut_short,
    )


@dataclass(frozen=True)
class _Ending:
    """When a run ends early.

    Attributes:
      deadline: by Trio's clock.
      at_deadline: what is said then.
      interrupt: when it is set.
    """

    deadline: float
    at_deadline: str
    interrupt: trio.Event | None


async def _run(
    host: Host,
    settings: Settings,
    rules: Sequence[Rule],
    jobs: int,
    observer: Observer,
    ending: _Ending,
) -> tuple[Run, str]:
    """The run, and why it ended early; empty if it did not."""
    run: Run | None = None
    failure: CannotCheckError | SpawnError | None = None
    why = ending.at_deadline
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = ending.deadline

        async def watch(interrupt: trio.Event) -> None:
            nonlocal why
            await interrupt.wait()
            why = INTERRUPTED
            nursery.cancel_scope.cancel()

        if ending.interrupt is not None:
            nursery.start_soon(watch, ending.interrupt)
        try:
            run = Run(host, settings, await survey(host.address, settings), jobs, observer)
            await run.all(rules)
            why = ""
        except (CannotCheckError, SpawnError) as error:  # to be raised outside of the nursery
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if run is None:
        raise CannotCheckError(f"{why} before the first case")
    if why:
        run.end_early(rules, why)
    return run, why


def _reproduce(target: Target, settings: Settings, case_id: str) -> str:
    words = ["trioecho", "check"]
    words += [target.name] if target.address else ["--spawn", shlex.quote(target.name)]
    words += [case_id, "--seed", str(settings.seed)]
    if str(settings.wire) != "u32be":
        words += ["--format", str(settings.wire)]
    if settings.max_frame_length is not None:
        words += ["--max-frame-length", str(settings.max_frame_length)]
    return " ".join(words)


def _notes(found: Survey, jobs: int, wished_jobs: int, cut_short: str) -> list[str]:
    notes = []
    if cut_short:
        notes.append(f"{cut_short} before all cases were decided")
        if cut_short != INTERRUPTED:
            notes.append("--time-limit gives it more time")
    if found.obstacle is not None:
        return [*notes, f"only the simplest was tried, as {found.obstacle.reason}"]
    if found.pace.is_slow:
        notes.append("the server is slow, so cases ask it for fewer echoes: " + found.pace.in_words)
    if found.other_wire is not None:
        notes.append(f"the server answers frames with other headers: --format {found.other_wire}")
    if not found.echoes:
        notes.append(
            f"the first frame did not come back right, so no case waits longer than {found.patience_s:g} s"
        )
    elif not found.is_concurrent and jobs < wished_jobs:
        notes.append("the server does not serve two connections at once, so cases ran one at a time")
    return notes


def _versions() -> dict[str, str]:
    try:
        version = metadata.version("trioecho")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return {
        "trioecho": version,
        "python": platform.python_version(),
        "trio": trio.__version__,
        "platform": platform.platform(),
    }
