"""A run of the suite against one server."""

from __future__ import annotations

import datetime
import platform
import shlex
from collections.abc import Sequence
from functools import partial
from importlib import metadata

import trio

from .book import Rule, select
from .causes import CAUSES
from .host import Target, joined, open_host
from .probe import Settings
from .run import DEFAULT_JOBS, Observer, Run, Unobserved
from .server import SpawnError
from .survey import CannotCheckError, Survey, survey
from .verdict import SuiteResult

__all__ = ["DEFAULT_JOBS", "CannotCheckError", "Observer", "Settings", "Target", "check"]


async def check(
    target: Target,
    settings: Settings,
    *,
    rules: Sequence[Rule] | None = None,
    jobs: int = DEFAULT_JOBS,
    observer: Observer | None = None,
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

    Raises:
      CannotCheckError: there is no server, it does not start, or what listens
        there speaks something else.

    Cancellation ends connections and servers that were started.
    """
    began_at = datetime.datetime.now(datetime.timezone.utc)
    began = trio.current_time()
    try:
        async with open_host(target, settings) as host:
            found = await survey(await host.address(), settings)
            run = Run(host, settings, found, jobs, observer or Unobserved())
            await run.all(rules if rules is not None else select([]))
            address = await host.address(restart=False)
    except SpawnError as error:
        raise CannotCheckError(str(error)) from None
    diagnosis = run.diagnosis()
    return SuiteResult(
        target=target.name,
        address=joined(address),
        command=target.name if target.address is None else None,
        seed=settings.seed,
        format=str(settings.wire),
        max_frame_length=settings.max_frame_length,
        round_trip_s=found.round_trip_s,
        patience_s=found.patience_s,
        confirm_patience_s=found.confirm_patience_s,
        jobs=run.jobs,
        results=tuple(run.results(diagnosis, partial(_reproduce, target, settings))),
        causes=tuple(CAUSES[cause_id] for cause_id in diagnosis.overall),
        notes=tuple(_notes(found, run.jobs, jobs)),
        started_at=began_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        elapsed_s=trio.current_time() - began,
        versions=_versions(),
    )


def _reproduce(target: Target, settings: Settings, case_id: str) -> str:
    words = ["trioecho", "check"]
    words += [target.name] if target.address else ["--spawn", shlex.quote(target.name)]
    words += [case_id, "--seed", str(settings.seed)]
    if str(settings.wire) != "u32be":
        words += ["--format", str(settings.wire)]
    if settings.max_frame_length is not None:
        words += ["--max-frame-length", str(settings.max_frame_length)]
    return " ".join(words)


def _notes(found: Survey, jobs: int, wished_jobs: int) -> list[str]:
    notes = []
    if found.other_wire is not None:
        notes.append(f"the server answers frames with other headers: --format {found.other_wire}")
    if not found.echoes:
        notes.append(
            f"the first frame did not come back right, so no case waits longer than {found.patience_s:g} s"
        )
    elif jobs < wished_jobs:
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
