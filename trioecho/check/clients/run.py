"""The cases of one run against a client: side by side, and again where one run is not enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import trio

from ..book.rule import Rule
from ..client.finding import Deviation, Kind
from ..client.settings import Settings
from ..diagnosis.diagnosis import Diagnosis
from ..runner.judging import judge_case
from ..runner.outcome import CaseOutcome, not_tried
from ..runner.run import Observer
from ..verdict import CaseResult, Verdict
from .book import CLIENT_CASES, CLIENTS
from .diagnosis import name_causes_of_client
from .preflight import ClientPreflight
from .probe import ClientProbe
from .registry import ClientCase
from .spawned_client import ClientStarter

_SHOWN_LINES = 4
# How much longer a client may take when it runs alone, before that is believed.
CONFIRM_FACTOR = 1.5
# A wait without end that was seen again so often is believed of the other cases without that.
_CONFIRMED = 2
# Longer than any case takes: the client is ended before.
_CASE_S, _CASE_RUNS = 120.0, 30


class ClientRuns:
    """The cases of one run, and what came of them."""

    def __init__(
        self,
        settings: Settings,
        starter: ClientStarter,
        preflight: ClientPreflight,
        jobs: int,
        observer: Observer,
    ) -> None:
        self.preflight: ClientPreflight = preflight
        self._settings = settings
        self._starter = starter
        self._jobs = jobs
        self._observer = observer
        self._outcomes: dict[str, CaseOutcome] = {}
        self._total = 0

    async def all(self, rules: Sequence[Rule]) -> None:
        """Run them, and again those that are not certain."""
        cases = [CLIENT_CASES[rule.id] for rule in rules]
        self._total = len(cases)
        if self.preflight.blocker is not None:
            for case in cases:
                self._note(self._blocked(case))
            return
        waiting = iter(cases)

        async def work() -> None:
            for case in waiting:
                self._observer.began(case.rule)
                self._note(await self._run(case, 1.0))

        async with trio.open_nursery() as nursery:
            for _ in range(self._jobs):
                nursery.start_soon(work)
        await self._confirm()

    async def _run(self, case: ClientCase, factor: float) -> CaseOutcome:
        """Run a case, with so many times the usual patience."""
        facts = self.preflight.facts
        probe = ClientProbe(
            case.id,
            self._settings,
            self._starter,
            facts,
            patience_s=factor * self.preflight.patience_s,
            notice_s=factor * self.preflight.notice_s,
        )
        began = trio.current_time()
        most_s = _CASE_S + _CASE_RUNS * facts.run_s + factor * self._settings.reply_timeout_s
        outcome = await judge_case(case, case.rule, partial(case.run, probe), most_s=most_s)
        outcome.elapsed_s = trio.current_time() - began
        outcome.transcript = probe.transcript.events
        outcome.events_left_out = probe.transcript.left_out
        if outcome.deviation is not None:
            outcome.notes = _last_words(probe.lines)
        return outcome

    async def _confirm(self) -> None:
        """Try again, alone, what a busy machine could have brought about."""
        confirmed = 0
        for case in [case for case in CLIENT_CASES.values() if case.id in self._outcomes]:
            outcome = self._outcomes[case.id]
            is_silence = outcome.deviation is not None and outcome.deviation.kind is Kind.SILENCE
            is_open = outcome.is_open or outcome.verdict is Verdict.INCONCLUSIVE
            if not is_open or (is_silence and confirmed >= _CONFIRMED):
                continue
            self._observer.began(case.rule)
            again = await self._run(case, CONFIRM_FACTOR)
            again.attempts = outcome.attempts + 1
            confirmed += is_silence and again.is_open
            if again.verdict is Verdict.PASS:
                again.notes += ("passed when it ran alone, with more patience",)
            self._note(again)

    def _blocked(self, case: ClientCase) -> CaseOutcome:
        """Return the outcome of a case of which the preflight says enough."""
        blocker = self.preflight.blocker
        assert blocker is not None  # noqa: S101 - for the type checker
        if case.id not in blocker.shown_by:
            return not_tried(case, f"not tried: {blocker.reason}")
        expected = "every frame of the client to come, and then exit code 0"
        return CaseOutcome(
            case,
            Verdict.FAIL,
            blocker.reason,
            self.preflight.facts.run_s,
            self.preflight.transcript.events,
            self.preflight.transcript.left_out,
            Deviation(Kind.OTHER, expected, blocker.reason, cause_id=blocker.cause_id),
            notes=_last_words(self.preflight.lines),
        )

    def end_early(self, rules: Sequence[Rule], why: str) -> None:
        """Give every rule a verdict, also those that were not tried, or would have been tried again."""
        for rule in rules:
            outcome = self._outcomes.get(rule.id)
            if outcome is None:
                self._note(not_tried(CLIENT_CASES[rule.id], f"{why} before it was tried"))
            elif outcome.is_open and outcome.attempts == 1:
                summary = f"{outcome.summary}; {why} before it could be tried again"
                self._note(replace(outcome, verdict=Verdict.INCONCLUSIVE, summary=summary))

    def _note(self, outcome: CaseOutcome) -> None:
        is_new = outcome.case.id not in self._outcomes
        self._outcomes[outcome.case.id] = outcome
        if is_new:
            rule = CLIENTS.rules[outcome.case.id]
            self._observer.ended(rule, outcome.verdict, len(self._outcomes), self._total)

    # ---- results ----

    def diagnosis(self) -> Diagnosis:
        """Name what probably is wrong."""
        found = name_causes_of_client(
            {
                rule_id: outcome.deviation
                for rule_id in CLIENTS.rules
                if (outcome := self._outcomes.get(rule_id)) is not None
                and outcome.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.WARN)
            }
        )
        blocker = self.preflight.blocker
        return found if blocker is None else replace(found, overall=(blocker.cause_id,))

    def results(self, diagnosis: Diagnosis, reproduce: Callable[[str], str]) -> list[CaseResult]:
        """Return the results in the book's order."""
        return [
            outcome.result(diagnosis.cause_of(rule_id), reproduce(rule_id), CLIENTS)
            for rule_id in CLIENTS.rules
            if (outcome := self._outcomes.get(rule_id)) is not None
        ]


def _last_words(lines: Sequence[str]) -> tuple[str, ...]:
    """Return notes of what a client has written last."""
    return tuple(f"the client wrote: {line}" for line in lines[-_SHOWN_LINES:])
