"""A load, or a part of one, in this process."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone

import trio

from ...base.endpoint import is_unix
from ...base.tcp_info import HAS_TCP_INFO
from ...base.units import NS_PER_S
from ...client.asking import ask_what_it_is
from ..engine.connecting import Opened, open_connections
from ..engine.connection import LoadConnection
from ..engine.cpu_time import cpu_and_waiting_ns
from ..engine.dialing import SocketDialer
from ..engine.engine import Engine
from ..engine.first_reply import FirstReply
from ..engine.greeting import greeting_of
from ..engine.making import ConnectionMaker
from ..engine.path_watch import PathWatch
from ..engine.poller import Poller, open_poller
from ..engine.recording import Recording, RecordingTask
from ..engine.renewals import Renewing
from ..engine.replay_times import ReplayTimes
from ..engine.schedule import DueTimes, Schedule
from ..engine.socket_setup import SocketSetup
from ..engine.tally import LoadTally
from ..engine.tls import TlsConnector
from ..errors import StrangeServerError, TooManyToWaitForError
from ..message_list import MessageList
from ..plan import LoadPlan
from ..recorded_traffic import RecordedTraffic
from ..results.machine import this_machine
from ..results.path_result import PathResult
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from ..results.time_series import LoadInterval
from .moment import give_way, wait_until

# How long the engine may keep Trio's other tasks from their turn.
_TURN_NS = 2_000_000
# After this time without anything to do the engine waits through Trio, which uses no CPU time.
_IDLE_NS = 20_000_000
# It then looks at its clocks at this interval; what is due within two of them is not left to Trio.
_IDLE_WAIT_S = 0.02
# A server that is silent for this time after the first frame is asked what it is.
_SILENCE_S = 1.0
# How long before its moment an engine starts that sends nothing before it: a start takes some tenths of it.
_EARLY_NS = 1_000_000

_NO_TCP_INFO = "this system does not say (TCP_INFO is Linux's)"

CONNECTING = LoadProgress("connecting", 0.0, LoadInterval(0.0, 0.0), 0, 0, {}, 0, None)


class LocalRun:
    """The part of a load that some of its connections have.

    Args:
      plan: of the whole load.
      first: the first of the connections.
      count: how many.
      on_progress: called with a `LoadProgress` every ``progress_interval_s``; must return at once.
      progress_interval_s: seconds.
      is_cautious: as of `LoadRun`.
      messages, first_messages, recorded: as of `LoadRun`.
      folder: where the module of a user's function may be.
      recording: what to record; None for nothing.
      when_to_start: awaited when all is ready; gives the time of `time.perf_counter_ns`.
      on_start: called when the first message may be sent, with the ns that have passed since then.
    """

    def __init__(
        self,
        plan: LoadPlan,
        first: int,
        count: int,
        *,
        on_progress: Callable[[LoadProgress], object],
        progress_interval_s: float,
        is_cautious: bool = True,
        messages: MessageList | None = None,
        recorded: RecordedTraffic | None = None,
        first_messages: MessageList | None = None,
        folder: str = "",
        recording: RecordingTask | None = None,
        when_to_start: Callable[[], Awaitable[int]] | None = None,
        on_start: Callable[[int], object] = lambda late_ns: None,
    ) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._progress_interval_ns = round(progress_interval_s * NS_PER_S)
        self._first, self._count = first, count
        self._when_to_start = when_to_start
        self._on_start = on_start
        self._engine: Engine | None = None
        self._is_cautious = is_cautious
        self._tally = LoadTally(plan)
        self._recording = None if recording is None else Recording(recording, plan)
        self._maker = ConnectionMaker(
            plan,
            self._tally,
            messages=messages,
            recorded=recorded,
            folder=folder,
            recording=self._recording,
        )
        self._recorded = recorded
        self._greeting = greeting_of(plan, first_messages)
        self._tls = None if plan.tls is None else TlsConnector(plan.tls, plan.host)
        # Of a Unix socket there is no path, and other systems do not say.
        is_unix_socket = is_unix(plan.host)
        self._path = PathWatch() if HAS_TCP_INFO and not is_unix_socket else None
        self._no_path = None if is_unix_socket or HAS_TCP_INFO else PathResult(missing=_NO_TCP_INFO)
        self._is_stopped = False
        self._connecting, self._waiting_to_start = trio.CancelScope(), trio.CancelScope()
        self._started_at = datetime.now(timezone.utc)

    def stop(self) -> None:
        """See `LoadRun.stop`."""
        self._is_stopped = True
        self._connecting.cancel()
        self._waiting_to_start.cancel()
        if self._engine is not None:
            self._engine.stop()

    async def run(self) -> LoadResult:
        """Carry out this part of the plan; see `LoadRun.run`."""
        plan = self._plan
        tally = self._tally
        with open_poller() as poller:
            if poller.most_sockets is not None and self._count > poller.most_sockets:
                raise TooManyToWaitForError(self._count, poller.most_sockets)
            self._on_progress(CONNECTING)
            opened = await open_connections(
                plan,
                self._first,
                self._count,
                greeting=self._greeting,
                tls=self._tls,
                stop=self._connecting,
            )
            engine: Engine | None = None
            try:
                connections = await self._make_connections(opened, poller)
                for number, reason in opened.failures.items():
                    tally.add_error("connect_failed", number, 0, detail=reason)
                for number, refusal in opened.refusals.items():
                    tally.add_error("first_message_failed", number, refusal.number, detail=refusal.reason)
                async with trio.open_nursery() as nursery:
                    engine = self._make_engine(
                        connections, tally, poller, self._renewing(opened, poller, nursery)
                    )
                    await self._drive(engine, poller, nursery)
                    nursery.cancel_scope.cancel()
                result = engine.result()
            finally:
                opened.close()
                recorded = None if self._recording is None else self._recording.close()
                if engine is not None:
                    engine.close()
            if engine.first_reply is not None:
                engine.first_reply.look(time.perf_counter_ns())
                if engine.first_reply.refusal is not None:
                    raise await self._strange_server(engine.first_reply, engine.first_reply.refusal)
        result.connect_ns.merge(opened.connect_ns)
        result.churn.attempt_lateness_ns.merge(opened.lateness_ns)
        result.connections_opened = len(opened.sockets)
        result.sockets = [] if opened.given is None else [opened.given]
        result.path = result.path or self._no_path
        warmup_s = plan.warmup_s if result.elapsed_s else 0.0  # one that was stopped in it has no other part
        result.started_at = self._started_at + timedelta(seconds=warmup_s)
        result.machines = [this_machine()]
        result.recording = recorded
        result.tls = None if self._tls is None else self._tls.result
        return result

    async def _ask_a_silent_server(self, engine: Engine) -> None:
        await trio.sleep(_SILENCE_S)
        if engine.first_reply is not None:
            finding = await self._ask()
            if finding is not None:
                engine.refuse(finding)

    async def _ask(self) -> str | None:
        """Ask the server what it is; under TLS there are no such questions."""
        plan = self._plan
        if plan.tls is not None:
            return None
        return await ask_what_it_is(plan.host, plan.port, plan.format, has_tls_option=True)

    async def _strange_server(self, first_reply: FirstReply, refusal: str) -> StrangeServerError:
        plan = self._plan
        if self._tls is not None and self._tls.refusal is not None:
            refusal = self._tls.refusal
        elif first_reply.is_unanswered:
            refusal = await self._ask() or refusal
        return StrangeServerError(plan.host, plan.port, refusal)

    async def _make_connections(self, opened: Opened, poller: Poller) -> dict[int, LoadConnection]:
        connections = {}
        for number, connection in sorted(opened.sockets.items()):
            connections[poller.register(connection)] = self._maker.make(number, connection)
            if not number % 64:
                await trio.lowlevel.checkpoint()
        return connections

    def _renewing(self, opened: Opened, poller: Poller, nursery: trio.Nursery) -> Renewing | None:
        """Return what opens connections in the place of others; None if all are open to the end."""
        churn = self._plan.churn
        if not churn.renews or opened.address is None:
            return None
        dialer = SocketDialer(
            poller,
            opened.address,
            nursery=nursery,
            greeting=self._greeting,
            tls=self._tls,
            proxy_headers=self._plan.service.proxy_headers,
            setup=SocketSetup(self._plan.sockets, churn.sources),
        )
        reasons = {**opened.failures, **{n: refusal.reason for n, refusal in opened.refusals.items()}}
        absent = {self._maker.make_absent(number): reason for number, reason in reasons.items()}
        return Renewing(dialer, self._maker, absent if churn.reconnect else {})

    def _make_engine(
        self,
        connections: dict[int, LoadConnection],
        tally: LoadTally,
        poller: Poller,
        renewing: Renewing | None,
    ) -> Engine:
        plan = self._plan
        due: DueTimes | ReplayTimes | None = None
        planned = None if plan.messages is None else plan.messages * self._count
        if plan.replay is not None and self._recorded is not None:
            due = ReplayTimes(self._recorded.times, plan.replay.speed, plan.timeout_s)
            planned = len(self._recorded.times)
        elif plan.is_open:
            schedule = Schedule(plan)
            due, planned = schedule.due(self._first, self._count), schedule.planned
        return Engine(
            plan,
            connections,
            tally,
            poller,
            due=due,
            planned=planned,
            is_cautious=self._is_cautious,
            renewing=renewing,
            path=self._path,
        )

    async def _wait_to_start(self, engine: Engine) -> int:
        """Wait until it is time to start, and return when that was."""
        if self._when_to_start is None:
            return time.perf_counter_ns()
        start_at = await self._when_to_start()
        # These moments may have passed, on a busy machine.
        if self._starts_early:
            await wait_until(start_at - _EARLY_NS)
            engine.start(start_at)
        await wait_until(start_at)
        return start_at

    @property
    def _starts_early(self) -> bool:
        """True if the engine has a schedule before whose moment it sends nothing: it is ready then."""
        return self._when_to_start is not None and self._plan.is_open

    def _start(self, engine: Engine, poller: Poller, start_at: int) -> None:
        """Start the engine, unless that was done early."""
        poller.begin()
        if not self._starts_early:
            engine.start(start_at)
        self._on_start(time.perf_counter_ns() - start_at)
        if self._when_to_start is not None and not engine.is_over:
            engine.turn()
            give_way()

    async def _drive(self, engine: Engine, poller: Poller, nursery: trio.Nursery) -> None:
        """Give the engine its turns until it is over, and others theirs in between.

        From the start on the nursery has a task that asks a server that says nothing.
        """
        # What exists now will be there at the end: collections need not look at it.
        is_frozen = gc.get_freeze_count() > 0  # by the program around this, for as long as it wants
        gc.collect()
        if not is_frozen:
            gc.freeze()
        try:
            cpu_and_waiting_ns()  # the first time takes a fifth of a millisecond, which a start has not
            start_at = time.perf_counter_ns()
            with self._waiting_to_start:
                start_at = await self._wait_to_start(engine)
            busy_at = now = time.perf_counter_ns()
            self._started_at = datetime.now(timezone.utc)
            next_progress: float = start_at + self._progress_interval_ns
            self._engine = engine
            if self._is_stopped:
                engine.stop()  # before its moment: nothing was sent
                next_progress = math.inf
            else:
                self._start(engine, poller, start_at)
                nursery.start_soon(self._ask_a_silent_server, engine)
            while not engine.is_over:
                turn_ends = now + _TURN_NS
                while now < turn_ends and not engine.is_over:
                    if engine.turn():
                        busy_at = now
                    now = time.perf_counter_ns()
                if now >= next_progress:
                    next_progress += self._progress_interval_ns
                    self._on_progress(engine.take_progress())
                if now - busy_at < _IDLE_NS or engine.next_moment < now + 2 * _IDLE_NS:
                    await trio.lowlevel.checkpoint()
                else:
                    await poller.rest(_IDLE_WAIT_S)
                now = time.perf_counter_ns()
        finally:
            if not is_frozen:
                gc.unfreeze()
