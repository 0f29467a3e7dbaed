"""A load and what came of it in words, as text and HTML both have them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..load import Discrepancy, LoadPlan, LoadResult
from ..load.find_max import Search, Trial
from ..load.result import ERROR_KINDS, Machine
from .units import in_full, in_rate

SATURATED = "generator saturated: these numbers describe the generator"
TWO_TIMINGS = "From due is what users wait; from send omits the wait to be sent, and flatters."
PERCENTS = (50, 75, 90, 99, 99.9, 99.99)
# A percentile with fewer replies above it says more about chance than about the server.
_FEW_REPLIES = 10
_SHOWN_BYTES = 12


def address_of(plan: LoadPlan) -> str:
    """The server's address, as people write it."""
    return f"[{plan.host}]:{plan.port}" if ":" in plan.host else f"{plan.host}:{plan.port}"


def plan_in_words(plan: LoadPlan) -> str:
    """What was to be done."""
    how_long = (
        f"x {plan.messages:,} messages" if plan.duration_s is None else f"for {plan.duration_s:g} s, messages"
    )
    connections = "1 connection" if plan.connections == 1 else f"{plan.connections:,} connections"
    parts = [f"{connections} {how_long} of {plan.sizes} B", pace_in_words(plan)]
    if plan.warmup_s:
        parts.append(f"after a warm-up of {plan.warmup_s:g} s")
    if plan.processes > 1:
        parts.append(f"{plan.processes} processes")
    return "; ".join(parts)


def pace_in_words(plan: LoadPlan) -> str:
    """What decides when a message is sent."""
    if plan.ramp is not None:
        begin, end, over_s = plan.ramp
        rates = f"{in_full(begin)} to {in_full(end)} messages/s in {in_full(over_s)} s"
        return f"open loop, {rates}, {plan.arrival} arrivals"
    if plan.rate is not None:
        return f"open loop, {in_full(plan.rate)} messages/s, {plan.arrival} arrivals"
    think = f", {_think_time(plan)} after each reply" if plan.think_s else ""
    return f"closed loop, {plan.pipeline:,} in flight on each{think}"


def law_in_words(result: LoadResult) -> str | None:
    """What rate a closed loop with a think time has, by the interactive response time law.

    None where it has no say: no message waits for a reply if all fit into the pipeline, and
    a generator that is saturated lets them think for longer.

    Lazowska, Zahorjan, Graham, Sevcik: Quantitative System Performance (1984), chapter 3.
    """
    plan, mean_ns = result.plan, result.latency_ns.mean
    if not plan.think_s or mean_ns is None or result.saturated:
        return None
    if plan.messages is not None and plan.messages <= plan.pipeline:
        return None
    slots = result.connections_opened * plan.pipeline
    law_per_s = slots / (plan.think_s + mean_ns / 1e9)
    return (
        f"Such a load makes {slots:,} / ({_think_time(plan)} + {mean_ns / 1e6:.3f} ms round trip) = "
        f"{in_rate(law_per_s)} messages/s, and not more than {in_rate(slots / plan.think_s)} however fast "
        "the server is."
    )


def _think_time(plan: LoadPlan) -> str:
    think_s = plan.think_s
    return f"{in_full(think_s)} s think time" if think_s >= 1 else f"{think_s * 1000:g} ms think time"


def few_samples(result: LoadResult) -> str | None:
    """On how few replies the highest percentiles stand, where they are few."""
    count = result.latency_ns.count
    for percent in (99, 99.9):
        above = samples_above(count, percent)
        if count and above < _FEW_REPLIES:
            return (
                f"p{percent:g} stands on {above} of {count:,} replies: "
                f"run for {round(_FEW_REPLIES * 100 / (100 - percent)):,} and more before you trust it."
            )
    return None


def samples_above(count: int, percent: float) -> int:
    """How many of so many replies took as long as a percentile says, or longer."""
    return count - max(1, math.ceil(count * percent / 100)) + 1 if count else 0


def discrepancy_in_words(found: Discrepancy) -> str:
    """One reply that was not as it should be."""
    parts = [f"connection {found.connection}, message {found.number}"]
    if found.expected_bytes is not None and found.received_bytes is not None:
        if found.expected_bytes != found.received_bytes:
            parts.append(f"{_bytes(found.received_bytes)} instead of {found.expected_bytes:,}")
        if found.expected != found.received:
            at = f"from byte {found.offset}" if found.expected or found.received else ""
            parts.append(f"{at} expected {_hex(found.expected)}, received {_hex(found.received)}".strip())
    elif found.expected_bytes is not None:
        parts.append(f"{_bytes(found.expected_bytes)} expected, {_hex(found.expected)}, nothing received")
    elif found.received_bytes is not None:
        parts.append(f"nothing expected, {_bytes(found.received_bytes)} received, {_hex(found.received)}")
    if found.detail:
        parts.append(found.detail)
    return ": ".join((parts[0], "; ".join(parts[1:]))) if parts[1:] else parts[0]


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"


def _hex(data: bytes) -> str:
    shown = data[:_SHOWN_BYTES].hex()
    return f"{shown}..." if len(data) > _SHOWN_BYTES else shown or "nothing"


def errors_by_kind(result: LoadResult) -> Iterator[tuple[str, int, str, list[Discrepancy]]]:
    """Each kind that occurred: its name, how often, what it means, and the first few."""
    for kind, count in sorted(result.errors.items(), key=lambda item: -item[1]):
        examples = [found for found in result.discrepancies if found.kind == kind]
        yield kind, count, ERROR_KINDS.get(kind, ""), examples


def machine_in_words(machine: Machine) -> str:
    """Where a load came from."""
    runs_on = f"{machine.system}, {machine.cpus} CPUs, {machine.python}"
    return f"{machine.name}: {runs_on}, trioecho {machine.trioecho}"


def generator_in_words(result: LoadResult) -> str:
    """What the generator saw of itself."""
    watch = result.watch
    parts = [f"CPU {watch.cpu_share:.0%}, waiting for one {max(watch.cpu_wait_shares, default=0.0):.0%}"]
    for name, histogram in (("late sends", watch.send_lateness_ns), ("own delay", watch.loop_delay_ns)):
        if histogram.count:
            p99 = histogram.percentile(99) or 0
            parts.append(f"{name}, ms: p99 {p99 / 1e6:.3f}, max {histogram.max / 1e6:.3f}")
    verdict = "saturated" if watch.saturated else "not saturated" if watch.judged else "too short to judge"
    return f"{verdict}: {'; '.join(parts)}"


def trial_in_words(trial: Trial) -> str:
    """One step of a search."""
    return f"{in_full(trial.rate):>11}/s  {trial.phase:<7}  {trial_verdict(trial):<9}  {trial.outcome.reason}"


def trial_verdict(trial: Trial) -> str:
    """How a step of a search went, in a word."""
    return "held" if trial.outcome.holds else "saturated" if trial.outcome.saturated else "failed"


def search_in_words(search: Search) -> str:
    """What a search came to, in a sentence."""
    if search.rate is None:
        return "No rate met the objectives."
    found = f"{in_full(search.rate)} messages/s"
    if not search.confirmed:
        return f"{found} held once, but not when it was repeated: not confirmed."
    sentence = f"{found} is the highest rate that held; it held in every repetition."
    if search.limited_by == "generator":
        sentence += " Above it the generator was saturated: the server may be able to do more."
    return sentence
