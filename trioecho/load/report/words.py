"""Put a load and its result into words, as text and HTML both have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from ...base.addresses import format_address
from ...base.difference import describe_difference, in_hex
from ...base.histogram import values_above
from ...base.message_file import MAX_MESSAGES
from ...base.printable import printable_line
from ...base.quantities import in_bytes, in_full, in_rate, plural
from ...framing import FrameFormat
from .. import Discrepancy, LoadPlan, LoadResult, MessageSource
from ..goals.find_max import Search, Trial
from ..results.discrepancy import ERROR_KINDS
from ..results.generator_health import GeneratorHealth
from ..results.judging import FEW_REPLIES
from ..results.machine import Machine
from ..results.saturation import has_lateness
from ..results.worker_share import WorkerShare, WorkerSystem

SATURATED = "generator saturated: these numbers describe the generator"
WORKERS_OF: dict[WorkerSystem, str] = {"Dask": "workers of the cluster", "Locust": "workers of Locust"}
NOT_WHOLE = "The run is not whole"
STAGES = "A message is of the stage in which it was due; right/s are the replies that came while it lasted."
TWO_TIMINGS = "From due is what users wait; from send omits the wait to be sent, and flatters."
# Of values that differ in merged runs.
_MOST_NAMED = 4


def address_of(plan: LoadPlan) -> str:
    """Return the server's address, as people write it."""
    return format_address((plan.host, plan.port))


def server_of(result: LoadResult) -> str:
    """Return the address of the server, or of those that merged runs had."""
    return _any_of(address_of(plan) for plan in _plans_of(result))


def load_in_words(result: LoadResult) -> str:
    """Return what was to be done; of merged runs that is not always the same."""
    seeds = _any_of(str(plan.seed) for plan in _plans_of(result))
    return f"{plan_in_words(result.plan, _plans_of(result))}; seed {seeds}"


def plan_in_words(plan: LoadPlan, parts: Sequence[LoadPlan] = ()) -> str:
    """Return what was to be done.

    Args:
      plan: of all together.
      parts: what each was to do, if they were several.
    """
    parts = parts or (plan,)
    how_long = _any_of(_length_in_words(part) for part in parts)
    sizes = _any_of(_messages_in_words(part) for part in parts)
    words = [f"{plural(plan.connections, 'connection')} {how_long} of {sizes}", pace_in_words(plan, parts)]
    if any(part.service.first_messages for part in parts):
        words.append(f"first messages{_any_of(_from_file(part.service.first_messages) for part in parts)}")
    if any(part.service.proxy_headers for part in parts):
        words.append(f"PROXY headers {_any_of(part.service.proxy_headers or 'none' for part in parts)}")
    if any(part.warmup_s for part in parts):
        words.append(f"after a warm-up of {_any_of(f'{part.warmup_s:g} s' for part in parts)}")
    if any(part.format != FrameFormat() for part in parts):
        words.append(f"format {_any_of(str(part.format) for part in parts)}")
    if any(part.churn.in_words for part in parts):
        words.append(_any_of(part.churn.in_words or "connections open to the end" for part in parts))
    if any(part.sockets.in_words for part in parts):
        words.append(
            f"sockets: {_any_of(part.sockets.in_words or 'as the system has them' for part in parts)}"
        )
    if plan.processes > 1:
        words.append(f"{plan.processes} processes")
    return "; ".join(words)


def _length_in_words(plan: LoadPlan) -> str:
    if plan.replay is not None:
        return "with the messages"
    if plan.duration_s is None:
        return f"x {plan.messages:,} messages"
    return f"for {plan.duration_s:g} s, messages"


def _messages_in_words(plan: LoadPlan) -> str:
    if plan.service.conversation:
        return f"the conversations of {printable_line(plan.reply.text)}"
    return f"{plan.sizes} B{_from_file(plan.source)}"


def _from_file(source: MessageSource | None) -> str:
    if source is None:
        return ""
    templates = f", {plural(source.templates, 'template')}" if source.templates else ""
    return f" from {printable_line(source.file)} ({plural(source.messages, 'message')}{templates})"


def replies_in_words(result: LoadResult) -> str:
    """Return how replies were verified, a sentence without its end."""
    return _any_of(plan.verification for plan in _plans_of(result))


def is_echo(result: LoadResult) -> bool:
    """Return whether every reply was compared with its message."""
    return all(plan.reply.word == "echo" and plan.service.key is None for plan in _plans_of(result))


def right_replies(result: LoadResult) -> str:
    """Return what is counted as a right reply: only what was compared with its message came back."""
    if is_echo(result):
        return "came back right"
    if all(plan.reply.word == "count" for plan in _plans_of(result)):
        return "were replied to"
    return "were replied to right"


def bytes_in_words(result: LoadResult) -> str:
    """Return how many bytes/s came in right replies."""
    where = "in each direction" if is_echo(result) else "of replies"
    return f"{in_bytes(result.bytes_per_s)}/s {where}, headers included"


def recorded_in_words(result: LoadResult) -> str | None:
    """Return what was recorded, and whether it can be sent again; None if nothing was to be recorded."""
    recording = result.recording
    if recording is None:
        return None
    file = printable_line(recording.file)
    if recording.failure:
        return f"nothing: {file} could not be written: {recording.failure}"
    too_many = recording.messages > MAX_MESSAGES
    more = f", of which --messages takes {MAX_MESSAGES:,} at most" if too_many else ""
    return f"{plural(recording.messages, 'message')} in {file}{more}"


def planned_in_words(result: LoadResult) -> str | None:
    """Return how many messages each connection was to send, and all together; None if a duration ends it."""
    plan = result.plan
    if plan.messages is None or {part.messages for part in _plans_of(result)} != {plan.messages}:
        return None
    connections = plural(plan.connections, "connection")
    ends_whole = plan.service.ends_whole and not plan.churn.renews
    more = ", and more to end the last conversations" if ends_whole else ""
    return f"{connections} x {plan.messages:,} = {plan.connections * plan.messages:,} messages{more}"


def pace_in_words(plan: LoadPlan, parts: Sequence[LoadPlan] = ()) -> str:
    """Return what decides when a message is sent; the arguments are those of `plan_in_words`."""
    parts = parts or (plan,)
    if plan.replay is not None:
        return _any_of(_replay_in_words(part) for part in parts)
    arrivals = f"{_any_of(part.arrival for part in parts)} arrivals"
    if plan.ramp is not None:
        begin, end, over_s = plan.ramp
        rates = f"{in_full(begin)} to {in_full(end)} messages/s in {in_full(over_s)} s"
        return f"open loop, {rates}, {arrivals}"
    if plan.rate is not None:
        return f"open loop, {in_full(plan.rate)} messages/s, {arrivals}"
    if plan.stages:
        names = _listed([stage.name for stage in plan.stages])
        return f"open loop, {plural(len(plan.stages), 'stage')} ({names}), {arrivals}"
    think = f", {_think_time(plan)} after each reply" if plan.think_s else ""
    return f"closed loop, {_any_of(f'{part.pipeline:,}' for part in parts)} in flight on each{think}"


def _replay_in_words(plan: LoadPlan) -> str:
    if plan.replay is None:
        return "no replay"
    if not plan.replay.speed:
        return "open loop, a replay as fast as it goes"
    times = "at the recorded times" if plan.replay.speed == 1 else f"{plan.replay.speed:g} times as fast"
    return f"open loop, a replay {times}, {in_full(round(plan.replay.planned_s, 3))} s"


def _plans_of(result: LoadResult) -> Sequence[LoadPlan]:
    return result.plans or (result.plan,)


def _any_of(words: Iterable[str]) -> str:
    """Return one, if all are the same, or all that there are, as ``64 B or 1000 B``."""
    different = list(dict.fromkeys(words))
    if len(different) > _MOST_NAMED:
        different[_MOST_NAMED - 1 :] = [f"{len(different) - _MOST_NAMED + 1} others"]
    return " or ".join(different)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def law_in_words(result: LoadResult) -> str | None:
    """Return the rate that a closed loop with a think time has, by the interactive response time law.

    None where the law does not apply: no message waits for a reply if all fit into the pipeline,
    and a generator that is saturated makes think times longer.

    Lazowska, Zahorjan, Graham, Sevcik: Quantitative System Performance (1984), chapter 3.
    """
    plan, mean_ns = result.plan, result.latency_ns.mean
    if not plan.think_s or mean_ns is None or result.saturated or plan.churn.renews:
        return None
    if len({(part.pipeline, part.messages) for part in _plans_of(result)}) > 1:
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
    """Return on how few replies the highest percentiles stand, where they are few."""
    count = result.latency_ns.count
    for percent in ("99", "99.9"):
        above = values_above(count, percent)
        if count and above < FEW_REPLIES:
            enough = FEW_REPLIES * 100 / (100 - Fraction(percent))
            return (
                f"p{percent} stands on {above} of {count:,} replies: "
                f"run for {round(enough):,} and more before you trust it."
            )
    return None


def discrepancy_in_words(found: Discrepancy) -> str:
    """Return what was wrong with one reply."""
    parts = [f"connection {found.connection}, message {found.number}"]
    if found.expected_bytes is not None and found.received_bytes is not None:
        difference = describe_difference(found.expected, found.received, found.offset)
        if found.expected_bytes != found.received_bytes:
            parts.append(f"{plural(found.received_bytes, 'byte')} instead of {found.expected_bytes:,}")
            if difference is None and found.expected and found.received:
                shorter = min(found.expected_bytes, found.received_bytes)
                parts.append("the first is right" if shorter == 1 else f"the first {shorter:,} are right")
        if difference is not None:
            parts.append(difference)
    elif found.expected_bytes is not None:
        parts.append(
            f"{plural(found.expected_bytes, 'byte')} expected{_and_hex(found.expected)}, nothing received"
        )
    elif found.received_bytes is not None:
        parts.append(
            f"nothing expected, {plural(found.received_bytes, 'byte')} received{_and_hex(found.received)}"
        )
    if found.detail:
        parts.append(found.detail)
    return ": ".join((parts[0], "; ".join(parts[1:]))) if parts[1:] else parts[0]


def examples_in_words(examples: Sequence[Discrepancy]) -> Iterator[str]:
    """Yield a line for each example of a kind, and one for all to which the same happened without a byte."""
    alike: dict[object, list[Discrepancy]] = {}
    for number, found in enumerate(examples):
        key = number if found.received_bytes is not None else found.detail
        alike.setdefault(key, []).append(found)
    for group in alike.values():
        first = group[0]
        if len(group) == 1:
            yield discrepancy_in_words(first)
            continue
        connections = sorted({found.connection for found in group})
        where = f"connection{'s' * (len(connections) > 1)} {_enumerated(connections)}"
        if len(connections) == 1:
            where += f", messages {_enumerated(sorted(found.number for found in group))}"
        yield f"{where}: {first.detail}" if first.detail else where


def _enumerated(numbers: Sequence[int]) -> str:
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


def _and_hex(data: bytes) -> str:
    return f", {in_hex(data)}" if data else ""


def errors_by_kind(result: LoadResult) -> Iterator[tuple[str, int, str, list[Discrepancy]]]:
    """Yield each kind that occurred: its name, how often, what it means, and the first few."""
    for kind, count in sorted(result.errors.items(), key=lambda item: -item[1]):
        examples = [found for found in result.discrepancies if found.kind == kind]
        yield kind, count, ERROR_KINDS.get(kind, ""), examples


def machine_in_words(machine: Machine) -> str:
    """Return where a load came from."""
    runs_on = f"{machine.system}, {machine.cpus} CPUs, {machine.python}"
    return f"{machine.name}: {runs_on}, trioecho {machine.trioecho}"


def worker_in_words(worker: WorkerShare, sent: int) -> str:
    """Return what a worker of a cluster, or of Locust, did of a load.

    Args:
      worker: one of its workers.
      sent: the messages of all together.
    """
    share = f" ({worker.sent / sent:.1%})" if sent else ""
    parts = [f"{plural(worker.connections, 'connection')}, {worker.sent:,} sent{share}"]
    if worker.errors:
        parts.append(f"{worker.errors:,} errors")
    if worker.send_lateness_ns.count:
        parts.append(f"late sends p99 {(worker.send_lateness_ns.percentile(99) or 0) / 1e6:.3f} ms")
    parts.append("lost: this is by its last report" if worker.is_lost else f"CPU {worker.cpu_share:.0%}")
    parts.append(f"start within {worker.start_error_ns / 1e6:.3f} ms")
    if worker.clock_error_ns:  # else it is the same clock
        parts.append(f"clock {worker.clock_ahead_ns / 1e6:+,.1f} ms")
    return f"{printable_line(worker.name)} on {printable_line(worker.host)}: {', '.join(parts)}"


def generator_in_words(result: LoadResult) -> str:
    """Return what the generator saw of itself."""
    health = result.health
    parts = [f"CPU {health.cpu_share:.0%}, waiting for a CPU {max(health.cpu_wait_shares, default=0.0):.0%}"]
    for name, histogram in (("late sends", health.send_lateness_ns), ("own delay", health.loop_delay_ns)):
        if histogram.count:
            p99 = histogram.percentile(99) or 0
            parts.append(f"{name}, ms: p99 {p99 / 1e6:.3f}, max {histogram.max / 1e6:.3f}")
    if health.saturated:
        verdict = "saturated"
    elif health.judged:
        verdict = "not saturated"
    elif has_lateness(result.plan):
        verdict = "too few messages to judge the generator"
    else:
        verdict = "too short to judge"
    return f"{verdict}: {'; '.join(parts)}"


def trial_in_words(trial: Trial) -> str:
    """Return one step of a search as a line."""
    return f"{in_full(trial.rate):>11}/s  {trial.phase:<7}  {trial_verdict(trial):<9}  {trial.outcome.reason}"


def trial_verdict(trial: Trial) -> str:
    """Return how a step of a search went, in a word."""
    return "held" if trial.outcome.holds else "saturated" if trial.outcome.saturated else "failed"


def search_in_words(search: Search, health: GeneratorHealth) -> str:
    """Return what a search came to, in a sentence or two.

    Args:
      search: one that came to its end, or was cut short.
      health: that of the trial of the rate that was found.
    """
    sentence = _found_in_words(search)
    if search.rate is not None and not health.judged:
        sentence += " There were too few messages to judge the generator."
    return sentence


def _found_in_words(search: Search) -> str:
    ended = " before a worker was lost, which ended the search" if search.lost else ""
    if search.rate is None:
        return f"No rate met the objectives{ended}."
    found = f"{in_full(search.rate)} messages/s"
    if ended:
        return f"{found} held{ended}: not confirmed."
    if not search.confirmed:
        if all(trial.phase != "confirm" for trial in search.trials):
            return f"{found} held, and was not repeated: not confirmed."
        return f"{found} held once, but not when it was repeated: not confirmed."
    sentence = f"{found} is the highest rate that held; it held in every repetition."
    if search.limited_by == "generator":
        sentence += " Above it the generator was saturated: the server may be able to do more."
    if search.limited_by == "connections":
        sentence += " New connections send no more: the server may be able to do more."
    return sentence
