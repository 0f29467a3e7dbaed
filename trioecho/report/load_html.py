"""What came of a load as one HTML page that needs nothing else: no network, no scripts."""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources

from ..load import LoadResult
from ..load.objectives import Verdict
from . import words
from .load_plots import latency_plot, percentile_plot, throughput_plot, timings_of
from .plots import Plot, draw
from .units import in_bytes, in_full, in_ms, in_rate

_MS = 1e6


def result_as_html(result: LoadResult) -> str:
    """The whole page.

    Raises:
      PlotsUnavailableError: matplotlib, which draws the plots, is not installed.
    """
    page = string.Template(resources.files(__package__).joinpath("load_page.html").read_text("utf-8"))
    sections = [
        _alarms(result),
        _numbers(result),
        _objectives(result.verdicts),
        _latency(result),
        _over_time(result),
        _errors(result),
        _search(result),
        _run(result),
    ]
    return page.substitute(
        title=escape(f"Load on {words.address_of(result.plan)}"),
        plan=escape(words.plan_in_words(result.plan)),
        when=f"{result.started_at:%Y-%m-%d %H:%M:%S} UTC",
        content="\n".join(line for section in sections for line in section),
    )


def _alarms(result: LoadResult) -> Iterator[str]:
    if result.saturated:
        yield f'<div class="alarm" role="alert"><strong>{words.SATURATED}</strong>'
        yield from (f"<p>{escape(reason)}</p>" for reason in result.watch.reasons)
        yield "</div>"
    notes = ["The run was stopped before its end."] if result.stopped else []
    for note in notes + result.notes:
        yield f'<p class="alarm">{escape(note)}</p>'


def _numbers(result: LoadResult) -> Iterator[str]:
    latency = result.latency_ns
    yield '<div class="numbers">'
    for value, name in (
        (f"{result.messages:,}", "messages came back right"),
        (f"{in_rate(result.messages_per_s)}/s", "messages per second"),
        (_ms(latency.percentile(50)), "p50, ms"),
        (_ms(latency.percentile(99)), "p99, ms"),
        (_ms(latency.max if latency.count else None), "max, ms"),
        (f"{result.error_count:,}", "errors"),
    ):
        yield f"<div><b>{value}</b><span>{name}</span></div>"
    yield "</div>"


def _objectives(verdicts: Iterable[Verdict]) -> Iterator[str]:
    rows = [
        (
            escape(verdict.objective.text),
            escape(verdict.objective.describe(verdict.measured)),
            _verdict("held" if verdict.holds else "broken", verdict.holds),
        )
        for verdict in verdicts
    ]
    if rows:
        yield "<h2>Objectives</h2>"
        yield from _table(("objective", "measured", "verdict"), rows)


def _latency(result: LoadResult) -> Iterator[str]:
    latency = result.latency_ns
    if not latency.count:
        return
    timings = timings_of(result)
    yield "<h2>Latency</h2>"
    yield _figure(percentile_plot(result))
    yield from _table(
        ("ms", *timings, "replies at or above"),
        [
            ("mean", *(_ms(timing.mean) for timing in timings.values()), ""),
            *(
                (
                    f"p{percent:g}",
                    *(_ms(timing.percentile(percent)) for timing in timings.values()),
                    f"{words.samples_above(latency.count, percent):,}",
                )
                for percent in words.PERCENTS
            ),
            ("max", *(_ms(timing.max) for timing in timings.values()), ""),
        ],
    )
    remarks = [words.TWO_TIMINGS] if result.plan.is_open else []
    remarks += filter(None, (words.law_in_words(result), words.few_samples(result)))
    yield from (f'<p class="muted">{escape(remark)}</p>' for remark in remarks)


def _over_time(result: LoadResult) -> Iterator[str]:
    for title, plot in (
        ("Throughput over time", throughput_plot(result)),
        ("Latency over time", latency_plot(result)),
    ):
        if plot is not None:
            yield f"<h2>{title}</h2>"
            yield _figure(plot)


def _errors(result: LoadResult) -> Iterator[str]:
    yield "<h2>Errors</h2>"
    if not result.errors:
        yield "<p>None: every reply was compared with its message, in content and order.</p>"
    for kind, count, meaning, examples in words.errors_by_kind(result):
        yield f'<p><b class="broken">{escape(kind)} {count:,}</b> {escape(meaning)}</p>'
        if examples:
            yield '<ul class="mono">'
            yield from (f"<li>{escape(words.discrepancy_in_words(found))}</li>" for found in examples)
            yield "</ul>"


def _search(result: LoadResult) -> Iterator[str]:
    search = result.search
    if search is None:
        return
    yield "<h2>Search for the highest rate</h2>"
    yield f"<p>{escape(words.search_in_words(search))}</p>"
    yield from _table(
        ("messages/s", "step", "verdict", "measured"),
        [
            (
                in_full(trial.rate),
                trial.phase,
                _verdict(words.trial_verdict(trial), trial.outcome.holds),
                escape(trial.outcome.reason),
            )
            for trial in search.trials
        ],
        kind="texts",
    )


def _run(result: LoadResult) -> Iterator[str]:
    plan, connect = result.plan, result.connect_ns
    rows = [
        ("command", f"<code>{escape(shlex.join(result.command))}</code>" if result.command else "-"),
        ("seed", str(plan.seed)),
        ("measured for", f"{result.elapsed_s:.3f} s"),
        ("sent", f"{result.sent:,} messages"),
        ("bytes", f"{in_bytes(result.bytes_per_s)}/s in each direction, headers included"),
        (
            "connections",
            f"{result.connections_opened:,} of {plan.connections:,}, opened in ms: "
            f"p50 {_ms(connect.percentile(50))}, max {_ms(connect.max if connect.count else None)}",
        ),
        ("generator", escape(words.generator_in_words(result))),
        *(("machine", escape(words.machine_in_words(machine))) for machine in result.machines),
    ]
    yield "<h2>The run</h2>"
    yield "<dl>"
    yield from (f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    yield "</dl>"


def _verdict(word: str, holds: bool) -> str:
    return f'<span class="{"held" if holds else "broken"}">{word}</span>'


def _figure(plot: Plot) -> str:
    return f"<figure>{draw(plot)}</figure>"


def _table(
    heading: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, kind: str = "values"
) -> Iterator[str]:
    """A table of cells that are HTML already; of a ``kind`` that the page's style knows."""
    yield f'<table class="{kind}"><thead><tr>'
    yield "".join(f'<th scope="col">{cell}</th>' for cell in heading)
    yield "</tr></thead><tbody>"
    for first, *others in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'
    yield "</tbody></table>"


def _ms(value_ns: float | None) -> str:
    return in_ms(None if value_ns is None else value_ns / _MS)
