"""What came of a load, as lines of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from ..histogram import Histogram
from ..load import LoadResult, Progress
from . import words
from .units import in_bytes, in_ms, in_rate, wrapped


def result_as_text(result: LoadResult) -> str:
    """The summary, several lines."""
    plan = result.plan
    sections: list[list[str]] = [
        wrapped(f"{words.address_of(plan)}: {words.plan_in_words(plan)}; seed {plan.seed}"),
        list(_counts(result)),
        list(_latency(result)),
        list(_errors(result)),
        list(_objectives(result)),
        list(_search(result)),
        list(_warnings(result)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def progress_as_text(progress: Progress) -> str:
    """One line on what happened since the last one."""
    if progress.phase == "connecting":
        return f"connecting: {progress.connections:,} open"
    interval = progress.interval
    latency = interval.latency_ns
    columns = [
        f"{progress.t_s:>7.1f} s",
        f"{interval.messages / interval.width_s if interval.width_s else 0:>10,.0f} msg/s",
        f"ms p50 {_ns_in_ms(latency.percentile(50)):>7} p99 {_ns_in_ms(latency.percentile(99)):>7}",
        f"{progress.messages:>12,} in all",
    ]
    if progress.errors:
        columns.append(f"{sum(progress.errors.values()):,} errors")
    if progress.phase != "measuring":
        columns.append(f"({progress.phase})")
    return "  ".join(columns)


def _counts(result: LoadResult) -> Iterator[str]:
    stopped = ", stopped before its end" if result.stopped else ""
    yield f"messages   {result.sent:,} sent, {result.messages:,} came back right{stopped}"
    yield f"rate       {in_rate(result.messages_per_s)} messages/s in {result.elapsed_s:.3f} s"
    yield f"bytes      {in_bytes(result.bytes_per_s)}/s in each direction, headers included"
    connect = result.connect_ns
    times = (
        f"p50 {_ns_in_ms(connect.percentile(50))}, max {_ns_in_ms(connect.max if connect.count else None)}"
    )
    yield f"connect    {result.connections_opened:,} of {result.plan.connections:,} connections, ms: {times}"
    yield f"errors     {result.error_count:,}"
    yield from wrapped(f"generator  {words.generator_in_words(result)}", subsequent_indent=" " * 11)


def _latency(result: LoadResult) -> Iterator[str]:
    latency = result.latency_ns
    if not latency.count:
        return
    columns = {"from due": latency, "from send": result.from_send_ns}
    if not result.plan.is_open:
        columns = {"": latency}
    yield (f"{'latency, ms':<11}" + "".join(f"{name:>11}" for name in columns) + "   replies at or above")
    for name, percent in _ROWS:
        values = "".join(f"{_value_in_ms(histogram, name, percent):>11}" for histogram in columns.values())
        above = f"{words.samples_above(latency.count, percent):,}" if percent else ""
        yield f"  {name:<9}{values}{above:>22}".rstrip()
    if result.plan.is_open:
        yield from wrapped(words.TWO_TIMINGS)
    for remark in (words.law_in_words(result), words.few_samples(result)):
        if remark is not None:
            yield from wrapped(remark)


_ROWS = [("mean", None), *((f"p{percent:g}", percent) for percent in words.PERCENTS), ("max", None)]


def _value_in_ms(histogram: Histogram, name: str, percent: float | None) -> str:
    if not histogram.count:
        return "-"
    if percent is not None:
        return _ns_in_ms(histogram.percentile(percent))
    return _ns_in_ms(histogram.mean if name == "mean" else histogram.max)


def _errors(result: LoadResult) -> Iterator[str]:
    if not result.errors:
        return
    yield "errors"
    for kind, count, meaning, examples in words.errors_by_kind(result):
        yield from wrapped(f"{kind} {count:,}: {meaning}", "  ")
        for found in examples:
            yield from wrapped(words.discrepancy_in_words(found), "    ")


def _objectives(result: LoadResult) -> Iterator[str]:
    if result.verdicts:
        yield "objectives"
    for verdict in result.verdicts:
        yield f"  {verdict}"


def _search(result: LoadResult) -> Iterator[str]:
    if result.search is not None:
        yield "search for the highest rate"
        for trial in result.search.trials:
            yield from wrapped(words.trial_in_words(trial), "", subsequent_indent=" " * 33)
        yield from wrapped(words.search_in_words(result.search), "  ")


def _warnings(result: LoadResult) -> Iterator[str]:
    for note in result.notes:
        yield from wrapped(f"note: {note}")
    if result.saturated:
        yield words.SATURATED
        for reason in result.watch.reasons:
            yield from wrapped(reason, "  ")


def _ns_in_ms(value_ns: float | None) -> str:
    return in_ms(None if value_ns is None else value_ns / 1e6)
