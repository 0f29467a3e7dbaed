"""The cases of one run: side by side or alone, and again where one run is not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import trio

from ..book.book import Rule, rule_of, select
from ..cases import CASES, Case
from ..client.finding import Kind
from ..client.settings import Settings
from ..diagnosis.diagnosis import Diagnosis, name_causes
from ..diagnosis.foreign_bytes import cases_with_foreign_bytes
from ..preflight.blocker import ONLY_FIRST, Blocker
from ..preflight.result import Preflight
from ..verdict import CaseResult, Verdict
from .attempt import Attempts
from .deaths import Deaths
from .host import Host
from .outcome import CaseOutcome, last_words, not_tried, with_output_once

DEFAULT_JOBS = 8
# How many wrong replies are asked for again from a fresh server.
_MOST_FRESH = 20
# What shows that only the first connection is served.
_FIRST_CONNECTION = "6.1"
# How many silences are confirmed with all patience; then the machine is known not to be the reason.
_FULLY_CONFIRMED = 3


class Observer(Protocol):
    """Hears how a run goes on."""

    def began(self, rule: Rule) -> None:
        """Note that a case has begun."""

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        """Note the verdict of a case, which may change when it is tried again."""


class Unobserved:
    """Hears nothing."""

    def began(self, rule: Rule) -> None:
        pass

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        pass


class Run:
    """The cases of one run, and what came of them."""

    def __init__(
        self, host: Host, settings: Settings, preflight: Preflight, jobs: int, observer: Observer
    ) -> None:
        # One that accepts slowly is slow for all cases that run beside.
        can_run_beside = preflight.is_concurrent and not preflight.pace.connect_s
        self.jobs: int = jobs if can_run_beside or preflight.only_first else 1
        self._host = host
        self._settings = settings
        self._attempts = Attempts(host, settings, preflight)
        self._observer = observer
        self._outcomes: dict[str, CaseOutcome] = {}
        self._deaths = Deaths(host, self._attempts, self._outcomes, self._note)
        self._total = 0

    @property
    def preflight(self) -> Preflight:
        """The result of the preflight."""
        return self._attempts.preflight

    @property
    def notes(self) -> Sequence[str]:
        """What else is to be said of the whole run."""
        return self._deaths.notes

    async def all(self, rules: Sequence[Rule]) -> None:
        """Run them, and again those that are not certain."""
        cases = [CASES[rule.id] for rule in rules]
        self._total = len(cases)
        if self.preflight.blocker is not None:
            await self._show(self.preflight.blocker, cases)
            return
        await self._deaths.look_after_preflight()
        waiting = iter([case for case in cases if not self._needs_quiet(case)])

        async def work() -> None:
            # In the book's order, which a nursery's tasks would not keep. Once the server
            # has ended, one case at a time, so that the next end has one cause.
            while not self._deaths.any and (case := next(waiting, None)) is not None:
                await self._run_first(case)

        async with trio.open_nursery() as nursery:
            for _ in range(self.jobs):
                nursery.start_soon(work)
        await self._deaths.settle()
        for case in [*waiting, *(case for case in cases if self._needs_quiet(case))]:
            await self._run_first(case)
            await self._deaths.settle()
        await self._confirm()
        await self._deaths.settle()

    def _needs_quiet(self, case: Case) -> bool:
        """Return whether no other case may run beside this one."""
        return case.is_alone or (case.may_end_server and self._host.spawner is None)

    async def _show(self, blocker: Blocker, cases: Sequence[Case]) -> None:
        """Try the simplest case, for the evidence, and none that would fail for the same reason."""
        ids = [case.id for case in cases]
        simplest = [case_id for case_id in blocker.shown_by if case_id in ids]
        simplest = simplest or [case_id for case_id in ids if case_id[0] in "123"][:1]
        tried = [*simplest, *(case_id for case_id in (_FIRST_CONNECTION,) if case_id in ids)]
        for case_id in tried:
            await self._run_first(CASES[case_id])
            if self._outcomes[case_id].did_server_end:
                self._note(self._outcomes[case_id].charged())
        found = {case_id: self._outcomes[case_id] for case_id in tried}
        if self._host.server is not None and tried and blocker.cause_id == "closes-at-first-frame":
            found[tried[0]].notes = found[tried[0]].notes or last_words(self._host.server)
        is_first_served = _FIRST_CONNECTION in found and found[_FIRST_CONNECTION].verdict is Verdict.PASS
        if is_first_served and not self.preflight.echoes and found[tried[0]].verdict is Verdict.FAIL:
            blocker = ONLY_FIRST
            self._attempts.preflight = replace(self.preflight, blocker=blocker)
        for case in cases:
            if rule_of(case.id).needs_spawn and self._host.spawner is None:
                await self._run_first(case)  # which says so
            elif case.id not in found:
                self._note(not_tried(case, f"not tried: {blocker.reason}"))

    def end_early(self, rules: Sequence[Rule], why: str) -> None:
        """Give every rule a verdict, also those that were not tried, or would have been tried again."""
        for rule in rules:
            outcome = self._outcomes.get(rule.id)
            if outcome is None:
                self._note(not_tried(CASES[rule.id], f"{why} before it was tried"))
            elif outcome.is_suspect or (outcome.is_open and outcome.attempts == 1 and self.preflight.echoes):
                summary = f"{outcome.summary}; {why} before it could be tried again"
                self._note(replace(outcome, verdict=Verdict.INCONCLUSIVE, summary=summary))

    async def _run_first(self, case: Case) -> None:
        self._observer.began(rule_of(case.id))
        if self._deaths.gone_since is not None and not rule_of(case.id).needs_spawn:
            why = f"the server no longer accepts connections, since {self._deaths.gone_since}"
            self._note(not_tried(case, why))
        else:
            is_last_try = not self.preflight.echoes
            self._note(await self._attempts.run(case, self.preflight.patience_s, is_last_try=is_last_try))

    def _note(self, outcome: CaseOutcome) -> None:
        is_new = outcome.case.id not in self._outcomes
        self._outcomes[outcome.case.id] = outcome
        if is_new:
            self._observer.ended(rule_of(outcome.case.id), outcome.verdict, len(self._outcomes), self._total)

    async def _confirm(self) -> None:
        """Try again what may have another reason than the case itself."""
        if not self.preflight.echoes or self._deaths.gone_since is not None:
            return
        for outcome in list(self._outcomes.values()):
            if outcome.verdict is Verdict.INCONCLUSIVE and outcome.attempts == 1:
                await self._again(outcome, self.preflight.patience_s)
        await self._try_on_fresh_server()
        confirmed = 0
        for outcome in list(self._outcomes.values()):
            if not outcome.is_open:
                continue
            # A silence, most often: it is believed if it is there again, with more patience.
            full = self.preflight.confirm_patience_s
            patience_s = full if confirmed < _FULLY_CONFIRMED else full / 2
            again = await self._again(outcome, patience_s)
            if again.deviation is not None:
                confirmed += 1
            elif again.verdict is Verdict.PASS:
                again.notes += (f"passed when it ran alone with {patience_s:g} s of patience",)

    async def _has_changed(self, outcome: CaseOutcome) -> bool:
        """Look once more whether it has ended its server, which the next one replaces."""
        await self._deaths.settle()
        return self._outcomes[outcome.case.id] is not outcome

    async def _again(self, outcome: CaseOutcome, patience_s: float) -> CaseOutcome:
        if await self._has_changed(outcome):
            return self._outcomes[outcome.case.id]
        self._observer.began(rule_of(outcome.case.id))
        again = await self._attempts.alone(outcome, patience_s)
        again = again.charged() if again.is_suspect and again.server is not None else again
        self._note(again)
        await self._deaths.settle()
        return again

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
            if await self._has_changed(outcome):
                continue
            again = await self._attempts.alone(outcome, self.preflight.patience_s)
            if again.is_suspect:
                self._note(again.charged())
            elif again.verdict is Verdict.PASS:
                deviation.is_only_now_and_then = True
                outcome.notes += ("the case passed alone on a fresh server",)

    # ---- results ----

    def diagnosis(self) -> Diagnosis:
        """Name what probably is wrong."""
        wire, blocker = self._settings.wire, self.preflight.blocker
        return name_causes(
            {
                outcome.case.id: outcome.deviation
                for outcome in self._outcomes.values()
                if outcome.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.WARN)
            },
            wire,
            everywhere=self.preflight.cause_everywhere(wire),
            detail="" if blocker is None else blocker.detail,
            is_blocked=blocker is not None,
            ended_in={outcome.case.id for outcome in self._outcomes.values() if outcome.did_server_end},
            foreign_in=cases_with_foreign_bytes(
                {outcome.case.id: outcome.transcript for outcome in self._outcomes.values()}
            )
            if self._settings.dialogue.is_echo  # requests are alike, and replies are no echo of them
            else (),
            is_echo=self._settings.dialogue.is_echo,
        )

    def results(self, diagnosis: Diagnosis, reproduce: Callable[[str], str]) -> list[CaseResult]:
        """Return the results in the book's order."""
        return [
            outcome.result(diagnosis.cause_of(outcome.case.id), reproduce(outcome.case.id))
            for outcome in with_output_once(self._in_order())
        ]

    def _in_order(self) -> Iterator[CaseOutcome]:
        for rule in select([]):
            if (outcome := self._outcomes.get(rule.id)) is not None:
                yield outcome
