"""One load on the workers of Locust, as the master sees it: dividing, starting, joining."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gevent.event import Event
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from ..base.quantities import plural
from ..cluster.clock import clock_identity
from .plan_node import PART, START, STOP
from .plan_program import CheckedPlan, PlanFailedError, check_plan, join_parts
from .plan_stats import KIND

# From when all are ready to when they start: longer than a message to a worker takes.
_START_IN_NS = 500_000_000
# Workers of Locust that are gone are looked for this often.
_LOOK_S = 1.0
# When the test stops: beyond the timeout of replies, for results, which come every 3 s, and for the reports.
_STOP_S = 20.0
_MOST_SILENT_BEATS = 30
# What a load waits for is said this often.
_SAY_S = 10.0
_log = logging.getLogger(__name__)


class PlanPart:
    """A part of a load, and the user that carries it out.

    Attributes:
      key: by which both sides know it.
      client: the Locust worker of the user.
      index: of that worker.
      host: its machine.
      name: of the user, where a worker has several, too.
      count: connections that it has; 0 before it is known.
      is_ready: whether they are open.
      outcome: what came of it; None before.
    """

    def __init__(self, key: str, client: str, index: int, host: str) -> None:
        self.key: str = key
        self.client: str = client
        self.index: int = index
        self.host: str = host
        self.name: str = str(index)
        self.count: int = 0
        self.is_ready: bool = False
        self.outcome: Mapping[str, Any] | None = None

    @property
    def where(self) -> str:
        """The user, in words."""
        return f"worker {self.name} on {self.host}"


class PlanRun:
    """One load, from the start of a test of Locust to its reports.

    Args:
      name: of its users' class.
      words: the address and the options.
      environment: of Locust.
      checked: what they come to, if that is known.
    """

    def __init__(
        self, name: str, words: Sequence[str], environment: Environment, checked: CheckedPlan | None
    ) -> None:
        self.name: str = name
        self.done: Event = Event()
        self.are_spawned: bool = False
        self._words = tuple(words)
        self._environment = environment
        self._runner: Any = environment.runner
        self._checked = checked if checked is not None and checked.words == self._words else None
        self._joined: dict[str, PlanPart] = {}
        self._parts: list[PlanPart] = []
        self._is_stopped = False
        self._changed = Event()
        self._notes: list[str] = []

    @property
    def timeout_s(self) -> float:
        """How long the load may take to its end, once it is stopped."""
        return _STOP_S + (0.0 if self._checked is None else self._checked.timeout_s)

    def note_change(self) -> None:
        """Have the load look at what has changed."""
        self._changed.set()

    def carry_out(self) -> None:
        """Carry the load out; a failure is logged, and counted by Locust."""
        try:
            checked = self._checked = self._checked or check_plan(self._words)
            self._wait_until(self._all_have_joined, "its users")
            self._assign(checked)
            self._wait_until(lambda: all(part.is_ready for part in self._parts), "connections of its users")
            at = time.perf_counter_ns() + _START_IN_NS
            self._send_to_all(START, at=at)
            self._wait_until(lambda: all(part.outcome for part in self._parts), has_begun=True)
            self._join(checked)
        except PlanFailedError as error:
            self._send_to_all(STOP, at_once=True)
            self._fail(error)
        finally:
            self.done.set()

    def stop(self) -> None:
        """End in order: no message is sent any more, and replies still to come are awaited."""
        self._is_stopped = True
        self._send_to_all(STOP, at_once=False)
        self._changed.set()

    # ---- what the users say ----

    def join(self, message: Mapping[str, Any], client: str) -> None:
        """Note a user that asks for a part."""
        key = message["key"]
        if self._parts or self._is_stopped:  # it came later than all, and has nothing to do
            self._send(PART, client, key=key, config=None)
            return
        self._joined[key] = PlanPart(key, client, message["index"], message["host"])
        self._changed.set()

    def note_ready(self, key: str) -> None:
        """Note that the connections of a part are open."""
        if key in self._joined:
            self._joined[key].is_ready = True
            self._changed.set()

    def note_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Note what came of a part."""
        if outcome["key"] in self._joined:
            self._joined[outcome["key"]].outcome = outcome
            self._changed.set()

    # ---- the steps ----

    def _wait_until(self, is_so: Callable[[], bool], what: str = "", *, has_begun: bool = False) -> None:
        said_at = time.monotonic()
        while not is_so():
            if self._is_stopped and not has_begun:
                raise PlanFailedError("the test was stopped before the load had begun; nothing was sent")
            self._refuse_failed()
            if what and time.monotonic() - said_at > _SAY_S:
                said_at = time.monotonic()
                _log.warning("%s waits for %s: %d are there", self.name, what, self._there)
            self._changed.wait(_LOOK_S)
            self._changed.clear()
        self._refuse_failed()

    @property
    def _there(self) -> int:
        """How many users are as far as the load waits for."""
        return sum(part.is_ready for part in self._parts) if self._parts else len(self._joined)

    def _refuse_failed(self) -> None:
        """Raise the failure of a part, or that its Locust worker is gone: the rest is another load."""
        clients = self._runner.clients if isinstance(self._runner, MasterRunner) else None
        for part in self._parts or self._joined.values():
            if part.outcome is not None and "failure" in part.outcome:
                raise PlanFailedError(
                    f"{part.where}: {part.outcome['failure']}{self._without(part)}", part.outcome["exit_code"]
                )
            if clients is None or part.outcome is not None:
                continue
            node = clients.get(part.client)
            if node is None or node.state == STATE_MISSING:
                raise PlanFailedError(f"{part.where} is gone{self._without(part)}")

    def _without(self, part: PlanPart) -> str:
        if not part.count or self._checked is None:
            return ""
        return (
            f"; it had {part.count:,} of {plural(self._checked.connections, 'connection')}: "
            "there is no whole result"
        )

    def _all_have_joined(self) -> bool:
        expected = self._runner.target_user_classes_count.get(self.name, 0)
        return self.are_spawned and 0 < expected <= len(self._joined)

    def _assign(self, checked: CheckedPlan) -> None:
        """Divide the connections: one user of each worker first, then a second one of each."""
        seen: Counter[str] = Counter()
        ranked: list[tuple[int, int, PlanPart]] = []
        for part in sorted(self._joined.values(), key=lambda part: part.index):
            rank = seen[part.client]
            seen[part.client] += 1
            part.name = f"{part.index}" if not rank else f"{part.index} (user {rank + 1})"
            ranked.append((rank, part.index, part))
        ranked.sort(key=lambda each: each[:2])
        users = [part for _, _, part in ranked]
        self._parts = users[: checked.connections]
        plan = {**checked.plan, "processes": len(self._parts)}
        least, more = divmod(checked.connections, len(self._parts))
        first = 0
        for number, part in enumerate(self._parts):
            part.count = least + (number < more)
            self._send(
                PART,
                part.client,
                key=part.key,
                words=[*checked.words],
                schema=checked.schema,
                clock=clock_identity(),
                config={"LoadWorkerConfig": self._config(plan, first, part.count)},
            )
            first += part.count
        for part in users[len(self._parts) :]:
            self._send(PART, part.client, key=part.key, config=None)
        if len(users) > len(self._parts):
            self._notes.append(
                f"{plural(checked.connections, 'connection')} cannot be shared by {len(users)} users: "
                f"{len(self._parts)} of them were used."
            )

    @staticmethod
    def _config(plan: Mapping[str, Any], first: int, count: int) -> dict[str, Any]:
        return {
            "plan": plan,
            "first": first,
            "count": count,
            "progress_interval_s": 1.0,
            "is_cautious": True,
            "folder": "",
            "recording": None,
            "most_silent_beats": _MOST_SILENT_BEATS,
        }

    def _join(self, checked: CheckedPlan) -> None:
        plan = {**checked.plan, "processes": len(self._parts)}
        parts = [
            {
                **{name: (part.outcome or {})[name] for name in ("result", "clock", "start_late_ns")},
                "name": part.name,
                "host": part.host,
                "connections": part.count,
            }
            for part in self._parts
        ]
        exit_code = join_parts(checked.words, {"plan": plan, "parts": parts, "notes": self._notes})
        self._end_with(exit_code)

    def _fail(self, error: PlanFailedError) -> None:
        _log.error("%s: %s", self.name, error)
        self._end_with(error.exit_code)
        if not any("failure" in (part.outcome or {}) for part in self._parts):  # else its worker has told it
            self._environment.stats.log_error(KIND, self.name, error)

    def _end_with(self, exit_code: int) -> None:
        if exit_code and self._environment.process_exit_code is None:
            self._environment.process_exit_code = exit_code

    def _send(self, kind: str, client: str, **data: Any) -> None:
        with contextlib.suppress(Exception):  # a worker that is gone is seen elsewhere
            self._runner.send_message(kind, data, client_id=client)

    def _send_to_all(self, kind: str, **data: Any) -> None:
        keys = [part.key for part in self._joined.values()]
        for client in sorted({part.client for part in self._joined.values()}):
            self._send(kind, client, keys=keys, **data)
