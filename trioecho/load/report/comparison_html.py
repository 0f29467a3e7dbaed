"""Write a comparison of two loads as one HTML page, as `load_html` writes a load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...base.html import Markup, document, element
from .. import LoadResult
from . import words
from .comparison import Change
from .comparison_outputs import Pair, percent_in_words, remarks_on, value_in_words, verdict_in_words
from .comparison_plots import latency_of_both, percentiles_of_both, throughput_of_both
from .drawing import draw
from .json_in_page import COMPARED, json_in_page
from .page_style import page_style
from .stages_comparison import StageComparison


def comparison_as_html(
    before: LoadResult,
    after: LoadResult,
    changes: Sequence[Change],
    files: tuple[str, str],
    stages: Sequence[StageComparison] = (),
) -> str:
    """Return the whole page; the runs are called A and B.

    Raises:
      PlotsUnavailableError: matplotlib, which draws the plots, is not installed.
    """
    pair = before, after
    return document(
        f"{files[0]} and {files[1]} compared",
        page_style(),
        element(
            "header",
            element("h1", "Two loads compared"),
            (_run(name, file, result) for name, file, result in zip(COMPARED, files, pair, strict=True)),
        ),
        element(
            "main",
            (element("p", remark, class_="alarm") for remark in remarks_on(pair)),
            element("h2", "What differs"),
            _changes(changes, before.error_count, after.error_count),
            (part for stage in stages if stage.changes for part in _stage(stage)),
            _plots(pair),
            element("h2", "All of it, for programs"),
            (
                element("details", element("summary", f"{name} as JSON"), json_in_page(result, name))
                for name, result in zip(COMPARED, pair, strict=True)
            ),
        ),
        head=element("meta", name="color-scheme", content="light dark"),
    )


def _run(name: str, file: str, result: LoadResult) -> Markup:
    when = f"{result.started_at:%Y-%m-%d %H:%M:%S} UTC"
    return element("p", element("b", f"{name}: {file}"), f", {when}: {words.load_in_words(result)}")


def _stage(stage: StageComparison) -> Iterator[Markup]:
    yield element("h2", f"Stage {stage.name}")
    yield _changes(stage.changes, stage.before.error_count, stage.after.error_count)


def _changes(changes: Iterable[Change], errors_before: int, errors_after: int) -> Markup:
    head = ("", "A", "B", "change", "noise", "verdict")
    rows = [
        (
            change.name,
            value_in_words(change, change.before),
            value_in_words(change, change.after),
            percent_in_words(change.relative, "+"),
            percent_in_words(change.noise, "±"),
            _verdict(change),
        )
        for change in changes
    ]
    rows.append(("errors", f"{errors_before:,}", f"{errors_after:,}", "", "", Markup("")))
    return element(
        "table",
        element("thead", element("tr", (element("th", cell, scope="col") for cell in head))),
        element(
            "tbody",
            (
                element("tr", element("th", first, scope="row"), (element("td", cell) for cell in others))
                for first, *others in rows
            ),
        ),
        class_="stages",
    )


def _verdict(change: Change) -> Markup:
    kind = {"worse": "broken", "better": "held", "": None}[change.direction]
    return element("span", verdict_in_words(change), class_=kind)


def _plots(pair: Pair) -> Iterator[Markup]:
    for title, plot in (
        ("Latency", percentiles_of_both(pair)),
        ("Throughput over time", throughput_of_both(pair)),
        ("p99 over time", latency_of_both(pair)),
    ):
        if plot is not None:
            yield element("h2", title)
            yield element("figure", draw(plot))
