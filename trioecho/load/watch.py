"""When the load generator's numbers describe itself: the rule, and where its thresholds come from."""

from __future__ import annotations

from dataclasses import replace

from .result import NS_PER_S, LoadResult, SelfWatch

# A process that computes for 95 % of the time has nothing left for a server that is
# faster; the rest is what it cannot help to wait, even when it is the bottleneck.
FULL_CPU_SHARE = 0.95
# Starting up, filling caches and the grain of the CPU clock make shorter runs look busy.
LEAST_JUDGED_S = 1.0
# Below, the p99 is one of the ten latest messages.
LEAST_JUDGED_SENDS = 1000
# Lateness is in the latency of an open loop. It is at fault when it is large both as such
# (wrk2's schedules keep to a millisecond, the grain of its timers) and beside what is measured.
MOST_LATENESS_NS = NS_PER_S // 1000
MOST_LATENESS_OF_P99 = 0.1


def judged(result: LoadResult) -> SelfWatch:
    """The result's own watch, with the verdict.

    The numbers describe the generator when one of its processes was busy for 95 % of
    the measured part or more, time in which it only waited in a busy loop not counted,
    provided that this part was 1 s or longer. In an open loop also when the p99 of
    the lateness of its sends is over 1 ms and over a tenth of the p99 of the latency,
    provided that there were 1000 messages. A shorter run is not judged.

    A closed loop whose generator is busy all the time does not show how fast the
    server can be; that the server was busy as well cannot be known from here.
    """
    watch = result.watch
    reasons = []
    long_enough = result.elapsed_s >= LEAST_JUDGED_S
    busy = sum(share >= FULL_CPU_SHARE for share in watch.cpu_shares)
    if long_enough and busy:
        of_processes = (
            f"{busy} of its {len(watch.cpu_shares)} processes" if len(watch.cpu_shares) > 1 else "it"
        )
        reasons.append(
            f"the generator had no CPU time left: {of_processes} computed for "
            f"{watch.cpu_share:.0%} of the time; use more processes, or ask for less"
        )
    lateness = watch.send_lateness_ns
    late_p99 = lateness.percentile(99) or 0
    most = max(MOST_LATENESS_NS, MOST_LATENESS_OF_P99 * (result.latency_ns.percentile(99) or 0))
    enough_sends = lateness.count >= LEAST_JUDGED_SENDS
    if enough_sends and late_p99 > most:
        reasons.append(
            f"messages were sent behind schedule: p99 {late_p99 / 1e6:.3g} ms late; "
            "use more processes, a lower rate or a machine with less to do"
        )
    return replace(watch, judged=long_enough or enough_sends, reasons=tuple(reasons))
