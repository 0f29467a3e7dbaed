"""One run of one case, and whether the server survived it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial

import trio

from ..book.book import rule_of
from ..cases import CASES, Case
from ..client.asked import Asked
from ..client.finding import Deviation, InconclusiveError, Kind
from ..client.probe import Probe
from ..client.settings import Settings
from ..preflight.learning import learn_more, wait_until_ready
from ..preflight.result import Preflight
from ..spawned.spawned_server import SpawnError
from ..verdict import Verdict
from .host import Host
from .judging import judge_case
from .outcome import CaseOutcome, last_words, not_tried

# Longer than any case takes that gets its replies.
_CASE_S, _CASE_ROUND_TRIPS = 30.0, 20
_STARTING_AT_A_TIME = 2
# Longest wait for a server that accepts slowly to have accepted all.
_QUEUE_S = 20.0
# What a case has done to a server may take so long to end its process.
_AFTERMATH_S = 0.3
# A case in which a reply differs is tried again so often, with what was learned meanwhile.
_LEARNED_AGAIN = 3
# How long a polite client then waits for a reply; without one nothing more is learned.
_POLITE_S = 1.0
# A case in which this machine was late is tried so often.
_DELAYED_TRIES = 3
# A slow server is asked for so few tries of a case about a race.
_TRIES_OF_A_SLOW_ONE = 2


class Attempts:
    """Runs cases, as often as they are asked for.

    Attributes:
      preflight: the result of the preflight.
    """

    def __init__(self, host: Host, settings: Settings, preflight: Preflight) -> None:
        self.preflight: Preflight = preflight
        self._host = host
        self._settings = settings
        self._is_queue_short = False
        # On a busy machine many that start at a time would all be late.
        self._starting = trio.CapacityLimiter(_STARTING_AT_A_TIME)

    async def alone(self, outcome: CaseOutcome, patience_s: float) -> CaseOutcome:
        """Run a case again, on a fresh server if the suite can start one."""
        if self.preflight.only_first is None:
            await self._host.renew()
            await self._wait_until_ready()
        again = await self.run(CASES[outcome.case.id], patience_s, wait_for_aftermath=True)
        again.attempts = outcome.attempts + 1
        return again

    async def run(
        self,
        case: Case,
        patience_s: float,
        *,
        is_last_try: bool = True,
        wait_for_aftermath: bool = False,
    ) -> CaseOutcome:
        """Run a case.

        Args:
          case: which.
          patience_s: how long the server may be silent.
          is_last_try: whether what is seen now is believed.
          wait_for_aftermath: whether the server gets a moment to die of it.
        """
        rule = rule_of(case.id)
        if rule.needs_spawn and self._host.spawner is None:
            why = "needs a server started with --spawn"
            return CaseOutcome(case, Verdict.NOT_APPLICABLE, why, 0.0, (), 0)
        began = trio.current_time()
        only_first = self.preflight.only_first
        try:
            # A server of one connection is started when a connection is asked for.
            address = await self._host.address(restart=only_first is None)
        except SpawnError as error:
            return not_tried(case, str(error))
        server = self._host.server
        if self.preflight.pace.connect_s:
            await self._wait_until_accepted(address)
        probe = Probe(
            case.id,
            address,
            self._settings,
            patience_s=patience_s,
            pace=self.preflight.pace,
            serves_several=self.preflight.is_concurrent,
            is_last_try=is_last_try,
            starting=self._starting,
            spawner=self._host.spawner,
            only_first=only_first,
            revive=self._host.revive,
            is_queue_short=self._is_queue_short,
        )
        outcome = await self._tried(case, probe)
        self._is_queue_short |= probe.is_queue_short
        outcome.elapsed_s = trio.current_time() - began
        if rule.needs_spawn or only_first is not None:
            return outcome
        outcome.server = server
        if self._is_not_to_blame(outcome, probe):
            summary = f"no connection was accepted, before a byte was sent: {outcome.summary}"
            outcome = replace(
                outcome, verdict=Verdict.INCONCLUSIVE, deviation=None, summary=summary, was_refused=True
            )
        # Without a process to ask, the server must show that it is there.
        looks_so = server is None or probe.was_cut_off
        outcome.did_server_end = await self._host.has_gone(server, looks_so=looks_so)
        if wait_for_aftermath and server is not None and not outcome.did_server_end:
            outcome.did_server_end = await server.wait_ended(_AFTERMATH_S)
        return outcome

    def _is_not_to_blame(self, outcome: CaseOutcome, probe: Probe) -> bool:
        """Return whether its first connection was refused, before it had sent a byte."""
        deviation = outcome.deviation
        return (
            deviation is not None
            and deviation.kind is Kind.NO_CONNECTION
            and not probe.has_connected
            and self.preflight.blocker is None
        )

    async def _tried(self, case: Case, probe: Probe) -> CaseOutcome:
        most_s = _CASE_S + _CASE_ROUND_TRIPS * self.preflight.pace.round_trip_s
        outcome = await judge_case(
            case, rule_of(case.id), partial(self._all_tries, case, probe), most_s=most_s
        )
        if outcome.deviation is not None and probe.server is not None:
            outcome.notes = last_words(probe.server)
        outcome.transcript = probe.transcript.events
        outcome.events_left_out = probe.transcript.left_out
        return outcome

    async def _all_tries(self, case: Case, probe: Probe) -> str:
        """Try the case as often as it asks for; the first deviation is the worst."""
        tries = min(case.tries, _TRIES_OF_A_SLOW_ONE) if self.preflight.pace.is_slow else case.tries
        summary = ""
        for number in range(1, tries + 1):
            if number > 1:
                if await self._has_gone(case):
                    break  # the try before has ended it
                probe.begin_transcript()
            try:
                summary = await self._without_delay(case, probe)
            except Deviation as deviation:
                if number > 1:
                    deviation.actual += f" (in try {number} of {tries})"
                raise
        return summary if tries == 1 else f"{summary} (in each of {tries} tries)"

    async def _has_gone(self, case: Case) -> bool:
        """Return whether the server has ended that the case shares with others."""
        is_shared = self.preflight.only_first is None and not rule_of(case.id).needs_spawn
        return is_shared and await self._host.has_gone(self._host.server, looks_so=True)

    async def _without_delay(self, case: Case, probe: Probe) -> str:
        """Try the case until this machine keeps its pauses, or the server does as it should all the same."""
        longest_s = 0.0
        for number in range(_DELAYED_TRIES):
            if number:
                probe.begin_transcript()
            try:
                return await self._one_try(case, probe)
            except Deviation as deviation:
                if not deviation.delay_s or await self._has_gone(case):
                    raise
                longest_s = max(longest_s, deviation.delay_s)
        raise InconclusiveError(
            f"this machine is too busy: a pause between two pieces was {longest_s:.1f} s longer than meant, "
            "and the server may have ended the connection for that"
        )

    async def _one_try(self, case: Case, probe: Probe) -> str:
        only_first = self.preflight.only_first
        if only_first is None or rule_of(case.id).needs_spawn:
            return await self._with_what_varies(case, probe)
        try:
            if not case.is_alone:  # each of its connections has a server of its own
                return await case.run(probe)
            async with probe.one_server():
                return await case.run(probe)
        except Deviation as deviation:
            if probe.has_asked_for_another and deviation.kind is not Kind.WRONG:
                deviation.cause_id = only_first.cause_id
                deviation.is_uncertain = False  # the preflight has seen it already
            raise

    async def _with_what_varies(self, case: Case, probe: Probe) -> str:
        """Run the case; again if a polite client gets other bytes by now: a clock, a count."""
        asked = self._settings.dialogue
        for _ in range(_LEARNED_AGAIN if isinstance(asked, Asked) else 0):
            try:
                return await case.run(probe)
            except Deviation as deviation:
                if not isinstance(asked, Asked) or deviation.kind is not Kind.WRONG:
                    raise
                if not await self._learns_more(asked):
                    raise
                probe.begin_transcript()
        return await case.run(probe)

    async def _learns_more(self, asked: Asked) -> bool:
        try:
            address = await self._host.address(restart=False)
        except SpawnError:
            return False
        return await learn_more(Probe("polite", address, self._settings, patience_s=_POLITE_S), asked)

    async def _wait_until_ready(self) -> None:
        """Wait until a fresh server replies to a polite client; when it is ready is a rule of its own."""
        asked = self._settings.dialogue
        if isinstance(asked, Asked) and self._host.spawner is not None:
            with contextlib.suppress(SpawnError):
                address = await self._host.address(restart=True)
                await wait_until_ready(Probe("polite", address, self._settings, patience_s=_POLITE_S), asked)

    async def _wait_until_accepted(self, address: tuple[str, int]) -> None:
        """Let a server that accepts slowly work off what other cases have left in its queue."""
        probe = Probe("queue", address, self._settings, patience_s=_QUEUE_S)
        with contextlib.suppress(Deviation):
            async with probe.connect() as peer:
                await peer.echo(probe.text(b"?"))  # an empty frame is a test of its own
