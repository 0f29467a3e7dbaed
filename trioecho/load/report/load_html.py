"""Write a load's result as one HTML page that needs nothing else: no network, no scripts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from ...base.histogram import Histogram, values_above
from ...base.html import Markup, document, element, joined
from ...base.quantities import in_full, in_ms, in_rate
from .. import LoadResult
from ..goals.objectives import ObjectiveResult, shown_percents
from ..results.stage_result import StageResult
from . import churn_words, path_words, words
from .drawing import draw
from .json_in_page import json_in_page
from .load_plots import latency_plot, percentile_plot, rate_plot, throughput_plot, timings_of
from .page_style import page_style
from .path_plots import retransmit_plot, round_trip_plot
from .plot import Plot

_MS = 1e6
_HEAT = "The more replies took that long, the darker; by the logarithm of their number."


def result_as_html(result: LoadResult) -> str:
    """Return the whole page.

    Raises:
      PlotsUnavailableError: matplotlib, which draws the plots, is not installed.
    """
    return document(
        f"Load on {words.server_of(result)}",
        page_style(),
        element(
            "header",
            element("h1", f"Load on {words.server_of(result)}"),
            element("p", words.load_in_words(result)),
            element("p", f"{_capital(words.replies_in_words(result))}."),
            element("p", f"{result.started_at:%Y-%m-%d %H:%M:%S} UTC", class_="muted"),
        ),
        element(
            "main",
            _alarms(result),
            _numbers(result),
            _objectives(result.objective_results),
            _latency(result),
            _stages(result),
            _over_time(result),
            _by_rate(result),
            _errors(result),
            _outages(result),
            _search(result),
            _run(result),
            _as_json(result),
        ),
        head=element("meta", name="color-scheme", content="light dark"),
    )


def _alarms(result: LoadResult) -> Iterator[Markup]:
    if result.saturated:
        reasons = [element("p", reason) for reason in result.health.reasons]
        yield element("div", element("strong", words.SATURATED), reasons, class_="alarm", role="alert")
    notes = [f"{words.NOT_WHOLE}: {worker.in_words}." for worker in result.lost]
    notes += [f"The run {result.ended_early}."] if result.ended_early is not None else []
    notes += ["The run was stopped before its end."] if result.stopped else []
    notes += [f"{_capital(result.churn.in_short)}."] if result.churn.outages else []
    notes += [f"{_capital(result.churn.taken_back_in_words)}."] if result.churn.taken_back else []
    notes += [f"{_capital(result.churn.cut_in_words)}."] if result.churn.conversations_cut else []
    for note in notes + result.notes:
        yield element("p", note, class_="alarm")


def _numbers(result: LoadResult) -> Markup:
    latency = result.latency_ns
    numbers = (
        (f"{result.messages:,}", f"messages {words.right_replies(result)}"),
        (f"{in_rate(result.messages_per_s)}/s", "messages per second"),
        (_ms(latency.percentile(50)), "p50, ms"),
        (_ms(latency.percentile(99)), "p99, ms"),
        (_ms(latency.max if latency.count else None), "max, ms"),
        (f"{result.error_count:,}", "errors"),
    )
    parts = (element("div", element("b", value), element("span", name)) for value, name in numbers)
    return element("div", parts, class_="numbers")


def _objectives(found: Iterable[ObjectiveResult]) -> Iterator[Markup]:
    rows = [
        (
            each.objective.text,
            _verdict("held" if each.holds else "broken", each.holds),
            "; ".join(filter(None, (each.describe(), each.reason))),
        )
        for each in found
    ]
    if rows:
        yield element("h2", "Objectives")
        yield _table(("objective", "verdict", "measured"), rows, kind="texts")


def _latency(result: LoadResult) -> Iterator[Markup]:
    latency = result.latency_ns
    if not latency.count:
        return
    timings = timings_of(result)
    yield element("h2", "Latency")
    yield _figure(percentile_plot(result))
    yield _table(
        ("ms", *timings, "replies at or above"),
        [
            ("mean", *(_ms(timing.mean) for timing in timings.values()), ""),
            *(
                (
                    f"p{percent}",
                    *(_ms(timing.percentile(percent)) for timing in timings.values()),
                    f"{values_above(latency.count, percent):,}",
                )
                for percent in shown_percents(found.objective for found in result.objective_results)
            ),
            ("max", *(_ms(timing.max) for timing in timings.values()), ""),
        ],
    )
    remarks = [words.TWO_TIMINGS] if result.plan.is_open else []
    remarks += filter(
        None,
        (words.law_in_words(result), words.few_samples(result), path_words.explanation_in_words(result)),
    )
    yield from (element("p", remark, class_="muted") for remark in remarks)


def _stages(result: LoadResult) -> Iterator[Markup]:
    if not result.stages:
        return
    yield element("h2", "Stages")
    yield _table(
        ("stage", "due/s", "right/s", "due", "right", "timing", "p50, ms", "p99", "p99.9", "max", "errors"),
        [
            row
            for number, stage in enumerate(result.stages, 1)
            for row in _rows_of_stage(f"{number}. {stage.name}", stage)
        ],
        kind="stages",
    )
    yield element("p", words.STAGES, class_="muted")


def _rows_of_stage(name: str, stage: StageResult) -> Iterator[tuple[str, ...]]:
    if not stage.length_s:
        yield name, "not reached", *[""] * 9
        return
    errors = ", ".join(f"{kind} {count:,}" for kind, count in sorted(stage.errors.items())) or "0"
    counts = (
        in_rate(stage.due_per_s),
        in_rate(stage.messages_per_s),
        f"{stage.due:,}",
        f"{stage.messages:,}",
    )
    yield name, *counts, "from due", *_times(stage.latency_ns), errors
    yield "", "", "", "", "", "from send", *_times(stage.from_send_ns), ""


def _times(timing: Histogram) -> Iterator[str]:
    yield from (_ms(timing.percentile(percent)) for percent in ("50", "99", "99.9"))
    yield _ms(timing.max if timing.count else None)


def _over_time(result: LoadResult) -> Iterator[Markup]:
    for title, plot in (
        ("Throughput over time", throughput_plot(result)),
        ("Latency over time", latency_plot(result)),
        ("The path: round trips as the kernel sees them", round_trip_plot(result)),
        ("The path: segments sent again", retransmit_plot(result)),
    ):
        if plot is not None:
            yield element("h2", title)
            yield _figure(plot)


def _by_rate(result: LoadResult) -> Iterator[Markup]:
    plot = rate_plot(result)
    if plot is not None:
        yield element("h2", "Latency by the rate")
        yield _figure(plot)


def _errors(result: LoadResult) -> Iterator[Markup]:
    yield element("h2", "Errors")
    if not result.errors:
        yield element("p", f"None: {words.replies_in_words(result)}.")
    for kind, count, meaning, examples in words.errors_by_kind(result):
        yield element("p", element("b", f"{kind} {count:,}", class_="broken"), " ", meaning)
        if examples:
            lines = (element("li", example) for example in words.examples_in_words(examples))
            yield element("ul", lines, class_="mono")


def _outages(result: LoadResult) -> Iterator[Markup]:
    outages = churn_words.outages_in_words(result)
    lines = list(churn_words.outages_as_lines(result))
    if outages is None and not lines:
        return
    yield element("h2", "Outages")
    yield element("p", f"{_capital(outages or 'none counted: the load did not reconnect')}.")
    if lines:
        yield element("ul", (element("li", line) for line in lines))


def _search(result: LoadResult) -> Iterator[Markup]:
    search = result.search
    if search is None:
        return
    yield element("h2", "Search for the highest rate")
    yield element("p", words.search_in_words(search, result.health))
    yield _table(
        ("messages/s", "step", "verdict", "measured"),
        [
            (
                in_full(trial.rate),
                trial.phase,
                _verdict(words.trial_verdict(trial), trial.outcome.holds),
                trial.outcome.reason,
            )
            for trial in search.trials
        ],
        kind="texts",
    )


def _run(result: LoadResult) -> Iterator[Markup]:
    churn = result.churn
    rows: list[tuple[str, str]] = [
        ("command", element("code", shlex.join(result.command)) if result.command else "-"),
        ("measured for", f"{result.elapsed_s:.3f} s"),
        *(("lost", worker.in_words) for worker in result.lost),
        ("sent", f"{result.sent:,} of {result.due:,} messages that were due"),
        ("bytes", words.bytes_in_words(result)),
        (
            "connections",
            f"{churn_words.connections_in_words(result)}, opened in ms: "
            f"{churn_words.times_in_words(result.connect_ns)}",
        ),
        ("generator", words.generator_in_words(result)),
        *(("machine", words.machine_in_words(machine)) for machine in result.machines),
        *(("worker", words.worker_in_words(worker, result.sent)) for worker in result.workers),
    ]
    if (recorded := words.recorded_in_words(result)) is not None:
        rows.append(("recorded", recorded))
    if (handshakes := churn_words.handshakes_in_words(result)) is not None:
        rows.append(("TLS", handshakes))
    if (given := churn_words.sockets_in_words(result)) is not None:
        rows.append(("sockets", f"the kernel gave: {given}"))
    if (path := path_words.path_in_words(result)) is not None:
        rows.append(("path", path))
    if churn.first_reply_ns.count:
        rows.append(("first reply on each, ms", churn_words.times_in_words(churn.first_reply_ns)))
    if (attempts := churn_words.attempts_in_words(result)) is not None:
        rows.append(("attempts to connect", attempts))
    if (planned := words.planned_in_words(result)) is not None:
        rows.insert(1, ("planned", planned))
    yield element("h2", "The run")
    yield element("dl", (joined(element("dt", name), element("dd", value)) for name, value in rows))


def _as_json(result: LoadResult) -> Iterator[Markup]:
    yield element("h2", "All of it, for programs")
    yield element(
        "details",
        element("summary", "The result as JSON: trioecho report reads it in this page, too"),
        json_in_page(result),
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _verdict(word: str, holds: bool) -> Markup:
    return element("span", word, class_="held" if holds else "broken")


def _figure(plot: Plot) -> Markup:
    caption = element("figcaption", _HEAT, class_="muted") if plot.heat else None
    return element("figure", draw(plot), caption)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "values") -> Markup:
    """Return a table of a ``kind`` that the page's style knows."""
    head = element("tr", (element("th", cell, scope="col") for cell in heading))
    body = (
        element("tr", element("th", first, scope="row"), (element("td", cell) for cell in others))
        for first, *others in rows
    )
    return element("table", element("thead", head), element("tbody", body), class_=kind)


def _ms(value_ns: float | None) -> str:
    return in_ms(None if value_ns is None else value_ns / _MS)
