"""The cases of one run: side by side or alone, and again where one run is not enough."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import trio

from .book import Level, Rule, rule_of, select
from .cases import CASES, Case
from .diagnosis import Diagnosis, diagnose
from .finding import Deviation, InconclusiveError, Kind, NotApplicableError
from .host import Host
from .obstacle import ONLY_FIRST, Obstacle
from .outcome import Outcome
from .probe import Probe, Settings
from .server import SpawnedServer, SpawnError
from .survey import Survey
from .verdict import CaseResult, Verdict

DEFAULT_JOBS = 8
# Longer than any case takes that gets its answers.
_CASE_S, _CASE_ROUND_TRIPS = 30.0, 20
_STARTING_AT_A_TIME = 2
# Longest wait for a server that accepts slowly to have accepted all.
_QUEUE_S = 20.0
# So many wrong answers are asked for again from a fresh server.
_MOST_FRESH = 20
# What shows that nothing is echoed, and that only the first connection is served.
_SIMPLEST, _FIRST_CONNECTION = "1.2", "6.1"
# So many silences are confirmed with all patience; then the machine is known not to be the reason.
_FULLY_CONFIRMED = 3


class Observer(Protocol):
    """Hears how a run goes on."""

    def began(self, rule: Rule) -> None:
        """A case has begun."""

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        """A case has a verdict, which may change when it is tried again."""


class Unobserved:
    """Hears nothing."""

    def began(self, rule: Rule) -> None:
        pass

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        pass


def _last_words(server: SpawnedServer) -> tuple[str, ...]:
    return tuple(f"the server wrote: {line}" for line in server.last_lines())


def _not_tried(case: Case, why: str) -> Outcome:
    return Outcome(case, Verdict.INCONCLUSIVE, why, 0.0, (), 0)


class Run:
    """The cases of one run, and what came of them."""

    def __init__(self, host: Host, settings: Settings, found: Survey, jobs: int, observer: Observer) -> None:
        # One that accepts slowly is slow for all cases that run beside.
        self.jobs: int = jobs if found.is_concurrent and not found.pace.connect_s else 1
        self._host = host
        self._settings = settings
        self.survey: Survey = found
        # On a busy machine many that start at a time would all be late.
        self._starting = trio.CapacityLimiter(_STARTING_AT_A_TIME)
        self._observer = observer
        self._outcomes: dict[str, Outcome] = {}
        self._total = 0
        self._gone_in: str | None = None

    async def all(self, rules: Sequence[Rule]) -> None:
        """Run them, and again those that are not certain."""
        cases = [CASES[rule.id] for rule in rules]
        self._total = len(cases)
        if self.survey.obstacle is not None:
            await self._show(self.survey.obstacle, cases)
            return
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

    async def _show(self, obstacle: Obstacle, cases: Sequence[Case]) -> None:
        """Try the simplest case, for the evidence, and none that would fail for the same reason."""
        ids = [case.id for case in cases]
        simplest = [case_id for case_id in (_SIMPLEST, *ids) if case_id in ids and case_id[0] in "123"]
        tried = [*simplest[:1], *(case_id for case_id in (_FIRST_CONNECTION,) if case_id in ids)]
        for case_id in tried:
            await self._run_first(CASES[case_id])
        found = {case_id: self._outcomes[case_id] for case_id in tried}
        if self._host.server is not None and tried and obstacle.cause_id == "closes-at-first-frame":
            found[tried[0]].notes = found[tried[0]].notes or _last_words(self._host.server)
        is_first_served = _FIRST_CONNECTION in found and found[_FIRST_CONNECTION].verdict is Verdict.PASS
        if is_first_served and found[tried[0]].verdict is Verdict.FAIL:
            obstacle = ONLY_FIRST
            self.survey = replace(self.survey, obstacle=obstacle)
        for case in cases:
            if rule_of(case.id).needs_spawn and self._settings.command is None:
                await self._run_first(case)  # which says so
            elif case.id not in found:
                self._note(_not_tried(case, f"not tried: {obstacle.reason}"))

    def end_early(self, rules: Sequence[Rule], why: str) -> None:
        """Give every rule a verdict, also those that were not tried, or would have been tried again."""
        for rule in rules:
            outcome = self._outcomes.get(rule.id)
            if outcome is None:
                self._note(_not_tried(CASES[rule.id], f"{why} before it was tried"))
            elif outcome.is_open and outcome.attempts == 1 and self.survey.echoes:
                summary = f"{outcome.summary}; {why} before it could be tried again"
                self._note(replace(outcome, verdict=Verdict.INCONCLUSIVE, summary=summary))

    async def _run_first(self, case: Case) -> None:
        if self._gone_in is not None:
            self._note(
                _not_tried(case, f"the server no longer accepts connections, since case {self._gone_in}")
            )
        else:
            patience_s, is_last_try = self.survey.patience_s, not self.survey.echoes
            outcome = await self._run(case, patience_s, is_last_try=is_last_try)
            if case.is_alone and outcome.did_server_end:
                # What an earlier case has left behind may have ended it.
                outcome = await self._run_again(outcome)
            self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        is_new = outcome.case.id not in self._outcomes
        self._outcomes[outcome.case.id] = outcome
        if is_new:
            self._observer.ended(rule_of(outcome.case.id), outcome.verdict, len(self._outcomes), self._total)

    async def _run_again(self, earlier: Outcome, *, is_only_one: bool = True) -> Outcome:
        """Run a case alone, on a fresh server, that may have ended the one before."""
        if self._settings.command is not None:
            return replace(await self._run(earlier.case, self.survey.patience_s), attempts=2)
        if is_only_one:
            return earlier
        summary = "the server ended while this case and others ran; try it with --jobs 1"
        return replace(earlier, verdict=Verdict.INCONCLUSIVE, summary=summary)

    async def _confirm(self) -> None:
        """Try again what may have another reason than the case itself."""
        if not self.survey.echoes or self._gone_in is not None:
            return
        failed = [outcome for outcome in self._outcomes.values() if outcome.deviation is not None]
        for outcome in [each for each in failed if each.server is not None and each.server.has_ended]:
            if outcome.attempts == 1:
                self._note(await self._run_again(outcome))
        for outcome in list(self._outcomes.values()):
            if outcome.verdict is Verdict.INCONCLUSIVE and outcome.attempts == 1:
                self._note(replace(await self._run(outcome.case, self.survey.patience_s), attempts=2))
        await self._try_on_fresh_server()
        confirmed = 0
        for outcome in list(self._outcomes.values()):
            if not outcome.is_open:
                continue
            # A silence, most often: it is believed if it is there again, with more patience.
            full = self.survey.confirm_patience_s
            patience_s = full if confirmed < _FULLY_CONFIRMED else full / 2
            await self._host.renew()
            again = await self._run(outcome.case, patience_s)
            if again.deviation is not None:
                confirmed += 1
            elif again.verdict is Verdict.PASS:
                again.notes += (f"passed when it ran alone with {patience_s:g} s of patience",)
            self._note(replace(again, attempts=outcome.attempts + 1))

    async def _try_on_fresh_server(self) -> None:
        """Find out whether what is wrong needs others beside it, or before it."""
        tries = 0
        for outcome in list(self._outcomes.values()):
            deviation = outcome.deviation
            if deviation is None or outcome.server is None or outcome.did_server_end or outcome.attempts > 1:
                continue
            if deviation.kind not in (Kind.WRONG, Kind.EXTRA, Kind.END, Kind.RESET) or tries >= _MOST_FRESH:
                continue
            tries += 1
            await self._host.renew()
            again = await self._run(outcome.case, self.survey.patience_s)
            if again.verdict is Verdict.PASS:
                deviation.is_only_now_and_then = True
                outcome.notes += ("the case passed alone on a fresh server",)

    async def _run(self, case: Case, patience_s: float, *, is_last_try: bool = True) -> Outcome:
        rule = rule_of(case.id)
        self._observer.began(rule)
        began = trio.current_time()
        if rule.needs_spawn and self._settings.command is None:
            return Outcome(case, Verdict.NOT_APPLICABLE, "needs a server started with --spawn", 0.0, (), 0)
        try:
            address = await self._host.address()
        except SpawnError as error:
            return _not_tried(case, str(error))
        server = self._host.server
        if self.survey.pace.connect_s:
            await self._wait_until_accepted(address)
        probe = Probe(
            case.id,
            address,
            self._settings,
            patience_s=patience_s,
            pace=self.survey.pace,
            serves_several=self.survey.is_concurrent,
            is_last_try=is_last_try,
            starting=self._starting,
        )
        deviation = None
        notes: tuple[str, ...] = ()
        try:
            most_s = _CASE_S + _CASE_ROUND_TRIPS * self.survey.pace.round_trip_s
            with trio.fail_after(most_s):
                verdict, summary = Verdict.PASS, await case.run(probe)
        except Deviation as error:
            deviation = error
            level = error.level or rule.level
            verdict = Verdict.FAIL if level is Level.MUST else Verdict.WARN
            summary = error.actual
            if probe.server is not None:
                notes = _last_words(probe.server)
        except NotApplicableError as error:
            verdict, summary = Verdict.NOT_APPLICABLE, str(error)
        except InconclusiveError as error:
            verdict, summary = Verdict.INCONCLUSIVE, str(error)
        except trio.TooSlowError:
            verdict, summary = Verdict.INCONCLUSIVE, f"not done after {most_s:.3g} s"
        except OSError as error:
            verdict, summary = Verdict.INCONCLUSIVE, f"this machine could not: {error}"
        outcome = Outcome(
            case,
            verdict,
            summary,
            trio.current_time() - began,
            probe.transcript.events,
            probe.transcript.left_out,
            deviation,
            server=None if rule.needs_spawn else server,
            notes=notes,
        )
        if deviation is not None and probe.server is None and await self._host.has_ended(server, deviation):
            self._note_end(outcome, server)
        return outcome

    async def _wait_until_accepted(self, address: tuple[str, int]) -> None:
        """Let a server that accepts slowly work off what other cases have left in its queue."""
        probe = Probe("queue", address, self._settings, patience_s=_QUEUE_S)
        with contextlib.suppress(Deviation):
            async with probe.connect() as peer:
                await peer.echo(b"")

    def _note_end(self, outcome: Outcome, server: SpawnedServer | None) -> None:
        outcome.did_server_end = True
        if server is None:
            self._gone_in = self._gone_in or outcome.case.id
            outcome.notes += ("after this case the server accepted no connection any more",)
            return
        outcome.verdict = Verdict.FAIL
        outcome.notes += (f"the server {server.how_it_ended} in this case",)
        outcome.notes += _last_words(server)

    # ---- results ----

    def diagnosis(self) -> Diagnosis:
        """What probably is wrong."""
        return diagnose(
            {
                outcome.case.id: outcome.deviation
                for outcome in self._outcomes.values()
                if outcome.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.WARN)
            },
            self.survey,
            self._settings.wire,
            ended_in={outcome.case.id for outcome in self._outcomes.values() if outcome.did_server_end},
        )

    def results(self, diagnosis: Diagnosis, reproduce: Callable[[str], str]) -> list[CaseResult]:
        """In the book's order."""
        return [
            outcome.result(diagnosis.by_case.get(rule.id), reproduce(rule.id))
            for rule in select([])
            if (outcome := self._outcomes.get(rule.id)) is not None
        ]
