"""The rule by which the numbers describe the load generator, and where its thresholds come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...base.units import NS_PER_S
from ..plan import LoadPlan
from .generator_health import GeneratorHealth
from .result import LoadResult
from .worker_share import WorkerShare, WorkerSystem

# A process that computes for 95 % of the time, or would if it were let, has nothing left
# for a server that is faster; the rest it waits even when it is the bottleneck.
FULL_CPU_SHARE = 0.95
# Starting up, filling caches and the grain of the CPU clock make shorter runs look busy.
LEAST_JUDGED_S = 1.0
# Below, the p99 is one of the ten latest messages.
LEAST_JUDGED_SENDS = 1000
# Lateness is in the latency of an open loop, and in the think times of a closed one. It is at
# fault when it is large both as such (wrk2's schedules keep to a millisecond, the grain of its
# timers) and beside what it is in.
MOST_LATENESS_NS = NS_PER_S // 1000
MOST_LATENESS_OF_REST = 0.1
# Through which workers get their moments.
_COORDINATORS: dict[WorkerSystem, str] = {"Dask": "the scheduler", "Locust": "Locust's master"}
# Of the workers of a cluster in one reason.
_MOST_NAMED = 3


def judged(result: LoadResult) -> GeneratorHealth:
    """Return the generator's health of a result, judged.

    The numbers describe the generator when one of its processes used a CPU, or waited
    for one that another process had, for 95 % of the measured part or more, provided
    that this part was 1 s or longer; a busy loop in which it only waits does not count.
    Also when the p99 of the lateness of its sends is over 1 ms and over a tenth of the p99
    of the latency (open loop) or of the think time (closed loop), provided that there were
    1000 messages.

    A run in which nothing of this was found is judged only if it could have been found: where
    there is a schedule or a think time, with 1000 messages, and else in 1 s.

    Of the workers of a cluster each is judged by its own lateness, and by how far from the moment of all
    it started, which is at fault when it is as large as a lateness that is; the reasons name them.

    A closed loop whose generator is busy all the time does not show how fast the
    server can be; that the server was busy as well cannot be known from here.
    """
    health = result.health
    reasons = []
    workers = result.workers
    long_enough = result.elapsed_s >= LEAST_JUDGED_S
    demands = health.demand_shares
    busy = sum(share >= FULL_CPU_SHARE for share in demands)
    if long_enough and busy:
        who = f"{busy} of its {len(demands)} workers" if len(demands) > 1 else "it"
        if workers:
            who = _named([worker for worker in workers if worker.demand_share >= FULL_CPU_SHARE]) or who
        reasons.append(
            f"the generator had no CPU time left: {who} used a CPU or waited for one for "
            f"{max(demands):.0%} of the time; use more workers, more CPUs, or ask for less"
        )
    lateness = health.send_lateness_ns
    late_p99 = lateness.percentile(99) or 0
    think_s = result.plan.think_s
    rest_ns = think_s * NS_PER_S if think_s else result.latency_ns.percentile(99) or 0
    most = max(MOST_LATENESS_NS, MOST_LATENESS_OF_REST * rest_ns)
    enough_sends = lateness.count >= LEAST_JUDGED_SENDS
    # One worker of many may be late, and their p99 not show it.
    late_workers = [worker for worker in workers if _is_late(worker, most)]
    if enough_sends and (late_p99 > most or late_workers):
        late_p99 = max([late_p99, *(worker.send_lateness_ns.percentile(99) or 0 for worker in late_workers)])
        what, less = "messages were sent behind schedule", "a lower rate"
        if think_s:
            what, less = "think times were longer than asked for", "fewer connections"
        if late_workers:
            what = f"{what} by {_named(late_workers)}"
        reasons.append(
            f"{what}: p99 {late_p99 / 1e6:,.2f} ms late; "
            f"use more workers, {less} or a machine with less to do"
        )
    apart = [worker for worker in workers if worker.start_error_ns > most]
    if apart and enough_sends and has_lateness(result.plan):
        error_ns = max(worker.start_error_ns for worker in apart)
        reasons.append(
            f"the workers did not start in step: {_named(apart)} up to {error_ns / 1e6:,.2f} ms from the "
            "moment of all; use workers that are nearer to each other and to "
            f"{_COORDINATORS[apart[0].system]}"
        )
    enough = enough_sends if has_lateness(result.plan) else long_enough
    return replace(health, judged=bool(reasons) or enough, reasons=tuple(reasons))


def _is_late(worker: WorkerShare, most_ns: float) -> bool:
    lateness = worker.send_lateness_ns
    return lateness.count >= LEAST_JUDGED_SENDS and (lateness.percentile(99) or 0) > most_ns


def _named(workers: Sequence[WorkerShare]) -> str:
    """Return the workers in words: all of them, if they are few."""
    words = [worker.where for worker in workers[:_MOST_NAMED]]
    more = len(workers) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def has_lateness(plan: LoadPlan) -> bool:
    """Return whether sends of a plan can be late: in an open loop, and with a think time."""
    return plan.is_open or bool(plan.think_s)
