"""What came of a load as one HTML page that needs nothing else: no network, no scripts."""

from __future__ import annotations

import math
import shlex
import string
from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources

from ..histogram import Histogram
from ..load import LoadResult
from ..load.objectives import Verdict
from . import words
from .load_csv import measured_width_s
from .plots import Line, Plot, draw, nines
from .units import in_bytes, in_ms

# A point for so many percentiles on the scale of nines: more would not be seen.
_POINTS_PER_NINE = 40
_MS = 1e6
_PEAK = 40


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
        (f"{result.messages_per_s:,.0f}/s", "messages per second"),
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
    timings = {"from due": latency, "from send": result.from_send_ns}
    if not result.plan.is_open:
        timings = {"latency": latency}
    marks = [
        (nines(percent), verdict.objective.limit, verdict.objective.text)
        for verdict in result.verdicts
        if (percent := verdict.objective.percent) is not None
    ]
    yield "<h2>Latency</h2>"
    yield _figure(
        Plot(
            "percentiles",
            "Latency by percentile; the table below has the numbers",
            "share of the replies that were faster, on a scale of nines",
            "latency, ms",
            [Line(name if len(timings) > 1 else "", _curve(timing)) for name, timing in timings.items()],
            nines=True,
            log=_needs_log(result),
            marks=marks,
        )
    )
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
    if (few := words.few_samples(result)) is not None:
        remarks.append(few)
    yield from (f'<p class="muted">{escape(remark)}</p>' for remark in remarks)


def _curve(histogram: Histogram) -> list[tuple[float, float]]:
    """Percentiles on the scale of nines, up to where one reply is above: further there is nothing to see."""
    end = math.log10(max(histogram.count, 10))
    count = math.ceil(end * _POINTS_PER_NINE)
    places = [end * step / count for step in range(count + 1)]
    return [(x, (histogram.percentile(100 * (1 - 10**-x)) or 0) / _MS) for x in places]


def _over_time(result: LoadResult) -> Iterator[str]:
    # A last interval of which little was measured would say nothing and spoil the scale.
    steps = [step for step in result.intervals if measured_width_s(result, step) > step.width_s / 2]
    if len(steps) < 2:
        return
    at = [step.t_s + step.width_s / 2 for step in steps]
    widths = [measured_width_s(result, step) for step in steps]
    lines = [
        Line(
            "right replies",
            [(t, step.messages / width) for t, step, width in zip(at, steps, widths, strict=True)],
        ),
        Line("sent", [(t, step.sent / width) for t, step, width in zip(at, steps, widths, strict=True)]),
    ]
    yield "<h2>Throughput over time</h2>"
    yield _figure(Plot("throughput", "Messages per second over time", "time, s", "messages/s", lines))
    yield "<h2>Latency over time</h2>"
    yield _figure(
        Plot(
            "latency",
            "Latency over time: median, 99th percentile and maximum of each interval",
            "time, s",
            "latency, ms",
            [
                Line(
                    name, [(t, _or_gap(step.latency_ns, percent)) for t, step in zip(at, steps, strict=True)]
                )
                for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
            ],
            log=_needs_log(result),
        )
    )


def _needs_log(result: LoadResult) -> bool:
    """Whether a linear scale would show one peak, and all else as a line at its foot."""
    latency = result.latency_ns
    return latency.max > _PEAK * (latency.percentile(50) or 0)


def _or_gap(histogram: Histogram, percent: float) -> float | None:
    value = histogram.percentile(percent)
    return None if value is None else value / _MS


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
                f"{trial.rate:,g}",
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
