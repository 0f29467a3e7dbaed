"""A run of the suite against one server."""

from __future__ import annotations

import contextlib
import datetime
import platform
import shlex
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from typing import Protocol

import trio

from .book import Level, Rule, rule_of, select
from .cases import CASES, Case
from .causes import CAUSES
from .diagnosis import Diagnosis, diagnose
from .finding import Deviation, InconclusiveError, Kind, NotApplicableError
from .peer import in_words
from .probe import Probe, Settings
from .server import SpawnedServer, SpawnError, running_server
from .survey import CannotCheckError, Survey, survey
from .verdict import CaseResult, Event, SuiteResult, Verdict

__all__ = ["CannotCheckError", "Observer", "Settings", "Target", "check"]

DEFAULT_JOBS = 8
# Longer than any case takes that gets its answers.
_CASE_S = 30.0
# So many wrong answers are asked for again from a fresh server.
_MOST_FRESH = 5
# So many silences are confirmed with all patience; then the machine is known not to be the reason.
_FULLY_CONFIRMED = 3


@dataclass(frozen=True)
class Target:
    """What is to be checked: a server that listens, or the command that starts one.

    Attributes:
      name: as its user has written it.
      address: where it listens; None for a command.
    """

    name: str
    address: tuple[str, int] | None = None


class Observer(Protocol):
    """Hears how a run goes on."""

    def began(self, rule: Rule) -> None:
        """A case has begun."""

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        """A case has a verdict, which may change when it is tried again."""


class _Unobserved:
    def began(self, rule: Rule) -> None:
        pass

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        pass


@dataclass
class _Outcome:
    """How a case's run ended.

    Attributes:
      deviation: what was not as it should be.
      did_server_end: whether the server was gone when the case ended.
    """

    case: Case
    verdict: Verdict
    summary: str
    elapsed_s: float
    transcript: tuple[Event, ...]
    events_left_out: int
    deviation: Deviation | None = None
    did_server_end: bool = False
    notes: tuple[str, ...] = ()
    attempts: int = 1


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
        async with _open_host(target, settings) as host:
            found = await survey(await host.address(), settings)
            run = _Run(host, settings, found, jobs, observer or _Unobserved())
            await run.all(rules if rules is not None else select([]))
            address = await host.address(restart=False)
    except SpawnError as error:
        raise CannotCheckError(str(error)) from None
    diagnosis = run.diagnosis()
    return SuiteResult(
        target=target.name,
        address=_joined(address),
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


def _joined(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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


# ---- the server ----


class _Host:
    """Where the server is; one that was started is started again when it has ended."""

    def __init__(self, target: Target, settings: Settings, nursery: trio.Nursery) -> None:
        self.server: SpawnedServer | None = None
        self._target = target
        self._settings = settings
        self._nursery = nursery
        self._lock = trio.Lock()
        self._fixed = target.address
        self._scope = trio.CancelScope()

    async def address(self, *, restart: bool = True) -> tuple[str, int]:
        """Where to connect.

        Raises:
          SpawnError: the server does not start.
        """
        if self._fixed is not None:
            return self._fixed
        async with self._lock:
            if self.server is None or (restart and self.server.has_ended):
                self.server = await self._nursery.start(self._run_server)
            return self.server.address

    async def renew(self) -> None:
        """See to it that the next case has a fresh server, if the suite can start one."""
        if self.server is not None:
            self._scope.cancel()
            await self.server.process.wait()
            self.server = None

    async def _run_server(self, task_status: trio.TaskStatus[SpawnedServer]) -> None:
        assert self._settings.command is not None  # noqa: S101 - for the type checker
        running = running_server(list(self._settings.command), timeout_s=self._settings.spawn_timeout_s)
        async with running as (server, first_connection):
            first_connection.close()
            with trio.CancelScope() as self._scope:
                task_status.started(server)
                await trio.sleep_forever()

    async def has_ended(self, server: SpawnedServer | None) -> bool:
        """Whether the server that was there is gone."""
        if server is not None:
            # A process that dies shows first by its connections.
            return await server.wait_ended(0.05)
        if self._fixed is None:
            return False
        try:
            with trio.fail_after(5):
                (await trio.open_tcp_stream(*self._fixed)).socket.close()
        except OSError:
            return True
        except trio.TooSlowError:
            return False
        return False


@contextlib.asynccontextmanager
async def _open_host(target: Target, settings: Settings) -> AsyncIterator[_Host]:
    if target.address is not None:
        # A name may have several addresses; all cases are for the one that answers.
        target = replace(target, address=await _resolve(target.address))
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield _Host(target, settings, nursery)
        except Exception as error:  # noqa: BLE001 - to be raised outside of the nursery, which would wrap it
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _resolve(address: tuple[str, int]) -> tuple[str, int]:
    """The first of a name's addresses that accepts a connection.

    Raises:
      CannotCheckError: none does.
    """
    reason: object = "no address"
    try:
        with trio.fail_after(10):
            found = await trio.socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
            for family, kind, protocol, _, where in found:
                with trio.socket.socket(family, kind, protocol) as sock:
                    try:
                        await sock.connect(where)
                    except OSError as error:
                        reason = in_words(error)
                        continue
                    return str(where[0]), int(where[1])
    except trio.TooSlowError:
        reason = "no answer within 10 s"
    except (OSError, UnicodeError) as error:
        reason = in_words(error)
    raise CannotCheckError(f"cannot reach {_joined(address)}: {reason}")


# ---- the cases ----


class _Run:
    """The cases of one run, and what came of them."""

    def __init__(self, host: _Host, settings: Settings, found: Survey, jobs: int, observer: Observer) -> None:
        self.jobs = jobs if found.is_concurrent else 1
        self._host = host
        self._settings = settings
        self._survey = found
        self._observer = observer
        self._outcomes: dict[str, _Outcome] = {}
        self._total = 0
        self._gone_in: str | None = None

    async def all(self, rules: Sequence[Rule]) -> None:
        """Run them, and again those that are not certain."""
        cases = [CASES[rule.id] for rule in rules]
        self._total = len(cases)
        waiting = iter([case for case in cases if not case.is_alone])

        async def work() -> None:
            # In the book's order, which a nursery's tasks would not keep.
            for case in waiting:
                await self._run_first(case)

        async with trio.open_nursery() as nursery:
            for _ in range(self.jobs):
                nursery.start_soon(work)
        # Several may have been under way when the server ended.
        suspects = [outcome for outcome in self._outcomes.values() if outcome.did_server_end]
        for outcome in suspects:
            self._note(await self._run_again(outcome, is_only_one=len(suspects) == 1))
        for case in cases:
            if case.is_alone:
                await self._run_first(case)
        await self._confirm()

    async def _run_first(self, case: Case) -> None:
        if self._gone_in is not None:
            summary = f"the server no longer accepts connections, since case {self._gone_in}"
            self._note(_Outcome(case, Verdict.INCONCLUSIVE, summary, 0.0, (), 0))
        else:
            patience_s, is_last_try = self._survey.patience_s, not self._survey.echoes
            outcome = await self._run(case, patience_s, is_last_try=is_last_try)
            if case.is_alone and outcome.did_server_end:
                # What an earlier case has left behind may have ended it.
                outcome = await self._run_again(outcome)
            self._note(outcome)

    def _note(self, outcome: _Outcome) -> None:
        is_new = outcome.case.id not in self._outcomes
        self._outcomes[outcome.case.id] = outcome
        if is_new:
            self._observer.ended(rule_of(outcome.case.id), outcome.verdict, len(self._outcomes), self._total)

    async def _run_again(self, earlier: _Outcome, *, is_only_one: bool = True) -> _Outcome:
        """Run a case alone, on a fresh server, that may have ended the one before."""
        if self._settings.command is not None:
            return replace(await self._run(earlier.case, self._survey.patience_s), attempts=2)
        if is_only_one:
            return earlier
        summary = "the server ended while this case and others ran; try it with --jobs 1"
        return replace(earlier, verdict=Verdict.INCONCLUSIVE, summary=summary)

    async def _confirm(self) -> None:
        """Believe a silence only if it is there again, alone and with more patience."""
        if not self._survey.echoes or self._gone_in is not None:
            return
        await self._try_on_fresh_server()
        confirmed = 0
        for outcome in list(self._outcomes.values()):
            deviation = outcome.deviation
            if deviation is None or not deviation.is_uncertain or outcome.did_server_end:
                continue
            full = self._survey.confirm_patience_s
            patience_s = full if confirmed < _FULLY_CONFIRMED else full / 2
            await self._host.renew()
            again = await self._run(outcome.case, patience_s)
            if again.deviation is not None:
                confirmed += 1
            elif again.verdict is Verdict.PASS:
                again.notes += (f"passed when it ran alone with {patience_s:g} s of patience",)
            self._note(replace(again, attempts=outcome.attempts + 1))

    async def _try_on_fresh_server(self) -> None:
        """Find out whether wrong bytes come only from a server that has served others before."""
        tries = 0
        for outcome in list(self._outcomes.values()):
            deviation = outcome.deviation
            if deviation is None or deviation.kind is not Kind.WRONG or self._host.server is None:
                continue
            if rule_of(outcome.case.id).needs_spawn or tries >= _MOST_FRESH:
                continue
            tries += 1
            await self._host.renew()
            again = await self._run(outcome.case, self._survey.patience_s)
            if again.verdict is Verdict.PASS:
                deviation.is_only_now_and_then = True
                outcome.notes += ("the case passed on a fresh server",)

    async def _run(self, case: Case, patience_s: float, *, is_last_try: bool = True) -> _Outcome:
        rule = rule_of(case.id)
        self._observer.began(rule)
        began = trio.current_time()
        if rule.needs_spawn and self._settings.command is None:
            return _Outcome(case, Verdict.NOT_APPLICABLE, "needs a server started with --spawn", 0.0, (), 0)
        try:
            address = await self._host.address()
        except SpawnError as error:
            return _Outcome(case, Verdict.INCONCLUSIVE, str(error), 0.0, (), 0)
        server = self._host.server
        probe = Probe(
            case.id,
            address,
            self._settings,
            patience_s=patience_s,
            round_trip_s=self._survey.round_trip_s,
            serves_several=self._survey.is_concurrent,
            is_last_try=is_last_try,
        )
        deviation = None
        notes: tuple[str, ...] = ()
        try:
            with trio.fail_after(_CASE_S):
                verdict, summary = Verdict.PASS, await case.run(probe)
        except Deviation as error:
            deviation = error
            level = error.level or rule.level
            verdict = Verdict.FAIL if level is Level.MUST else Verdict.WARN
            summary = error.actual
            if probe.server is not None:
                notes = tuple(f"the server wrote: {line}" for line in probe.server.last_lines())
        except NotApplicableError as error:
            verdict, summary = Verdict.NOT_APPLICABLE, str(error)
        except InconclusiveError as error:
            verdict, summary = Verdict.INCONCLUSIVE, str(error)
        except trio.TooSlowError:
            verdict, summary = Verdict.INCONCLUSIVE, f"not done after {_CASE_S:g} s"
        except OSError as error:
            verdict, summary = Verdict.INCONCLUSIVE, f"this machine could not: {error}"
        outcome = _Outcome(
            case,
            verdict,
            summary,
            trio.current_time() - began,
            probe.transcript.events,
            probe.transcript.left_out,
            deviation,
            notes=notes,
        )
        if deviation is not None and probe.server is None and await self._host.has_ended(server):
            self._note_end(outcome, server)
        return outcome

    def _note_end(self, outcome: _Outcome, server: SpawnedServer | None) -> None:
        outcome.did_server_end = True
        if server is None:
            self._gone_in = self._gone_in or outcome.case.id
            outcome.notes += ("after this case the server accepted no connection any more",)
            return
        outcome.verdict = Verdict.FAIL
        outcome.notes += (f"the server {server.how_it_ended} in this case",)
        outcome.notes += tuple(f"the server wrote: {line}" for line in server.last_lines())

    # ---- results ----

    def diagnosis(self) -> Diagnosis:
        """What probably is wrong."""
        return diagnose(
            {
                outcome.case.id: outcome.deviation
                for outcome in self._outcomes.values()
                if outcome.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.WARN)
            },
            self._survey,
            self._settings.wire,
            ended_in={outcome.case.id for outcome in self._outcomes.values() if outcome.did_server_end},
        )

    def results(self, diagnosis: Diagnosis, reproduce: Callable[[str], str]) -> list[CaseResult]:
        """In the book's order."""
        return [
            CaseResult(
                id=rule.id,
                verdict=outcome.verdict,
                summary=outcome.summary,
                expected=outcome.deviation.expected if outcome.deviation else "",
                actual=outcome.deviation.actual if outcome.deviation else "",
                cause=CAUSES[cause_id] if (cause_id := diagnosis.by_case.get(rule.id)) else None,
                transcript=outcome.transcript,
                events_left_out=outcome.events_left_out,
                notes=outcome.notes,
                reproduce=reproduce(rule.id),
                elapsed_s=outcome.elapsed_s,
                attempts=outcome.attempts,
            )
            for rule in select([])
            if (outcome := self._outcomes.get(rule.id)) is not None
        ]
