"""Which case has ended the server: looked for after every case, those that passed included."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace

from ...base.quantities import plural
from ..client.finding import Kind
from ..spawned.spawned_server import SpawnedServer
from ..verdict import Verdict
from .attempt import Attempts
from .host import Host
from .outcome import CaseOutcome, last_words

# How many cases before the end of a server are suspected of it, if none that was under way is guilty.
_SUSPECTED_BEFORE = 3
_FIRST_LOOK = "the preflight"


class Deaths:
    """The ends of servers in one run, and what is known of their causes.

    A case that was under way when the server ended says nothing yet: neither what it saw
    nor that it is the cause. If the suite can start a server, each runs again, alone, on
    a fresh one; and if none of them ends that one, those before them.

    Attributes:
      notes: what was found out about the server that belongs to no case.
      gone_since: the case, or what else, after which a server that the suite cannot start
        again accepted no connection any more; None while it is there.
    """

    def __init__(
        self,
        host: Host,
        attempts: Attempts,
        outcomes: MutableMapping[str, CaseOutcome],
        note: Callable[[CaseOutcome], None],
    ) -> None:
        self.notes: list[str] = []
        self.gone_since: str | None = None
        self._host = host
        self._attempts = attempts
        self._outcomes = outcomes
        self._note = note
        self._settled: set[SpawnedServer] = set()
        self._were_any = False

    @property
    def any(self) -> bool:
        """Whether a server has ended in this run."""
        self._were_any = (
            self._were_any
            or self.gone_since is not None
            or bool(self._host.died)
            or any(outcome.did_server_end for outcome in self._outcomes.values())
        )
        return self._were_any

    async def look_after_preflight(self) -> None:
        """Look whether the server has survived the preflight."""
        server = self._host.server
        if self._attempts.preflight.only_first is not None:
            return
        if await self._host.has_gone(server, looks_so=True):
            if server is None:
                self.gone_since = _FIRST_LOOK
            else:
                self._settled.add(server)
                self.notes.append(f"the server {server.how_it_ended} in {_FIRST_LOOK}")

    async def settle(self) -> None:
        """Find the cause of every end that has none yet."""
        if self._attempts.preflight.only_first is not None:
            return  # whose end with its connection is known
        if self._host.spawner is None:
            self._settle_without_spawn()
            return
        while (server := self._next_dead()) is not None:
            self._settled.add(server)
            await self._settle(server)

    def _next_dead(self) -> SpawnedServer | None:
        under_way = [outcome.server for outcome in self._outcomes.values() if outcome.is_suspect]
        return next(
            (
                server
                for server in (*under_way, *self._host.died, self._host.server)
                if server is not None and server.has_died and server not in self._settled
            ),
            None,
        )

    async def _settle(self, server: SpawnedServer) -> None:
        here = [outcome for outcome in self._outcomes.values() if outcome.server is server]
        if any(outcome.is_charged for outcome in here):
            return
        # What failed may have seen the end before it could be known for one.
        suspects = [each for each in here if each.is_suspect or (each.deviation and each.attempts == 1)]
        found = [await self._again(outcome) for outcome in suspects]
        for outcome in found:
            self._note(outcome)
        before = [outcome for outcome in here if outcome not in suspects]
        for outcome in before[: -_SUSPECTED_BEFORE - 1 : -1]:
            if any(each.did_server_end for each in found):
                return
            found.append(await self._again(outcome))
            if found[-1].did_server_end:
                self._note(found[-1])
        if not any(each.did_server_end for each in found):
            self._note_unexplained(server, suspects or before[-1:])

    async def _again(self, outcome: CaseOutcome) -> CaseOutcome:
        again = await self._attempts.alone(outcome, self._attempts.preflight.patience_s)
        if not again.did_server_end:
            return again  # and its server serves the next case, too
        if again.server is not None:
            self._settled.add(again.server)
        return again.charged()

    def _note_unexplained(self, server: SpawnedServer, around: list[CaseOutcome]) -> None:
        """Note an end that no case causes again; no case that ran beside it passes."""
        ids = ", ".join(outcome.case.id for outcome in around)
        when = f" beside {ids}" if ids else ""
        words = f"the server {server.how_it_ended}{when}, and did not end again when these ran alone"
        self.notes.append("; ".join([words, *last_words(server)[-1:]]))
        for outcome in around:
            now = self._outcomes[outcome.case.id]
            if now.verdict is Verdict.PASS:
                summary = f"passed, but the server {server.how_it_ended} meanwhile, once"
                self._note(replace(now, verdict=Verdict.INCONCLUSIVE, summary=summary))

    def _settle_without_spawn(self) -> None:
        """Settle the end of a server that cannot be started again: one case under way alone has ended it."""
        if self.gone_since is not None:
            return
        suspects = [outcome for outcome in self._outcomes.values() if outcome.is_suspect]
        refused = [outcome for outcome in self._outcomes.values() if outcome.was_refused]
        guilty = [outcome for outcome in suspects if outcome not in refused]
        if not suspects:
            return
        if not guilty:  # it ended after the case before had been looked after
            guilty = [outcome for outcome in self._outcomes.values() if outcome.transcript]
            at = guilty.index(suspects[0])
            guilty = guilty[max(0, at - 1) : at]
        self.gone_since = f"case {guilty[0].case.id}" if guilty else _FIRST_LOOK
        if len(guilty) > 1:
            self.gone_since += f" and {plural(len(guilty) - 1, 'other')} that ran beside it"
        for outcome in refused:
            why = f"the server no longer accepts connections, since {self.gone_since}"
            self._note(replace(outcome, summary=why))
        if len(guilty) == 1:
            self._note(guilty[0].charged())
            return
        for outcome in guilty:
            if outcome.deviation is None or outcome.deviation.kind not in (Kind.WRONG, Kind.EXTRA):
                summary = "the server ended while this case and others ran; try it with --jobs 1"
                self._note(replace(outcome, verdict=Verdict.INCONCLUSIVE, summary=summary))
