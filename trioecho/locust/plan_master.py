"""What the master of Locust does for loads, or its only process: it passes on what users and Locust say."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gevent
from locust.env import Environment

from .plan_node import CLOCK, CLOCK_REPLY, JOIN, OUTCOMES, READY
from .plan_program import CheckedPlan
from .plan_run import PlanRun

_log = logging.getLogger(__name__)


class PlanMaster:
    """The loads of a test of Locust.

    Args:
      environment: of Locust, with a runner.
      plans: returns the address and the options of each load, by the name of its users' class.
      checked: what is known of them.
      ends_test: whether the test is over when all loads are.
    """

    def __init__(
        self,
        environment: Environment,
        plans: Callable[[], Mapping[str, Sequence[str]]],
        checked: Mapping[str, CheckedPlan],
        *,
        ends_test: bool,
    ) -> None:
        if environment.runner is None:
            raise TypeError("there must be a runner")
        self._environment = environment
        self._runner: Any = environment.runner
        self._plans = plans
        self._checked = checked
        self._ends_test = ends_test
        self._runs: dict[str, PlanRun] = {}
        self._is_stopping = False
        for kind, listener in ((JOIN, self._take_join), (CLOCK, self._take_clock), (READY, self._take_ready)):
            self._runner.register_message(kind, listener)
        for event, heard in (
            ("test_start", self._begin),
            ("spawning_complete", self._note_spawned),
            ("worker_report", self._take_report),
            ("test_stopping", self._stop),
        ):
            getattr(environment.events, event).add_listener(heard)

    def note_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Note what came of a part of a load."""
        run = self._runs.get(outcome["plan"])
        if run is not None:
            run.note_outcome(outcome)

    # ---- events of Locust ----

    def _begin(self, **others: Any) -> None:
        self._is_stopping = False
        self._runs = {
            name: PlanRun(name, words, self._environment, self._checked.get(name))
            for name, words in self._plans().items()
        }
        runs = list(self._runs.values())
        for run in runs:
            gevent.spawn(self._carry_out, run, runs)

    def _carry_out(self, run: PlanRun, runs: Sequence[PlanRun]) -> None:
        run.carry_out()
        is_last = all(each.done.is_set() for each in runs)
        if is_last and self._ends_test and not self._is_stopping:
            options = self._environment.parsed_options
            gevent.spawn(self._runner.quit if options is not None and options.headless else self._runner.stop)

    def _note_spawned(self, **others: Any) -> None:
        for run in self._runs.values():
            run.are_spawned = True
            run.note_change()

    def _take_report(self, client_id: str, data: Mapping[str, Any]) -> None:
        for outcome in data.get(OUTCOMES, ()):
            self.note_outcome(outcome)

    def _stop(self, **others: Any) -> None:
        """Let loads end in order before Locust ends the users."""
        self._is_stopping = True
        runs = [run for run in self._runs.values() if not run.done.is_set()]
        for run in runs:
            run.stop()
        for run in runs:
            if not run.done.wait(run.timeout_s):
                _log.error(
                    "%s: not all results came within %g s; there is no result", run.name, run.timeout_s
                )

    # ---- messages of workers ----

    def _take_join(self, environment: Environment, msg: Any) -> None:
        run = self._runs.get(msg.data["plan"])
        if run is not None:
            run.join(msg.data, msg.node_id)

    def _take_clock(self, environment: Environment, msg: Any) -> None:
        there = {"there_ns": time.perf_counter_ns(), "day_there_ns": time.time_ns()}
        self._runner.send_message(CLOCK_REPLY, {"key": msg.data["key"], **there}, client_id=msg.node_id)

    def _take_ready(self, environment: Environment, msg: Any) -> None:
        run = self._runs.get(msg.data["plan"])
        if run is not None:
            run.note_ready(msg.data["key"])
