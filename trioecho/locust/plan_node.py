"""What each process with users of Locust does for a load: engines, and what they report."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult
from locust.env import Environment

from ..cluster.clock import ClockOffset, ClockReading, clock_identity, offset_of
from .plan_program import PlanEngine, PlanFailedError
from .plan_stats import KIND, PlanStats

# The types of messages between the processes of Locust: from here to the master,
JOIN, CLOCK, READY = "trioecho-join", "trioecho-clock", "trioecho-ready"
# and back.
PART, CLOCK_REPLY, START, STOP = "trioecho-part", "trioecho-clock-reply", "trioecho-start", "trioecho-stop"
# In Locust's own reports to the master.
OUTCOMES = "trioecho"
_ROUND_TRIPS = 8
_CLOCK_REPLY_S = 10.0
# As of `base.heartbeats`, which has Trio.
_BEAT_S = 1.0


class Share:
    """A part of a load, from when a user asks for it.

    Attributes:
      key: by which both sides know it.
      part: what the master gives to it.
      clock_reply: what the master's clocks said.
      engine: None before there is one.
      ahead_ns: how far the master's clock is ahead of ours.
      start_late_ns: how long after its moment the engine started.
      is_given_up: whether the master wants it no more, since another part has failed.
    """

    def __init__(self) -> None:
        self.key: str = uuid.uuid4().hex
        self.part: AsyncResult[Any] = AsyncResult()
        self.clock_reply: AsyncResult[Any] = AsyncResult()
        self.engine: PlanEngine | None = None
        self.ahead_ns: int = 0
        self.start_late_ns: int = 0
        self.is_given_up: bool = False


class PlanNode:
    """The loads of a process that has users.

    Args:
      environment: of Locust, with a runner.
      on_outcome: called with what came of each part, where the master is this process itself.
    """

    def __init__(
        self, environment: Environment, on_outcome: Callable[[dict[str, Any]], object] | None = None
    ) -> None:
        if environment.runner is None:
            raise TypeError("there must be a runner")
        self._environment = environment
        self._on_outcome = on_outcome
        self._runner: Any = environment.runner
        self._shares: dict[str, Share] = {}
        self._outcomes: list[dict[str, Any]] = []
        for kind, listener in (
            (PART, self._take_part),
            (CLOCK_REPLY, self._take_clock_reply),
            (START, self._start),
            (STOP, self._stop),
        ):
            self._runner.register_message(kind, listener)
        environment.events.report_to_master.add_listener(self._add_outcomes)  # type: ignore[no-untyped-call] # Locust's has no types

    def carry_out(self, plan: str) -> None:
        """Ask for a part of a load, and carry it out; for a user's greenlet.

        When the greenlet is killed, the engine is ended at once.
        """
        share = Share()
        self._shares[share.key] = share
        try:
            self._runner.send_message(
                JOIN,
                {"plan": plan, "key": share.key, "host": platform.node(), "index": self._runner.worker_index},
            )
            part = share.part.get()
            if part is not None and part["config"] is not None:
                self._carry_out(share, plan, part)
        finally:
            del self._shares[share.key]

    def _carry_out(self, share: Share, plan: str, part: dict[str, Any]) -> None:
        outcome: dict[str, Any] = {"plan": plan, "key": share.key}
        try:
            outcome["clock"] = self._read_clocks(share, part["clock"])
            share.engine = PlanEngine(part["words"])
            beating = gevent.spawn(self._beat, share.engine)
            try:
                share.engine.give_document({"schema": part["schema"], "config": part["config"]})
                outcome["result"] = self._follow(share, plan)
            finally:
                beating.kill(block=False)
                share.engine.end()
            outcome["start_late_ns"] = share.start_late_ns
        except PlanFailedError as error:
            if share.is_given_up:
                return
            outcome |= {"failure": error.reason, "exit_code": error.exit_code}
            self._environment.events.request.fire(  # type: ignore[no-untyped-call] # Locust's has no types
                request_type=KIND,
                name=plan,
                response_time=None,
                response_length=0,
                exception=error,
                context={},
            )
        self._deliver(outcome)

    def _follow(self, share: Share, plan: str) -> dict[str, Any]:
        """Take what the engine sends, until it has its result."""
        engine = share.engine
        if engine is None:
            raise TypeError("there is no engine")
        stats = PlanStats(self._environment.stats, plan)
        for kind, fields in engine.messages():
            if kind == "LoadWorkerReady":
                self._runner.send_message(READY, {"plan": plan, "key": share.key})
            elif kind == "LoadWorkerStarted":
                share.start_late_ns = fields["late_ns"]
            elif kind == "LoadProgress":
                stats.add_progress(fields)
            elif kind == "LoadResult":
                stats.add_rest(fields)
                result: dict[str, Any] = fields
                return result
        raise TypeError("an engine ends with a result, or fails")

    def _read_clocks(self, share: Share, identity: str) -> tuple[int, int, int]:
        """Find out how far our clocks are ahead of the master's: as `ClockOffset`."""
        readings = []
        for _ in range(_ROUND_TRIPS):
            share.clock_reply = AsyncResult()
            day_ns, sent_ns = time.time_ns(), time.perf_counter_ns()
            self._runner.send_message(CLOCK, {"key": share.key})
            try:
                there_ns, day_there_ns = share.clock_reply.get(timeout=_CLOCK_REPLY_S)
            except gevent.Timeout:
                raise PlanFailedError("Locust's master does not reply") from None
            readings.append(ClockReading(sent_ns, time.perf_counter_ns(), there_ns, day_ns, day_there_ns))
        is_same = bool(identity) and identity == clock_identity()
        offset = offset_of(readings, is_same_clock=is_same)
        share.ahead_ns = offset.ahead_ns
        return ClockOffset(-offset.ahead_ns, offset.error_ns, -offset.day_ahead_ns)

    @staticmethod
    def _beat(engine: PlanEngine) -> None:
        """Let the engine know that this process does not hang."""
        while True:
            gevent.sleep(_BEAT_S)
            engine.give("Heartbeat", {})

    def _deliver(self, outcome: dict[str, Any]) -> None:
        if self._on_outcome is not None:
            self._on_outcome(outcome)
        else:
            self._outcomes.append(outcome)  # the next report to the master has it

    def _add_outcomes(self, client_id: str, data: dict[str, Any]) -> None:
        if self._outcomes:
            data[OUTCOMES], self._outcomes = self._outcomes, []

    # ---- messages of the master ----

    def _take_part(self, environment: Environment, msg: Any) -> None:
        share = self._shares.get(msg.data["key"])
        if share is not None and not share.part.ready():
            share.part.set(msg.data)

    def _take_clock_reply(self, environment: Environment, msg: Any) -> None:
        share = self._shares.get(msg.data["key"])
        if share is not None:
            share.clock_reply.set((msg.data["there_ns"], msg.data["day_there_ns"]))

    def _start(self, environment: Environment, msg: Any) -> None:
        for share in self._shares.values():
            if share.key in msg.data["keys"] and share.engine is not None:
                share.engine.give("StartCommand", {"at": msg.data["at"] - share.ahead_ns})

    def _stop(self, environment: Environment, msg: Any) -> None:
        for share in self._shares.values():
            if share.key not in msg.data["keys"]:
                continue
            if not share.part.ready():
                share.part.set(None)
            elif msg.data["at_once"]:
                share.is_given_up = True
                if share.engine is not None:
                    share.engine.kill()
            elif share.engine is not None:
                share.engine.give("StopCommand", {})
