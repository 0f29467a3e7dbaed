"""Write a load's result as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from ...base.histogram import Histogram, values_above
from ...base.printable import printable_line
from ...base.quantities import in_ms, in_rate, wrapped
from .. import LoadProgress, LoadResult
from ..goals.objectives import shown_percents
from . import churn_words, path_words, words
from .stages_text import stages_as_lines

# Columns of a label, and of each column of the table.
_LABEL = 11
# From this width on nothing has to be shortened.
_WIDE_TABLE = 70


def result_as_text(result: LoadResult, *, width: int = 80) -> str:
    """Return the summary: several lines, of less than ``width`` columns."""
    sections: list[list[str]] = [
        wrapped(f"{words.server_of(result)}: {words.load_in_words(result)}", width),
        [line for row in _counts(result) for line in wrapped(row, width, subsequent_indent=" " * _LABEL)],
        list(_latency(result, width)),
        list(stages_as_lines(result, width)),
        list(_errors(result, width)),
        list(_outages(result, width)),
        list(_workers(result, width)),
        list(_objectives(result, width)),
        list(_search(result, width)),
        list(_warnings(result, width)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def faults_as_lines(result: LoadResult) -> Iterator[str]:
    """Yield a line for each thing that is not as it should be, for people who want no summary."""
    if result.errors:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.errors.items()))
        yield f"not all went well: {kinds}"
    reasons = (found.detail for found in result.discrepancies if found.kind == "connect_failed")
    for reason in dict.fromkeys(filter(None, reasons)):
        yield f"a connection could not be opened: {reason}"
    if result.churn.outages:
        yield result.churn.in_short
    for worker in result.lost:
        yield f"the run is not whole: {worker.in_words}"
    if result.ended_early is not None:
        yield f"the run {result.ended_early}"
    elif not result.due:
        yield "no message was due"
    for verdict in result.objective_results:
        if not verdict.holds:
            yield str(verdict)
    if result.search is not None and result.search.lost and not result.lost:
        yield f"the search was cut short: {printable_line(result.search.lost)}"
    if result.search is not None and not result.search.confirmed:
        yield words.search_in_words(result.search, result.health)
    if result.saturated or (result.search is not None and result.search.limited_by == "generator"):
        yield words.SATURATED


def progress_as_text(progress: LoadProgress, *, width: int = 80, stage: str = "") -> str:
    """Return one line on what happened since the last one, and the stage in which it is now, if there is one.

    Numbers stay in their columns where these fit; where they do not, what matters least is left out.
    """
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
    rest = []
    if progress.errors:
        rest.append(f"{sum(progress.errors.values()):,} errors")
    if progress.phase != "measuring":
        rest.append(f"({progress.phase})")
    if stage:
        rest.append(stage)
    line = "  ".join(columns + rest)
    while len(line) >= width and columns:
        line = "  ".join(" ".join(column.split()) for column in columns + rest)
        columns.pop()
    return line


def _counts(result: LoadResult) -> Iterator[str]:
    planned = words.planned_in_words(result)
    if planned is not None:
        yield f"planned    {planned}"
    parts = [f"{result.sent:,} sent", f"{result.messages:,} {words.right_replies(result)}"]
    parts += [f"{result.unsent:,} due and not sent"] if result.unsent else []
    parts += [f"{result.churn.taken_back:,} taken back"] if result.churn.taken_back else []
    unaccounted = sum(worker.unaccounted for worker in result.lost)
    parts += [f"{unaccounted:,} not accounted for"] if result.lost else []
    parts += ["stopped before its end"] if result.stopped else []
    yield _labelled("messages", ", ".join(parts))
    if not words.is_echo(result):
        yield _labelled("verified", words.replies_in_words(result))
    for worker in result.lost:
        yield _labelled("lost", worker.in_words)
    if result.ended_early is not None:
        yield _labelled("ended", result.ended_early.removeprefix("ended "))
    yield _labelled("rate", f"{in_rate(result.messages_per_s)} messages/s in {result.length_s:.3f} s")
    yield _labelled("bytes", words.bytes_in_words(result))
    recorded = words.recorded_in_words(result)
    if recorded is not None:
        yield _labelled("recorded", recorded)
    connections = churn_words.connections_in_words(result)
    yield _labelled("connect", f"{connections}, ms: {churn_words.times_in_words(result.connect_ns)}")
    if (handshakes := churn_words.handshakes_in_words(result)) is not None:
        yield _labelled("tls", handshakes)
    if (given := churn_words.sockets_in_words(result)) is not None:
        yield _labelled("sockets", f"the kernel gave: {given}")
    if (path := path_words.path_in_words(result)) is not None:
        yield _labelled("path", path)
    if result.churn.first_reply_ns.count:
        times = churn_words.times_in_words(result.churn.first_reply_ns)
        yield _labelled("first", f"reply on each connection, ms: {times}")
    if (attempts := churn_words.attempts_in_words(result)) is not None:
        yield _labelled("attempts", attempts)
    if (outages := churn_words.outages_in_words(result)) is not None:
        yield _labelled("outages", outages)
    yield _labelled("errors", f"{result.error_count:,}")
    yield _labelled("generator", words.generator_in_words(result))


def _labelled(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _latency(result: LoadResult, width: int) -> Iterator[str]:
    latency = result.latency_ns
    if not latency.count:
        return
    columns = {"from due": latency, "from send": result.from_send_ns}
    if not result.plan.is_open:
        columns = {"": latency}
    above_column, above_title = (22, "replies at or above") if width >= _WIDE_TABLE else (14, "at or above")
    titles = "".join(f"{name:>{_LABEL}}" for name in columns)
    yield f"{'latency, ms':<{_LABEL}}{titles}{above_title:>{above_column}}"
    percents = shown_percents(verdict.objective for verdict in result.objective_results)
    rows = [("mean", None), *((f"p{percent}", percent) for percent in percents), ("max", None)]
    for name, percent in rows:
        values = "".join(
            f"{_value_in_ms(histogram, name, percent):>{_LABEL}}" for histogram in columns.values()
        )
        above = f"{values_above(latency.count, percent):,}" if percent else ""
        yield f"  {name:<{_LABEL - 2}}{values}{above:>{above_column}}".rstrip()
    if result.plan.is_open:
        yield from wrapped(words.TWO_TIMINGS, width)
    for remark in (
        words.law_in_words(result),
        words.few_samples(result),
        path_words.explanation_in_words(result),
    ):
        if remark is not None:
            yield from wrapped(remark, width)


def _value_in_ms(histogram: Histogram, name: str, percent: str | None) -> str:
    if not histogram.count:
        return "-"
    if percent is not None:
        return _ns_in_ms(histogram.percentile(percent))
    return _ns_in_ms(histogram.mean if name == "mean" else histogram.max)


def _errors(result: LoadResult, width: int) -> Iterator[str]:
    if not result.errors:
        return
    yield "errors"
    for kind, count, meaning, examples in words.errors_by_kind(result):
        yield from wrapped(f"{kind} {count:,}: {meaning}", width, "  ")
        for example in words.examples_in_words(examples):
            yield from wrapped(example, width, "    ")


def _outages(result: LoadResult, width: int) -> Iterator[str]:
    for number, line in enumerate(churn_words.outages_as_lines(result)):
        if not number:
            yield "outages and attempts to connect"
        yield from wrapped(line, width, "  ")


def _workers(result: LoadResult, width: int) -> Iterator[str]:
    if result.workers:
        yield words.WORKERS_OF[result.workers[0].system]
    for worker in result.workers:
        yield from wrapped(words.worker_in_words(worker, result.sent), width, "  ")


def _objectives(result: LoadResult, width: int) -> Iterator[str]:
    if result.objective_results:
        yield "objectives, of the time until it was stopped" if result.stopped else "objectives"
    for verdict in result.objective_results:
        yield from wrapped(str(verdict), width, "  ")


def _search(result: LoadResult, width: int) -> Iterator[str]:
    if result.search is not None:
        yield "search for the highest rate"
        for trial in result.search.trials:
            yield from wrapped(words.trial_in_words(trial), width, subsequent_indent=trial_indent(width))
        yield from wrapped(words.search_in_words(result.search, result.health), width, "  ")


def _warnings(result: LoadResult, width: int) -> Iterator[str]:
    churn = result.churn
    for note in filter(None, (churn.taken_back_in_words, churn.cut_in_words, *result.notes)):
        yield from wrapped(f"note: {note}", width)
    if result.saturated:
        yield from wrapped(words.SATURATED, width)
        for reason in result.health.reasons:
            yield from wrapped(reason, width, "  ")


def trial_indent(width: int) -> str:
    """Return the indent of a trial's further lines: below what was measured, where there is room for it."""
    return " " * (33 if width >= _WIDE_TABLE else 6)


def _ns_in_ms(value_ns: float | None) -> str:
    return in_ms(None if value_ns is None else value_ns / 1e6)
