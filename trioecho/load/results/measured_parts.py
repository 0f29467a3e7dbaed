"""Read times, histograms, stages and what became of connections from JSON that may be damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...base.histogram import Histogram
from ...base.json_part import MAX_COUNT, Part
from .churn_result import MOST_OUTAGES, ChurnResult, Outage
from .result import LoadResult
from .stage_result import StageResult

# 30 years: no load took longer, and no interval of one.
MAX_TIME_S = 1e9
# A nanosecond, the grain of clocks.
_LEAST_TIME_S = 1e-9
# That of 2**64 - 1 ns; a bucket of a higher number stands for a value beyond that.
_LAST_BUCKET = (57 << 7) + 127


def read_time(part: Part) -> float:
    """Return seconds: 0, or what a clock can have measured.

    Raises:
      DamagedError: it is something else.
    """
    value = part.number()
    if value and not _LEAST_TIME_S <= value <= MAX_TIME_S:
        raise part.wrong(f"a time is from {_LEAST_TIME_S:g} to {MAX_TIME_S:g} s, not {value:g}")
    return value


def read_histogram(part: Part) -> Histogram:
    """Return the histogram that a part of a document is.

    Raises:
      DamagedError: it is none.
    """
    counts = part["buckets"]
    buckets: dict[int, int] = {}
    for name, count in counts.fields().items():
        if not (name.isascii() and name.isdigit() and len(name) <= 4 and str(int(name)) == name):
            raise counts.wrong("a bucket has no number")
        # A progress has a thousand of them: the place of each is made only for one that is wrong.
        if type(count) is int and 0 <= count <= MAX_COUNT:
            buckets[int(name)] = count
        else:
            buckets[int(name)] = counts[name].count()
    if max(buckets, default=0) > _LAST_BUCKET:
        raise counts.wrong(f"a bucket has a number above {_LAST_BUCKET}")
    total, most = part["total"].value, part["max"].count()
    if type(total) is not int or not 0 <= total <= MAX_COUNT**2:
        raise part["total"].wrong("it is not a sum of whole numbers")
    try:
        return Histogram.from_buckets(buckets, total, most)
    except ValueError as error:
        raise part.wrong(str(error)) from None


def read_stages(document: Part, result: LoadResult) -> list[StageResult]:
    """Return what was counted in each stage of the plan.

    Args:
      document: the whole result.
      result: what was read of it.

    Raises:
      DamagedError: it is something else, or does not add up to the whole.
    """
    part = document["stages"]
    stages = [_stage(item) for item in part]
    if [stage.name for stage in stages] != [stage.name for stage in result.plan.stages]:
        raise part.wrong("the names are not those of the plan's stages")
    if stages:
        _check_sums(part, stages, result)
    return stages


def _check_sums(part: Part, stages: Sequence[StageResult], result: LoadResult) -> None:
    for name, whole, parts in (
        ("messages", result.messages, [stage.messages for stage in stages]),
        ("bytes", result.bytes, [stage.bytes for stage in stages]),
        ("messages_sent", result.sent - result.churn.taken_back, [stage.sent for stage in stages]),
    ):
        if whole != sum(parts):
            raise part.wrong(f"{name} adds up to {sum(parts)}, and not to {whole}")
    if sum(stage.error_count for stage in stages) > result.error_count:
        raise part.wrong(f"errors add up to more than {result.error_count}")
    if sum(stage.received for stage in stages) > result.messages:
        raise part.wrong(f"messages_received adds up to more than {result.messages}")
    for name, histogram, of_stages in (
        ("latency_ns", result.latency_ns, [stage.latency_ns for stage in stages]),
        ("from_send_ns", result.from_send_ns, [stage.from_send_ns for stage in stages]),
    ):
        if not _is_sum(histogram, of_stages):
            raise part.wrong(f"the histograms {name} do not add up to that of the whole")


def _is_sum(histogram: Histogram, parts: Sequence[Histogram]) -> bool:
    total = Histogram()
    for part in parts:
        total.merge(part)
    return (total.buckets, total.total) == (histogram.buckets, histogram.total)


def _stage(part: Part) -> StageResult:
    histograms = part["histograms"]
    errors = part["errors"]
    stage = StageResult(
        part["name"].text(),
        read_time(part["begins_s"]),
        read_time(part["length_s"]),
        sent=part["messages_sent"].count(),
        messages=part["messages"].count(),
        bytes=part["bytes"].count(),
        received=part["messages_received"].count(),
        errors=Counter({kind: errors[kind].count() for kind in errors.fields()}),
        latency_ns=read_histogram(histograms["latency_ns"]),
        from_send_ns=read_histogram(histograms["from_send_ns"]),
    )
    if stage.messages > min(stage.latency_ns.count, stage.sent):
        raise part["messages"].wrong("there are more than were sent, or than have a latency")
    return stage


def read_churn_result(part: Part, histograms: Part) -> ChurnResult:
    """Return what became of connections.

    Args:
      part: without histograms.
      histograms: those of the whole document.

    Raises:
      DamagedError: it is none.
    """
    attempts = part["failed_attempts"]
    outages: list[Outage] = []
    for item in part["outages"]:
        outage = item.record(Outage)
        read_time(item["length_s"])
        if outages and outage.start_s < outages[-1].start_s:
            raise item["start_s"].wrong("an outage begins after the one before it")
        outages.append(outage)
    if len(outages) > MOST_OUTAGES:
        raise part["outages"].wrong(f"there are more than {MOST_OUTAGES}")
    return ChurnResult(
        renewed=part["renewed"].count(),
        ended=part["ended"].count(),
        taken_back=part["taken_back"].count(),
        conversations_cut=part["conversations_cut"].count() if "conversations_cut" in part else 0,
        failed_attempts={reason: attempts[reason].count() for reason in attempts.fields()},
        outages=outages,
        outage_ns=read_histogram(histograms["outage_ns"]),
        first_reply_ns=read_histogram(histograms["first_reply_ns"]),
        attempt_lateness_ns=read_histogram(histograms["attempt_lateness_ns"]),
    )
